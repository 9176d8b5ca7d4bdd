"""Numbers as `increment` keeps them: unsigned 64 bits as decimal text, which other tools read and write."""

from __future__ import annotations

from typing import Final

from lath.errors import InvalidArgument

U64_MAX: Final = 2**64 - 1
NO_NUMBER: Final = "the key holds no decimal number, so it cannot be incremented"
TOO_LARGE: Final = f"the sum is above the largest number of 64 bits, {U64_MAX}"
DIGITS_MAX: Final = 20


def sum_of(value: bytes | None, delta: int) -> int:
    """What an increment makes of a value; what is not there counts as 0.

    Raises:
        InvalidArgument: It is no number, or the sum does not fit 64 bits.
    """
    if value is not None and (not value.isdigit() or len(value) > DIGITS_MAX):
        raise InvalidArgument(NO_NUMBER)
    total = int(value or b"0") + delta
    if total > U64_MAX:
        raise InvalidArgument(TOO_LARGE)
    return total
