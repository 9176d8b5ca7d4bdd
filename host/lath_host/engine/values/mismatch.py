"""A value that does not fit its type, and where in the value that is."""

from __future__ import annotations

from lath.errors import InvalidArgument
from lath.names import shown


class Mismatch(Exception):
    """A value that does not fit its type. `path` grows from the inside out while it unwinds."""

    def __init__(self, expected: str, value: object) -> None:
        super().__init__(expected)
        self.expected = expected
        self.value = value
        self.path: list[str] = []

    def error(self) -> InvalidArgument:
        place = ", ".join(reversed(self.path))
        return InvalidArgument(f"{place}: expected {self.expected}, got {shown(self.value)}")
