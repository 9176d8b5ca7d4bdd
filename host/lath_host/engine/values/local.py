"""Handles whose resource the host itself has: what one stands for is a Python object, which never leaves.

What such objects keep for a guest is outside its memory, and so has a bound of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lath.errors import LimitExceeded
from lath.wit.types import Handle

KEPT_BYTES_MAX: Final = 32 * 1024 * 1024
"""What host objects may keep for one guest: room for 128 bodies at once, or 250 of the largest headers."""


@dataclass(frozen=True, slots=True)
class LocalHandle(Handle):
    """A handle of a resource that the host defines (of WASI: a stream, a pollable, a request).

    Its wire value is the object, a `Local`. No value that came over the bus can be one.
    """


class Kept:
    """What host objects keep for one guest now.

    Attributes:
        size: In bytes.
    """

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0

    def take(self, size: int) -> None:
        """Counts `size` more bytes.

        Raises:
            LimitExceeded: They would be too many; none are counted.
        """
        if self.size + size > KEPT_BYTES_MAX:
            raise LimitExceeded(
                f"the guest has the host keep more than {KEPT_BYTES_MAX} bytes of headers and open bodies: "
                "drop those that are done with"
            )
        self.size += size

    def give_back(self, size: int) -> None:
        """They are not kept any more."""
        self.size -= size


class Local:
    """What such a handle stands for. Touched on the event loop only.

    Where a keeper has put off that it is made (`told`), it may be made in the thread of a busy guest, too.

    Args:
        parent: What it was made of and must not outlive.

    Attributes:
        children: How many handles there are of what was made of it.
        kept_bytes: What it keeps.
    """

    children = 0
    kept_bytes = 0
    _kept: Kept | None = None
    _parent: Local | None = None

    def __init__(self, parent: Local | None = None) -> None:
        if parent is not None:
            self._parent = parent
            parent.children += 1

    def keep(self, kept_bytes: int) -> None:
        """It keeps so many bytes from now on.

        Raises:
            LimitExceeded: The guest that holds it may have no more kept.
        """
        if self._kept is not None:
            self._kept.take(kept_bytes - self.kept_bytes)
        self.kept_bytes = kept_bytes

    def held(self, kept: Kept) -> None:
        """A guest holds a handle of it from now on. Raises what `keep` does."""
        if self.kept_bytes:
            kept.take(self.kept_bytes)
        self._kept = kept

    def let_go(self) -> None:
        """That guest does not hold it any more."""
        if self._kept is not None:
            if self.kept_bytes:
                self._kept.give_back(self.kept_bytes)
            self._kept = None

    def end(self) -> None:
        """Its handle is gone: dropped by the guest, given to the host, or gone with the guest."""
        if self._parent is not None:
            self._parent.children -= 1
            self._parent = None
