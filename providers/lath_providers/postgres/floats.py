"""Floats as wasmcloud:postgres has them: `(mantissa, exponent, sign)`, of which the product is the number.

The parts are those of IEEE 754, as Rust's `num` takes a float apart: a number of 64 bits has a mantissa below
2^53, and infinities and NaN have the exponent that is one above the largest of a number.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Final, TypeAlias

Parts: TypeAlias = tuple[int, int, int]
"""Mantissa, exponent, sign."""


@dataclass(frozen=True, slots=True)
class FloatForm:
    """One width of floats.

    Attributes:
        packing: What `struct` calls it, big-endian as PostgreSQL sends it.
        bits: What `struct` calls an unsigned number of the same width.
        mantissa_bits: Without the one that is implied.
        exponent_mask: The bits of the exponent, shifted down.
        bias: Taken from the exponent's bits, so that the mantissa is whole.
    """

    packing: str
    bits: str
    mantissa_bits: int
    exponent_mask: int
    bias: int

    @property
    def sign_shift(self) -> int:
        return self.mantissa_bits + self.exponent_mask.bit_length()

    @property
    def special_exponent(self) -> int:
        """Of infinities and NaN."""
        return self.exponent_mask - self.bias

    def parts(self, packed: bytes) -> Parts:
        """The parts of a float as PostgreSQL sends it."""
        (raw,) = struct.unpack(self.bits, packed)
        sign = -1 if raw >> self.sign_shift else 1
        exponent = raw >> self.mantissa_bits & self.exponent_mask
        fraction = raw & ((1 << self.mantissa_bits) - 1)
        mantissa = fraction | 1 << self.mantissa_bits if exponent else fraction << 1
        return mantissa, exponent - self.bias, sign

    def number(self, parts: Parts) -> float:
        """The float that the parts make.

        Raises:
            ValueError: The sign is neither 1 nor -1, or the number is above what a float of 64 bits can be.
        """
        mantissa, exponent, sign = parts
        if sign not in (1, -1):
            raise ValueError(f"the sign of a float is 1 or -1, not {sign}")
        implied = 1 << self.mantissa_bits
        if exponent == self.special_exponent and implied <= mantissa < implied << 1:
            return math.copysign(math.inf if mantissa == implied else math.nan, sign)
        try:
            return math.copysign(math.ldexp(mantissa, exponent), sign)
        except OverflowError:
            raise ValueError(f"{mantissa} * 2^{exponent} is above what a float can be") from None

    def packed(self, number: float) -> bytes:
        """A float as PostgreSQL takes it.

        Raises:
            ValueError: It is above what this width can hold.
        """
        try:
            return struct.pack(self.packing, number)
        except OverflowError:
            raise ValueError(f"{number!r} is above what a float of 32 bits can be") from None


DOUBLE: Final = FloatForm(">d", ">Q", 52, 0x7FF, 1023 + 52)
SINGLE: Final = FloatForm(">f", ">I", 23, 0xFF, 127 + 23)


def double_parts(number: float) -> Parts:
    """The parts of a float of 64 bits."""
    return DOUBLE.parts(struct.pack(">d", number))
