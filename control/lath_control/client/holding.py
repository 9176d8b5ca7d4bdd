"""The handles of components' resources that a program holds: renewed for as long as it does.

What a call returns, or is called with, is held while its `Resource` is alive in the program, and renewed well
before its lease is over. One that was given away is its new owner's to renew. One that the program forgets is
left to its lease; `Client.release` drops it at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from lath import subjects
from lath.codec import COMPONENT_RESOURCE, ComponentHandle, Err, Ok, Record, Resource, Some, Variant
from lath.codec.handles import RENEWALS_PER_LEASE, TOKENS_MAX, Found, pack_tokens
from lath.errors import InvalidArgument, LathError
from lath.names import CLIENT_SOURCE

if TYPE_CHECKING:
    from lath_control.client import Client


class HeldResources:
    """Those of one client."""

    def __init__(self, client: Client) -> None:
        self._client = client
        # by identity: a handle is held for as long as one of those that are equal is alive
        self._held: WeakValueDictionary[int, Resource] = WeakValueDictionary()
        self._due: asyncio.TimerHandle | None = None
        self._renewing: set[asyncio.Task[None]] = set()

    def keep(self, value: Any) -> None:
        """Renews the handles in a Python value from now on."""
        for resource in _resources_in(value):
            self._held[id(resource)] = resource
            self._renew_within(ComponentHandle.parse(resource.data).lease_seconds)

    def given_away(self, named: Iterable[Found]) -> None:
        """Renews no more what a call has passed on as an `own`."""
        self._forget({found.handle.token for found in named if found.mode == "own"})

    async def release(self, resources: Iterable[Resource]) -> None:
        """Drops handles: the destructors run where the resources live, soon.

        Raises:
            InvalidArgument: One is no handle of a component's resource.
            NotConnected: There is no connection; the leases end them.
        """
        handles = []
        for resource in resources:
            if resource.extension != COMPONENT_RESOURCE:
                raise InvalidArgument("a provider's resource has no lease: there is nothing to release")
            handles.append(ComponentHandle.parse(resource.data))
        self._forget({handle.token for handle in handles})
        await self._tell(handles, subjects.RELEASE_FUNCTION)

    async def close(self) -> None:
        """Renews nothing any more."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        for task in self._renewing:
            task.cancel()
        await asyncio.gather(*self._renewing, return_exceptions=True)

    # --- inside ----------------------------------------------------------------------------------------

    def _forget(self, tokens: set[bytes]) -> None:
        for resource in list(self._held.values()) if tokens else ():
            if ComponentHandle.parse(resource.data).token in tokens:
                self._held.pop(id(resource), None)

    def _renew_within(self, lease_seconds: int) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + lease_seconds / RENEWALS_PER_LEASE
        if self._due is not None:
            if self._due.when() <= due:
                return
            self._due.cancel()
        self._due = loop.call_at(due, self._renew)

    def _renew(self) -> None:
        self._due = None
        handles = {ComponentHandle.parse(resource.data) for resource in self._held.values()}
        if not handles:
            return
        self._renew_within(min(handle.lease_seconds for handle in handles))
        task = asyncio.get_running_loop().create_task(self._renew_all(handles), name="renew handles")
        self._renewing.add(task)
        task.add_done_callback(self._renewing.discard)

    async def _renew_all(self, handles: Iterable[ComponentHandle]) -> None:
        with suppress(LathError):  # one that is lost is made good by the next
            await self._tell(handles, subjects.RENEW_FUNCTION)

    async def _tell(self, handles: Iterable[ComponentHandle], function: str) -> None:
        homes: dict[tuple[str, str], list[bytes]] = {}
        for handle in handles:
            homes.setdefault((handle.component, handle.instance), []).append(handle.token)
        bus = self._client.bus
        for (component, instance), tokens in homes.items():
            subject = subjects.handle_notice(bus.lattice, component, instance, CLIENT_SOURCE, function)
            for at in range(0, len(tokens), TOKENS_MAX):
                await bus.publish(subject, pack_tokens(tokens[at : at + TOKENS_MAX]))


def _resources_in(value: Any) -> Iterator[Resource]:
    """The handles of components' resources in a Python value (`lath.codec.values`)."""
    match value:
        case Resource(extension=extension):
            if extension == COMPONENT_RESOURCE:
                yield value
        case Variant(payload=inner) | Some(value=inner) | Ok(value=inner) | Err(error=inner):
            yield from _resources_in(inner)
        case Record():
            for name in value:
                yield from _resources_in(value[name])
        case Mapping():
            for inner in value.values():
                yield from _resources_in(inner)
        case list() | tuple():
            for inner in value:
                yield from _resources_in(inner)
