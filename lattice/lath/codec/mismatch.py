"""What the codec's closures raise when a value does not fit its type, and how a value is shown in messages.

A closure knows nothing of where it stands. It raises `Mismatch`, the containers around it add where they
were on the way out, and the outermost turns it into `InvalidArgument`. So the good path pays nothing for it.
"""

from __future__ import annotations

from typing import Any

from msgpack import ExtType

from lath.errors import InvalidArgument
from lath.names import shown


class Mismatch(Exception):
    """A value does not fit its type. Never leaves the codec."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path: list[str] = []

    def within(self, place: str) -> Mismatch:
        """Adds a place around the ones known so far, and returns itself."""
        self.path.append(place)
        return self

    def as_error(self) -> InvalidArgument:
        path = ", ".join(reversed(self.path))
        return InvalidArgument(f"{path}: {self.problem}" if path else self.problem)


def expected(what: str, value: Any) -> Mismatch:
    """`expected u32 (0 to 4294967295), got 'x'`."""
    return Mismatch(f"expected {what}, got {describe(value)}")


def describe(value: Any) -> str:
    """A short description of a value. Never descends into containers: they may be huge, or very deep."""
    match value:
        case None:
            return "none"
        case bool() | int() | float() | str():
            return _scalar(value)
        case ExtType():
            return f"a handle (extension {value.code})"
        case bytes() | bytearray():
            return f"{len(value)} bytes"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return f"a map of {len(value)}"
        case _:
            return f"a value of the Python type {type(value).__qualname__}"


def _scalar(value: float | str) -> str:
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"  # its text may be too long to make
    return shown(value) if isinstance(value, str) else repr(value)
