"""Handles into component values: of a provider's resource, of the component's own, of the host's."""

from __future__ import annotations

from typing import Any, Final

from msgpack import ExtType

from lath.codec import COMPONENT_RESOURCE, PROVIDER_RESOURCE, ComponentHandle
from lath.errors import InvalidArgument
from lath.wit.types import Handle
from lath_host.engine.values import layout
from lath_host.engine.values.arena import Arena, Lower
from lath_host.engine.values.exported import ExportedHandle
from lath_host.engine.values.local import Local, LocalHandle
from lath_host.engine.values.mismatch import Mismatch

_UNSET: Final = layout.SCALARS["bool"].pack(0, False)
"""Stands for a handle while a value is only checked."""


def lower_handle(type_: Handle) -> Lower:
    """A handle of a resource that a provider, or another component, has."""
    expected = f"handle of resource {type_.resource} (msgpack extension 1 or 2)"
    lent = type_.mode == "borrow"

    def handle(value: Any, arena: Arena) -> bytes:
        if not isinstance(value, ExtType) or (value.code != PROVIDER_RESOURCE and _parsed(value) is None):
            raise Mismatch(expected, value)
        if arena.table is None:
            return _UNSET
        resource = arena.table.lower_handle(type_, value)
        arena.owned.append(resource)
        if lent:
            arena.lent.append(resource)
        return layout.POINTER.pack(layout.RESOURCE, resource)

    return handle


def lower_exported_handle(type_: ExportedHandle) -> Lower:
    """A handle of one of the component's own resources, which an instance of it has given out."""
    expected = f"handle of resource {type_.resource} (msgpack extension {COMPONENT_RESOURCE})"
    given_away = type_.mode == "own"

    def handle(value: Any, arena: Arena) -> bytes:
        parsed = _parsed(value) if isinstance(value, ExtType) else None
        if parsed is None:
            raise Mismatch(expected, value)
        if arena.table is None:
            arena.named.append((type_, parsed))
            return _UNSET
        resource = arena.table.lower_handle(type_, value)
        if given_away:
            arena.owned.append(resource)  # the table has no more part in it
        return layout.POINTER.pack(layout.RESOURCE, resource)

    return handle


def lower_local_handle(type_: LocalHandle) -> Lower:
    """A handle of something that the host itself has."""
    expected = f"{type_.resource} of this host, which no value can be that comes from elsewhere"
    lent = type_.mode == "borrow"

    def handle(value: Any, arena: Arena) -> bytes:
        if not isinstance(value, Local):
            raise Mismatch(expected, value)
        if arena.table is None:
            return _UNSET
        resource = arena.table.lower_local(type_, value)
        arena.owned.append(resource)
        if lent:
            arena.lent.append(resource)
        return layout.POINTER.pack(layout.RESOURCE, resource)

    return handle


def _parsed(value: ExtType) -> ComponentHandle | None:
    """The handle of a component's resource; None where it is none, or malformed."""
    if value.code != COMPONENT_RESOURCE:
        return None
    try:
        return ComponentHandle.parse(value.data)
    except InvalidArgument:
        return None
