"""The links that a provider instance holds, one task per link; what calls, pings and purges look them up in.

`apply` and `remove` say what KV holds; each `LinkSlot` gets there by itself, so that a link whose opening is
slow, hangs or fails holds up no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

from lath.backoff import Backoff
from lath.errors import LinkFailed, LinkNotFound, NotFound
from lath.model import HeldLink, Link, LinkSelector, Revision
from lath.provider.errors import BackendLost
from lath.provider.opener import LinkOpener
from lath.provider.slot import LinkSlot
from lath.provider.use import LinkUse

ANSWER_MARGIN_S: Final = 0.25
"""A call that waits for its link is answered this long before its deadline, so that the reason arrives."""
ANSWER_MARGIN_SHARE: Final = 0.2
"""For short time-outs: the margin's share of the time left, at most."""


def _no_change(_: HeldLink, __: bool) -> None:
    return None


class LinkTable:
    """All links of one participant. Used on one event loop; closed by `close`.

    Args:
        participant: The provider's id: tells which end of a link it is.
        opener: Opens and closes links.
        caught_up: Whether all that KV held at a revision has been applied; without it a call by a link
            that is not here yet waits until its deadline.
        backoff: For failed links.
        on_change: Told of each state change; the flag says that the link is gone.
    """

    def __init__(
        self,
        participant: str,
        opener: LinkOpener,
        *,
        caught_up: Callable[[Revision], bool] = lambda _: False,
        backoff: Backoff | None = None,
        on_change: Callable[[HeldLink, bool], None] = _no_change,
    ) -> None:
        self._participant = participant
        self._opener = opener
        self._caught_up = caught_up
        self._backoff = backoff or Backoff()
        self._on_change = on_change
        self._slots: dict[str, LinkSlot] = {}
        self._waiters: dict[str, set[asyncio.Future[None]]] = {}
        self._late: set[asyncio.Task[None]] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._slots)

    # --- what KV holds -------------------------------------------------------------------------------

    def apply(self, link: Link) -> None:
        """KV holds `link` now, at its revision."""
        if self._closed:
            return
        slot = self._slots.get(link.key)
        if slot is not None:
            slot.apply(link)
            self._notify(link.key)
            return
        self._slots[link.key] = LinkSlot(
            self._participant, link, self._opener,
            backoff=self._backoff, on_change=self._slot_changed, on_end=self._slot_ended,
        )  # fmt: skip
        self._notify(link.key)

    def remove(self, key: str) -> None:
        """KV holds no link of that key any more."""
        slot = self._slots.get(key)
        if slot is not None:
            slot.remove()
            self._notify(key)

    def lost(self, key: str, held: Any, why: BackendLost) -> None:
        """The backend behind what a link holds is gone: the link fails, and is opened anew when it is due.

        Args:
            key: The link's key.
            held: What its `open_link` returned; nothing happens where the link holds something else by now.
            why: The reason.
        """
        slot = self._slots.get(key)
        if slot is not None:
            slot.lost(held, why)

    def in_use(self, key: str) -> int:
        """How many calls use a link at this moment."""
        slot = self._slots.get(key)
        return 0 if slot is None else slot.in_use

    def outdate(self, concerned: Callable[[Link], bool]) -> None:
        """Opens anew the links that are concerned: what they are opened with beside their values changed."""
        for slot in list(self._slots.values()):
            if concerned(slot.link):
                slot.outdate()

    def progressed(self) -> None:
        """More of KV was applied: calls that wait for links that are not here look again."""
        for key in [key for key in self._waiters if key not in self._slots]:
            self._notify(key)

    # --- calls ---------------------------------------------------------------------------------------

    async def use(self, key: str, revision: Revision | None, deadline: float | None) -> LinkUse:
        """Lets a call use a link, waiting until it is held at the revision that the call was routed by.

        Args:
            key: The link's key.
            revision: The revision that the caller saw; None when it named none.
            deadline: Loop time at which the caller gives up.

        Raises:
            LinkNotFound: There is no such link, and KV has been read past `revision`.
            LinkFailed: The link failed or is purged, or did not get to `revision` in time; with the reason.
        """
        use = self._admit(key, revision)
        if use is not None:
            return use
        try:
            async with asyncio.timeout_at(_answer_by(deadline)):
                while (use := self._admit(key, revision)) is None:
                    await self._changed(key)
                return use
        except TimeoutError:
            raise LinkFailed(self._why_not(key, revision)) from None

    def _admit(self, key: str, revision: Revision | None) -> LinkUse | None:
        slot = self._slots.get(key)
        if slot is not None:
            try:
                return slot.admit(revision)
            except LinkNotFound:
                if revision is not None and not self._caught_up(revision) and not self._closed:
                    return None
                raise
        if self._closed or revision is None or self._caught_up(revision):
            raise LinkNotFound(f"{self._participant} holds no link {key}")
        return None

    def _why_not(self, key: str, revision: Revision | None) -> str:
        slot = self._slots.get(key)
        if slot is None:
            return f"link {key} at revision {revision} has not reached this instance"
        if revision is not None and slot.link.revision < revision:
            return f"link {key} is at revision {slot.link.revision} here; {revision} has not arrived"
        return f"link {key} is still {slot.state}" + (f": {slot.error}" if slot.error else "")

    # --- what is held --------------------------------------------------------------------------------

    def held(self, selector: LinkSelector) -> list[HeldLink]:
        """What is held of the selected links, sorted by key."""
        return [slot.report() for slot in self._selected(selector)]

    def link(self, key: str) -> Link:
        """A link as KV holds it.

        Raises:
            NotFound: It is not held here.
        """
        return self._slot(key).link

    def opened(self, key: str) -> tuple[Link, Any]:
        """An active link and what it holds.

        Raises:
            NotFound: It is not held here.
            LinkFailed: It is not active.
        """
        return self._slot(key).opened()

    async def settled(self, key: str, revision: Revision) -> HeldLink:
        """Waits until a link is active, failed or purged at `revision` or a later one."""
        while True:
            slot = self._slots.get(key)
            if slot is not None and slot.settled and slot.revision >= revision:
                return slot.report()
            await self._changed(key)

    async def all_settled(self, keys: Iterable[str] | None = None) -> None:
        """Waits until each link (or each of `keys`) that is held now is active, failed or purged."""
        for key in list(self._slots if keys is None else keys):
            while (slot := self._slots.get(key)) is not None and slot.wanted and not slot.settled:
                await self._changed(key)

    # --- verbs ---------------------------------------------------------------------------------------

    async def purge(self, selector: LinkSelector, *, hold: bool) -> list[str]:
        """Drops all that is held for the selected links. Returns their keys once everything is closed."""
        slots = self._selected(selector)
        asked = [(slot, slot.purge(hold=hold)) for slot in slots]
        for slot in slots:
            self._notify(slot.key)
        for slot, count in asked:
            while self._slots.get(slot.key) is slot and slot.wanted and not slot.purged(count):
                await self._changed(slot.key)
        return [slot.key for slot in slots]

    def reopen(self, selector: LinkSelector) -> list[str]:
        """Opens again, now, what is purged or failed among the selected links. Returns their keys."""
        slots = self._selected(selector)
        for slot in slots:
            slot.reopen()
            self._notify(slot.key)
        return [slot.key for slot in slots]

    def reports(self, keys: Iterable[str]) -> list[HeldLink]:
        """What is held of these links, leaving out what is gone."""
        return [self._slots[key].report() for key in keys if key in self._slots]

    async def close(self) -> None:
        """Closes every link. Bounded by the time-outs of closing. A second call does nothing."""
        self._closed = True
        slots = list(self._slots.values())
        try:
            for slot in slots:
                slot.remove()
            for slot in slots:
                await slot.ended()
            if self._late:
                await asyncio.wait(self._late, timeout=self._opener.close_timeout_s)
        except asyncio.CancelledError:
            for slot in slots:
                slot.cancel()
            raise
        finally:
            for task in self._late:
                task.cancel()
            for key in list(self._waiters):
                self._notify(key)

    # --- inside --------------------------------------------------------------------------------------

    def _selected(self, selector: LinkSelector) -> list[LinkSlot]:
        chosen = [slot for slot in self._slots.values() if selector.matches(slot.link)]
        return sorted(chosen, key=lambda slot: slot.key)

    def _slot(self, key: str) -> LinkSlot:
        slot = self._slots.get(key)
        if slot is None:
            raise NotFound(f"{self._participant} holds no link {key}")
        return slot

    def _slot_changed(self, slot: LinkSlot) -> None:
        self._notify(slot.key)
        self._on_change(slot.report(), False)

    def _slot_ended(self, slot: LinkSlot, late: set[asyncio.Task[None]]) -> None:
        if self._slots.get(slot.key) is slot:
            del self._slots[slot.key]
        for task in late:
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        self._notify(slot.key)
        self._on_change(slot.report(), True)

    def _notify(self, key: str) -> None:
        for waiter in self._waiters.pop(key, ()):
            if not waiter.done():
                waiter.set_result(None)

    async def _changed(self, key: str) -> None:
        """Waits for the next change of a link, or for its arrival."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(key, set()).add(waiter)
        try:
            await waiter
        finally:
            waiters = self._waiters.get(key)
            if waiters is not None:
                waiters.discard(waiter)
                if not waiters:
                    del self._waiters[key]


def _answer_by(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    left = deadline - asyncio.get_running_loop().time()
    return deadline - min(ANSWER_MARGIN_S, max(left, 0.0) * ANSWER_MARGIN_SHARE)
