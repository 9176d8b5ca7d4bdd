"""What happens to calls whose holder goes away: they fail when it is certain, and no earlier.

A presence that *expired* says that the instance is dead, or frozen: its calls fail at once. One that was
*withdrawn* says that it is stopping, and a stopping instance still finishes what it runs: it is asked from
time to time whether it is there, and its calls fail once nobody answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from lath.errors import InstanceLost
from lath.rpc.pending import Pending

if TYPE_CHECKING:
    from lath.bus import Bus
    from lath.presence import PresenceChange, PresenceView

ASK_EVERY_S: Final = 1.0


class Holders:
    """Watches the presence of those who hold this caller's calls.

    Args:
        bus: The connection.
        pending: The caller's calls, by id.
        ask: Whether the instance that holds a call is still there.
    """

    def __init__(
        self, bus: Bus, pending: Mapping[str, Pending], ask: Callable[[Pending], Awaitable[bool]]
    ) -> None:
        self._bus = bus
        self._pending = pending
        self._ask = ask
        self._watches: dict[str, asyncio.Task[None]] = {}

    def presence_changed(self, change: PresenceChange) -> None:
        """Given to `PresenceView.on_change`."""
        if change.old is None or change.new is not None:
            return
        instance = change.old.instance_id
        if change.reason == "expired":
            self._fail(self._held(instance), "its presence expired")
        elif change.reason == "withdrawn" and self._held(instance):
            self._watch_from_now_on(instance)

    def sent_to(self, instance: str, target: str, presence: PresenceView | None) -> None:
        """A call goes to an instance, wherever others may: one that shows no presence is asked at once."""
        if presence is not None and all(each.instance_id != instance for each in presence.instances(target)):
            self._watch_from_now_on(instance)

    def _watch_from_now_on(self, instance: str) -> None:
        if instance not in self._watches:
            self._watches[instance] = asyncio.get_running_loop().create_task(self._watch(instance))

    def _held(self, instance: str) -> list[Pending]:
        return [pending for pending in self._pending.values() if pending.instance == instance]

    def _fail(self, lost: Sequence[Pending], why: str) -> None:
        for pending in lost:
            pending.fail(
                InstanceLost(
                    f"instance {pending.instance} of {pending.route.target}, which held the call, "
                    f"is lost: {why}"
                )
            )

    async def _watch(self, instance: str) -> None:
        try:
            while held := self._held(instance):
                if self._bus.connected and not await self._ask(held[0]):
                    # those alone: the server itself says of later ones that nobody took them
                    self._fail(held, "it withdrew its presence and is gone")
                else:
                    await asyncio.sleep(ASK_EVERY_S)
        finally:
            self._watches.pop(instance, None)

    async def close(self) -> None:
        tasks = list(self._watches.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
