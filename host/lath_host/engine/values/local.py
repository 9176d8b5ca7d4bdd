"""Handles whose resource the host itself has: what one stands for is a Python object, which never leaves."""

from __future__ import annotations

from dataclasses import dataclass

from lath.wit.types import Handle


@dataclass(frozen=True, slots=True)
class LocalHandle(Handle):
    """A handle of a resource that the host defines (of WASI: a stream, a pollable, a request).

    Its wire value is the object, a `Local`. No value that came over the bus can be one.
    """


class Local:
    """What such a handle stands for. Touched on the event loop only.

    Args:
        parent: What it was made of and must not outlive.

    Attributes:
        children: How many handles there are of what was made of it.
    """

    def __init__(self, parent: Local | None = None) -> None:
        self.children = 0
        self._parent = parent
        if parent is not None:
            parent.children += 1

    def end(self) -> None:
        """Its handle is gone: dropped by the guest, given to the host, or gone with the guest."""
        if self._parent is not None:
            self._parent.children -= 1
            self._parent = None
