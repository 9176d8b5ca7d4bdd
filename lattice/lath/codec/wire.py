"""msgpack with limits: wire values to bytes and back.

`unpack` trusts nothing: whatever the bytes, it gives a wire value or raises `InvalidArgument` (or
`PayloadTooLarge`). `unpack_for_type` leaves out what a check against a type does anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

import msgpack
from msgpack import ExtType

from lath.codec.values import COMPONENT_RESOURCE, PROVIDER_RESOURCE
from lath.errors import InvalidArgument, PayloadTooLarge

Wire: TypeAlias = Any
"""A wire value: bool, int, float, str, bytes, list, dict, None or `msgpack.ExtType` (a handle)."""

PAYLOAD_BYTES_MAX: Final = 64 * 1024 * 1024
"""The largest payload that a caller may send or get: `payload_bytes_max` of the design."""
NESTING_MAX: Final = 128
"""Containers inside containers. wasmtime refuses types nested deeper than 100, so no real value is deeper."""
ARRAY_ITEMS_MAX: Final = 8 * 1024 * 1024
"""A list of that many takes 64 MiB of pointers: as much again as the largest payload, and no more."""
MAP_ITEMS_MAX: Final = 1024 * 1024
"""A dict of that many takes about 100 MiB, so a payload of a few MiB cannot take gigabytes."""
RESOURCE_BYTES_MAX: Final = 4096
"""A handle is a name for a resource, not its contents."""
_KEPT_BUFFER_BYTES_MAX: Final = 1024 * 1024
"""A packer keeps its buffer for the next call; beyond this it is given back."""

_EXTENSIONS: Final = frozenset({PROVIDER_RESOURCE, COMPONENT_RESOURCE})
_KEYS: Final = frozenset({str, int, bool})
_TYPES: Final = frozenset({type(None), bool, int, float, str, bytes, list, dict, ExtType})
_CONTAINERS: Final = frozenset({list, dict})


def packing(single_float: bool) -> Callable[[Wire], bytes]:
    """A function that packs wire values, with its limits. One buffer is shared by all its calls.

    Args:
        single_float: Whether every float is written as float32 (else as float64).
    """
    packer = msgpack.Packer(use_single_float=single_float)

    def pack_value(value: Wire) -> bytes:
        nonlocal packer
        try:
            data = cast(bytes, packer.pack(value))
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise InvalidArgument(f"the value cannot be sent: {error}") from None
        if len(data) > _KEPT_BUFFER_BYTES_MAX:
            packer = msgpack.Packer(use_single_float=single_float)
            check_payload_bytes(len(data))
        return data

    return pack_value


pack_doubles: Final = packing(single_float=False)
pack_singles: Final = packing(single_float=True)


def pack(value: Wire) -> bytes:
    """Packs a wire value; floats become float64 (`lath.codec.packer` knows where f32 must be float32).

    Raises:
        InvalidArgument: Something in it is no wire value, or it is nested deeper than `NESTING_MAX`.
        PayloadTooLarge: The result is above `PAYLOAD_BYTES_MAX`.
    """
    data = pack_doubles(value)
    if len(data) > NESTING_MAX:
        _check_contents(value)
    return data


def unpack(data: bytes) -> Wire:
    """The wire value that `data` holds, checked whole.

    Raises:
        InvalidArgument: `data` is not exactly one msgpack value, its text is not UTF-8, a map has a key twice
            or one that is no string or integer, an extension is not one of the two that stand for handles, or
            it is nested deeper than `NESTING_MAX`.
        PayloadTooLarge: `data` is above `PAYLOAD_BYTES_MAX`.
    """
    value = unpack_for_type(data)
    _check_contents(value)
    return value


def unpack_for_type(data: bytes) -> Wire:
    """Like `unpack`, for a caller that checks every part of the value against a type, as a codec does.

    It leaves out the walk through the value: depth, the types of keys and timestamps are not checked.

    Raises:
        InvalidArgument: As `unpack`.
        PayloadTooLarge: As `unpack`.
    """
    size = len(data)
    check_payload_bytes(size)
    try:
        return msgpack.unpackb(
            data,
            strict_map_key=False,  # map<u32, …> has integers for keys
            object_pairs_hook=_map_of_pairs,
            ext_hook=_handle,
            max_array_len=min(size, ARRAY_ITEMS_MAX),
            max_map_len=min(size, MAP_ITEMS_MAX),
        )
    except InvalidArgument:
        raise
    except msgpack.ExtraData as error:
        raise InvalidArgument(f"malformed msgpack: {len(error.extra)} bytes follow the value") from None
    except msgpack.StackError:
        raise InvalidArgument(f"malformed msgpack: nested deeper than {NESTING_MAX}") from None
    except msgpack.FormatError:
        raise InvalidArgument("malformed msgpack: a byte that begins no value") from None
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        raise InvalidArgument(f"malformed msgpack: {error}") from None


def check_payload_bytes(size: int) -> None:
    """Raises `PayloadTooLarge` for a payload of `size` bytes above `PAYLOAD_BYTES_MAX`."""
    if size > PAYLOAD_BYTES_MAX:
        raise PayloadTooLarge(
            f"a payload of {size} bytes is above the limit of {PAYLOAD_BYTES_MAX} (payload_bytes_max)"
        )


def _map_of_pairs(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidArgument("malformed msgpack: a map has the same key twice")
    return found


def _handle(extension: int, data: bytes) -> ExtType:
    if extension not in _EXTENSIONS:
        raise InvalidArgument(f"malformed msgpack: extension {extension} is unknown; 1 and 2 are handles")
    if len(data) > RESOURCE_BYTES_MAX:
        raise InvalidArgument(
            f"malformed msgpack: a handle of {len(data)} bytes; at most {RESOURCE_BYTES_MAX} are allowed"
        )
    return ExtType(extension, data)


def _check_contents(value: Wire) -> None:
    """Checks types, keys and depth, level by level: never recursive, and quick over long flat lists."""
    level = [value]
    for _ in range(NESTING_MAX + 1):
        kinds = set(map(type, level))
        if not kinds <= _TYPES:
            raise InvalidArgument(f"{_foreign(kinds)} is no wire value")
        if not kinds & _CONTAINERS:
            return
        level = _contents(level)
    raise InvalidArgument(f"the value is nested deeper than {NESTING_MAX}")


def _contents(level: list[Wire]) -> list[Wire]:
    inner: list[Wire] = []
    for each in level:
        if type(each) is list:
            inner.extend(each)
        elif type(each) is dict:
            if not set(map(type, each)) <= _KEYS:
                raise InvalidArgument("malformed msgpack: the keys of a map must be strings or integers")
            inner.extend(each.values())
    return inner


def _foreign(kinds: set[type]) -> str:
    return " and ".join(sorted(f"a {kind.__qualname__}" for kind in kinds - _TYPES))
