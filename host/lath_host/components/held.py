"""The handles of other components' resources that a component's guests hold: renewed, and given back.

Whoever holds a handle renews it well before its lease is over, the handles of one instance together in one
message, and tells that instance when it is dropped. Neither is answered: a message that is lost costs a
renewal, of which there are several to a lease, or leaves a resource until its lease is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from itertools import islice
from typing import Any, Final

from nats import errors as nats_errors

from lath import subjects
from lath.bus import Bus
from lath.codec.handles import RENEWALS_PER_LEASE, ComponentHandle, pack_tokens
from lath.errors import InvalidArgument
from lath.telemetry import get_logger
from lath_host.components.local import LocalTargets

HANDLES_PER_TURN: Final = 2_000
"""Told of at once; then the loop gets a turn. About a millisecond, of 100,000 that a guest may hold."""

_log = get_logger(__name__)


def near_of(header: str) -> bytes:
    """The token that a call's `HEADER_NEAR` has; empty where it has none.

    Raises:
        InvalidArgument: It is not hex.
    """
    try:
        return bytes.fromhex(header)
    except ValueError:
        raise InvalidArgument(f"header {subjects.HEADER_NEAR} is not a token in hex") from None


class HeldHandles:
    """What the guests of one component hold (`engine.handles.Holdings`).

    Args:
        source: The component's id.
        bus: The connection.
        targets: What lives in this process.
        held: All that its guests hold now.
    """

    def __init__(
        self,
        source: str,
        bus: Bus,
        targets: LocalTargets,
        held: Callable[[], Iterable[ComponentHandle]],
    ) -> None:
        self._source = source
        self._bus = bus
        self._targets = targets
        self._held = held
        self._loop = asyncio.get_running_loop()
        self._renewal: asyncio.TimerHandle | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._dropped: list[ComponentHandle] = []
        self._telling: set[asyncio.Task[None]] = set()
        self._closed = False

    # -- called from any thread ------------------------------------------------------------------------------

    def began(self, handle: ComponentHandle) -> None:
        """A guest holds it from now on."""
        self._loop.call_soon_threadsafe(self._renew_within, handle.lease_seconds)

    def ended(self, handle: ComponentHandle) -> None:
        """Nobody here holds it any more."""
        self._loop.call_soon_threadsafe(self._drop, handle)

    # -- inside ----------------------------------------------------------------------------------------------

    def _renew_within(self, lease_seconds: int) -> None:
        due = self._loop.time() + lease_seconds / RENEWALS_PER_LEASE
        if self._closed or (self._renewal is not None and self._renewal.when() <= due):
            return
        if self._renewal is not None:
            self._renewal.cancel()
        self._renewal = self._loop.call_at(due, self._renew)

    def _renew(self) -> None:
        self._renewal = None
        if self._renewing is None or self._renewing.done():  # one that still goes on asks for the next
            self._renewing = self._keep(self._renew_all())

    async def _renew_all(self) -> None:
        held, leases = iter(self._held()), set[int]()
        while not self._closed and (some := list(islice(held, HANDLES_PER_TURN))):
            leases.update(handle.lease_seconds for handle in some)
            await self._tell(some, subjects.RENEW_FUNCTION)
        if leases:
            self._renew_within(min(leases))

    def _drop(self, handle: ComponentHandle) -> None:
        """Collects what is dropped in the same moment."""
        if not self._dropped:
            self._loop.call_soon(self._release)
        self._dropped.append(handle)

    def _release(self) -> None:
        dropped, self._dropped = self._dropped, []
        if dropped:
            self._keep(self._release_all(dropped))

    async def _release_all(self, dropped: Sequence[ComponentHandle]) -> None:
        for at in range(0, len(dropped), HANDLES_PER_TURN):
            await self._tell(dropped[at : at + HANDLES_PER_TURN], subjects.RELEASE_FUNCTION)

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
        return task

    async def _tell(self, handles: Sequence[ComponentHandle], function: str) -> None:
        """Tells those where they live, and gives the loop a turn."""
        homes: dict[tuple[str, str], list[bytes]] = {}
        for handle in handles:
            homes.setdefault((handle.component, handle.instance), []).append(handle.token)
        for (component, instance), tokens in homes.items():
            home = self._targets.homes.get(instance)
            if home is None:
                subject = subjects.handle_notice(
                    self._bus.lattice, component, instance, self._source, function
                )
                await self._publish(subject, tokens)
            elif function == subjects.RELEASE_FUNCTION:
                home.release(tokens)
            else:
                home.renew(tokens)
        await asyncio.sleep(0)

    async def _publish(self, subject: str, tokens: Sequence[bytes]) -> None:
        if not self._bus.connected:
            return  # it would be sent later; the lease is what counts then
        try:
            await self._bus.nc.publish(subject, pack_tokens(tokens))
        except nats_errors.Error as error:
            _log.debug("could not tell of handles", subject=subject, error=repr(error))

    async def close(self) -> None:
        """Ends the renewals, once what was dropped up to now is told of."""
        self._closed = True
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None
        await asyncio.sleep(0)  # what guests dropped as they went is on its way here
        self._release()
        if self._telling:
            await asyncio.wait(self._telling)
