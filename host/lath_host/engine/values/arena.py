"""The memory that lowered values live in until wasmtime has read them.

wasmtime copies every value that it is given (`Val::from(&wasmtime_component_val_t)` clones strings and
lists), both when a call is first polled and in `wasmtime_component_val_clone`. So values are laid out in
Python's own memory, `bytes` objects that point to each other, and nothing has to be freed on any path,
half-way errors included: dropping the arena is enough. Only handles are boxes of wasmtime's own, and the
arena deletes those.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final, Protocol

from msgpack import ExtType

from lath.codec import ComponentHandle
from lath.wit.types import Handle
from lath_host.engine import capi
from lath_host.engine.values.exported import ExportedHandle
from lath_host.engine.values.local import Local, LocalHandle

BYTES_AT: Final = bytes.__basicsize__ - 1
"""Where the content of a `bytes` object begins, after its header (CPython)."""

Memory = bytes | ctypes.Array[Any]
"""What values are read from: a copy of wasmtime's memory, or where it has written one."""

if ctypes.string_at(id(b"probe") + BYTES_AT, 5) != b"probe":  # pragma: no cover
    raise ImportError("lath_host needs CPython: it reads the content of bytes objects in place")


class HandleTable(Protocol):
    """What knows the resources of one store."""

    def lower_handle(self, handle: Handle, value: ExtType) -> int:
        """Makes a handle that stands for `value`, whose `resource_any` the caller owns.

        Of one of the component's own resources it is the `resource_any` that the table has; the caller owns
        that if the handle is given away.
        """

    def lift_handle(self, handle: Handle, resource_any: int) -> ExtType:
        """What the handle at `resource_any` stands for."""

    def lower_local(self, handle: LocalHandle, value: Local) -> int:
        """Makes a handle of an object of the host's own, whose `resource_any` the caller owns."""

    def hold(self, value: Local) -> int:
        """Has the guest hold an object of the host's own, by the number that is returned."""

    @property
    def local(self) -> dict[int, Local]:
        """The objects of the host's own that the guest holds handles of, by those's number."""

    def take(self, resource_any: int) -> int:
        """The number of a handle: ends a borrow, and an own belongs to the host from here on."""

    def drop_handle(self, resource_any: int) -> None:
        """Ends a handle that the guest was only lent."""


class Arena(list[Any]):
    """Keeps alive what the lowered values point to. Append `bytes` objects, then use their addresses.

    Attributes:
        table: Where handles are made; None while a value is only checked, before there is an instance.
        owned: Addresses of the `resource_any` boxes made so far, to be deleted.
        lent: Those among them that were given as borrows, to be dropped once the call is over.
        named: While a value is only checked: the handles of the component's own resources in it.
    """

    __slots__ = ("lent", "named", "owned", "table")

    def __init__(self, table: HandleTable | None = None) -> None:
        self.table = table
        self.owned: list[int] = []
        self.lent: list[int] = []
        self.named: list[tuple[ExportedHandle, ComponentHandle]] = []

    def end(self) -> None:
        """Deletes the handles' boxes, after dropping what was lent. The rest goes with the arena."""
        if self.lent and self.table is not None:
            for resource in self.lent:
                self.table.drop_handle(resource)
        self.forget()

    def forget(self) -> None:
        """Deletes the handles' boxes alone: the store is thrown away, or has a copy of what was laid out."""
        for resource in self.owned:
            capi.resource_any_delete(resource)
        self.lent.clear()
        self.owned.clear()


Lower = Callable[[Any, Arena], bytes]
"""Lays a wire value out as the 32 bytes of a component value, what it points to kept in the arena."""
