"""The codec of one function: compiled once from its signature, then a few microseconds per call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lath.codec.decode import decoder
from lath.codec.encode import encoder
from lath.codec.mismatch import Mismatch, expected
from lath.codec.packer import params_packer, result_packer
from lath.codec.primitives import Closure
from lath.codec.sizes import size_check
from lath.codec.values import Err, Ok
from lath.codec.wire import Wire, unpack_for_type
from lath.errors import InvalidArgument
from lath.wit.text import params_text
from lath.wit.types import Func, ResultOf


class FuncCodec:
    """Converts the parameters and the result of a function between friendly values, wire values and bytes.

    All methods check whole values, and raise `InvalidArgument` that names the place: `parameter 'r', field
    'n': expected u32 (0 to 4294967295), got 'x'`. The friendly forms are those of `lath.codec.values`.

    Args:
        func: The signature.

    Attributes:
        pack_params: Packs the list of the parameters' wire values (`lath.codec.packer`).

    Raises:
        InvalidArgument: A type of the signature cannot travel.
    """

    def __init__(self, func: Func) -> None:
        self.func = func
        self._places = [f"parameter {param.name!r}" for param in func.params]
        self._encode_params = [encoder(param.type) for param in func.params]
        self._decode_params = [decoder(param.type) for param in func.params]
        self._encode_result = encoder(func.result) if func.result else _no_result
        self._decode_result = decoder(func.result) if func.result else _no_result
        self.pack_params = params_packer(func)
        self._pack_result = result_packer(func)
        self._check_result = size_check(func.result)
        self._returns_result = isinstance(func.result, ResultOf)

    def encode_params(self, args: Sequence[Any]) -> bytes:
        """The bytes of a call with these arguments.

        Raises:
            InvalidArgument: An argument does not fit its parameter, or their number is wrong.
            PayloadTooLarge: The bytes are above `PAYLOAD_BYTES_MAX`.
        """
        return self.pack_params(self.params_to_wire(args))

    def decode_params(self, data: bytes) -> list[Any]:
        """The arguments of a call, from its bytes.

        Raises:
            InvalidArgument: The bytes are malformed, or a value does not fit its parameter.
            PayloadTooLarge: The bytes are above `PAYLOAD_BYTES_MAX`.
        """
        return self.params_from_wire(unpack_for_type(data))

    def encode_result(self, value: Any) -> bytes:
        """The bytes of a result.

        For a function that returns a `result`, a value that is neither `Ok` nor `Err` counts as `Ok`.

        Raises:
            InvalidArgument: The value does not fit.
            PayloadTooLarge: The bytes are above `PAYLOAD_BYTES_MAX`.
        """
        return self._pack_result(self.result_to_wire(value))

    def decode_result(self, data: bytes) -> Any:
        """The result, from its bytes: `Ok` or `Err` where the function returns a `result`.

        Raises:
            InvalidArgument: The bytes are malformed, or the value does not fit.
            PayloadTooLarge: The bytes are above `PAYLOAD_BYTES_MAX`.
        """
        return self.result_from_wire(unpack_for_type(data))

    def params_to_wire(self, args: Sequence[Any]) -> list[Wire]:
        """As `encode_params`, up to the wire values."""
        return self._params(self._encode_params, args)

    def params_from_wire(self, wire: Wire) -> list[Any]:
        """As `decode_params`, from the list of wire values."""
        if type(wire) is not list:
            raise expected("the list of parameters", wire).as_error()
        return self._params(self._decode_params, wire)

    def result_to_wire(self, value: Any) -> Wire:
        """As `encode_result`, up to the wire value."""
        if self._returns_result and type(value) is not Ok and type(value) is not Err:
            value = Ok(value)
        try:
            return self._encode_result(value)
        except Mismatch as mismatch:
            raise mismatch.within("result").as_error() from None

    def result_to_send(self, value: Any) -> Wire:
        """As `encode_result`, its limits included, up to the wire value."""
        wire = self.result_to_wire(value)
        if self._check_result is not None:
            self._check_result(wire)
        return wire

    def result_from_wire(self, wire: Wire) -> Any:
        """As `decode_result`, from the wire value."""
        try:
            return self._decode_result(wire)
        except Mismatch as mismatch:
            raise mismatch.within("result").as_error() from None

    def _params(self, closures: Sequence[Closure], values: Sequence[Any]) -> list[Any]:
        if len(values) != len(closures):
            raise wrong_count(self.func, len(values))
        done: list[Any] = []
        try:
            for closure, value in zip(closures, values, strict=True):
                done.append(closure(value))
        except Mismatch as mismatch:
            raise mismatch.within(self._places[len(done)]).as_error() from None
        return done


def wrong_count(func: Func, count: int) -> InvalidArgument:
    """The error for a call with `count` arguments: it names the signature."""
    plural = "" if len(func.params) == 1 else "s"
    return InvalidArgument(
        f"expected {len(func.params)} parameter{plural} ({params_text(func.params)}), got {count}"
    )


def _no_result(value: Any) -> None:
    if value is not None:
        raise expected("nothing (the function has no result)", value)
