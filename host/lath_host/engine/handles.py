"""The handles of one instance: those that it holds of others' resources, those that others hold of its own.

What it holds is a host resource, whose number stands for the wire value that came in: what a provider or
another component minted, or an object of the host's own (`values.local`). What it gives out stays in its
store, under a token that nobody can guess; the token is what travels.
"""

from __future__ import annotations

import ctypes
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from msgpack import ExtType

from lath.codec import COMPONENT_RESOURCE, ComponentHandle
from lath.codec.handles import TOKEN_BYTES
from lath.errors import LimitExceeded, NotFound, Trap
from lath.wit.types import Handle
from lath_host.engine import capi
from lath_host.engine.compose.deferrable import OWN_NUMBERS
from lath_host.engine.values import Arena, ExportedHandle, Kept, Local, LocalHandle

if TYPE_CHECKING:
    from lath_host.engine.linkage import Linkage

HANDLES_MAX: Final = 100_000
"""Handles that one guest may hold, or give out: one that never drops any must not fill the host's memory."""
_TOO_MANY: Final = f"the guest holds {HANDLES_MAX} handles and has dropped none of them"
_TOO_OLD: Final = (
    f"the guest has kept a handle while it was given {OWN_NUMBERS} others: drop handles, or limit how many "
    "calls an instance serves"
)
_REP_MASK: Final = OWN_NUMBERS - 1
"""The other half are the keepers' to give."""


class Holdings(Protocol):
    """Who hears of the handles of other components' resources that guests hold. Called from any thread."""

    def began(self, handle: ComponentHandle) -> None:
        """A guest holds it from now on."""

    def ended(self, handle: ComponentHandle) -> None:
        """A guest has dropped it, or is gone."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where the resources of a component's own live, and who hears of those of others that it holds.

    Attributes:
        component: The component's id.
        instance: The instance id of the component on this host.
        lease_seconds: How long a handle lives without a call or a renewal.
        holdings: None: nobody hears.
    """

    component: str
    instance: str
    lease_seconds: int
    holdings: Holdings | None = None


class Held(NamedTuple):
    """A handle that the guest holds.

    Attributes:
        value: What it stands for.
        owned: The same, read, where it is of a component's resource and was not lent for one call only.
    """

    value: ExtType
    owned: ComponentHandle | None


class Given(NamedTuple):
    """A resource of the guest's own that somebody holds a handle of.

    Attributes:
        resource_any: Address of wasmtime's box.
        handle: Its type.
        value: What was given out for it.
    """

    resource_any: int
    handle: ExportedHandle
    value: ExtType


class GuestHandles:
    """The handles of one instance (`values.HandleTable`).

    Args:
        context: Address of its store's context.
        linkage: Knows the imported resources.
        home: Where it lives.

    Attributes:
        held: Handles of what others have, by their number.
        local: Objects of the host's own that it holds handles of, by those's number.
        given: By token.
        kept: What objects of the host's keep for the guest.
        arena: For what is laid out and copied within one callback.
    """

    __slots__ = (
        "_context", "_home", "_numbers", "_reps", "_slot", "_slot_at", "arena", "given", "held", "kept",
        "local",
    )  # fmt: skip

    def __init__(self, context: int, linkage: Linkage, home: Home) -> None:
        self.held: dict[int, Held] = {}
        self.local: dict[int, Local] = {}
        self.given: dict[bytes, Given] = {}
        self.kept = Kept()
        self.arena = Arena(self)
        self._context = context
        self._numbers = linkage.resource_ids
        self._home = home
        self._reps = 0
        self._slot = capi.Slot()
        self._slot_at = ctypes.addressof(self._slot)

    @property
    def lease_seconds(self) -> int:
        """How long those that it gives out live without a call or a renewal."""
        return self._home.lease_seconds

    # -- values.HandleTable ----------------------------------------------------------------------------------

    def lower_handle(self, handle: Handle, value: ExtType) -> int:
        if isinstance(handle, ExportedHandle):
            return self._lower_own(handle, ComponentHandle.parse(value.data).token)
        resource_any = self._mint(handle)
        owned = _owned(handle, value)
        self.held[self._reps] = Held(value, owned)
        if self._home.holdings is not None and owned is not None:
            self._home.holdings.began(owned)
        return resource_any

    def lift_handle(self, handle: Handle, resource_any: int) -> ExtType:
        if isinstance(handle, ExportedHandle):
            return self._lift_own(handle, resource_any)
        rep = self.take(resource_any)
        return self.held.pop(rep).value if handle.mode == "own" else self.held[rep].value

    def hold(self, value: Local) -> int:
        number = self._next_number()
        self.hold_as(number, value)
        return number

    def hold_as(self, number: int, value: Local) -> None:
        """Has the guest hold an object of the host's own, by a number that its keeper has given it."""
        local = self.local
        if len(self.held) + len(local) >= HANDLES_MAX:
            raise LimitExceeded(_TOO_MANY)
        if number in local:
            raise LimitExceeded(_TOO_OLD)
        value.held(self.kept)
        local[number] = value

    def lower_local(self, handle: LocalHandle, value: Local) -> int:
        value.held(self.kept)
        resource_any = self._mint(handle)
        self.local[self._reps] = value
        return resource_any

    def drop_handle(self, resource_any: int) -> None:
        # an asynchronous store refuses `resource_any_drop`; taking the handle over ends it as well
        rep = self.take(resource_any)
        self.held.pop(rep, None)
        local = self.local.pop(rep, None)
        if local is not None:
            local.let_go()

    def take(self, resource_any: int) -> int:
        error = capi.resource_any_to_host(self._context, resource_any, self._slot_at)
        if error:
            raise capi.take_error(error)
        host = self._slot.value
        rep: int = capi.resource_host_rep(host)
        capi.resource_host_delete(host)
        return rep

    def _mint(self, handle: Handle) -> int:
        """Makes a handle of the next number: the address of wasmtime's box, which is the caller's."""
        number = self._numbers[handle.interface, handle.resource]
        if len(self.held) + len(self.local) >= HANDLES_MAX:
            raise LimitExceeded(_TOO_MANY)
        host = capi.resource_host_new(True, self._next_number(), number)
        error = capi.resource_host_to_any(self._context, host, self._slot_at)
        capi.resource_host_delete(host)
        if error:
            raise capi.take_error(error)
        return self._slot.value or 0

    def _next_number(self) -> int:
        """One that stands for nothing, though numbers have begun anew. By 0 keepers mean none."""
        number = self._reps
        while True:
            number = self._reps = (number + 1) & _REP_MASK
            if number and number not in self.local and number not in self.held:
                return number

    def _lower_own(self, handle: ExportedHandle, token: bytes) -> int:
        given = self.given.pop(token, None) if handle.mode == "own" else self.given.get(token)
        if given is None:
            raise NotFound(
                f"the handle of {handle.resource} of {handle.interface} is not known here any more"
            )
        return given.resource_any

    def _lift_own(self, handle: ExportedHandle, resource_any: int) -> ExtType:
        if len(self.given) >= HANDLES_MAX:
            raise LimitExceeded(f"the guest has given out {HANDLES_MAX} handles of its resources")
        home = self._home
        token = secrets.token_bytes(TOKEN_BYTES)
        value = ComponentHandle(home.component, home.instance, token, home.lease_seconds).to_wire()
        self.given[token] = Given(capi.resource_any_clone(resource_any), handle, value)
        return value

    # -- the end ---------------------------------------------------------------------------------------------

    def dropped(self, rep: int) -> None:
        """The guest has dropped a handle that it owned. Called inside a poll or after it, on the loop.

        Raises:
            Trap: There are still handles of what was made of it.
        """
        local = self.local.pop(rep, None)
        if local is not None:
            if local.children:
                raise Trap("it dropped a handle while it still held what it had been given by it")
            local.let_go()
            local.end()
            return
        held = self.held.pop(rep, None)
        if held is not None:
            self._end(held)

    def forget(self) -> None:
        """The store is about to be deleted."""
        self.arena.table = None  # which is this: nothing else would free the two but the garbage collector
        for given in self.given.values():
            capi.resource_any_delete(given.resource_any)
        self.given.clear()
        held, self.held = self.held, {}
        for each in held.values():
            self._end(each)
        local, self.local = self.local, {}
        for each_local in local.values():
            each_local.let_go()
            each_local.end()

    def of_components(self) -> Iterator[ComponentHandle]:
        """Those of other components' resources that it holds."""
        for held in list(self.held.values()):
            if held.owned is not None:
                yield held.owned

    def _end(self, held: Held) -> None:
        if self._home.holdings is not None and held.owned is not None:
            self._home.holdings.ended(held.owned)


def _owned(handle: Handle, value: ExtType) -> ComponentHandle | None:
    """It, read, where it is the guest's own to keep or drop and of a component's resource."""
    if handle.mode == "borrow" or value.code != COMPONENT_RESOURCE:
        return None
    return ComponentHandle.parse(value.data)
