"""One link at one provider instance: a task that brings what is held to what KV says, level by level.

        put ──► opening ──► active ──► closing ──► (gone, when deleted)
                  │  ▲        │           │
                  ▼  │        │           ├──► opening   (its values changed, or a purge without hold)
                failed ◄──────┴───────────┴──► purged    (a purge with hold, until a pull)

The task looks at what is wanted now and takes one step towards it; a change that comes meanwhile only wakes
it. So nothing depends on the order or the number of the changes, and what is opened is closed exactly once:
also what an `open_link` returns after it was given up.

While a failed link is tried again it stays `failed`, with its reason, so that calls go on failing at once.
One whose backend is lost is `failed` from that moment on: what it holds is closed, and it is opened when due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from lath.backoff import Backoff
from lath.errors import CallCancelled, ConnectionLost, LathError, LinkFailed, LinkNotFound
from lath.model import HeldLink, Link, LinkState, Revision
from lath.provider.errors import BackendLost, reason_of
from lath.provider.opener import LinkOpener
from lath.provider.use import LinkUse
from lath.telemetry import get_logger

CALLS_GRACE_S: Final = 2.0
"""How long calls in flight may go on when their link is closed; those still running then are cancelled."""
LATE_OPENS_MAX: Final = 4
"""Given-up `open_link` calls of one link that may still hang before no further one is begun."""
LOST_GRACE_S: Final = 0.25
"""The same where the backend was lost: enough for calls to find out by themselves what became of them."""
STEADY_S: Final = 10.0
"""A link that was active for so long and loses its backend starts with the shortest delay again."""

_log = get_logger("lath.provider")


@dataclass(slots=True)
class _Opened:
    link: Link
    held: Any
    since: float
    lost: BackendLost | None = None


class LinkSlot:
    """A link's state at this instance, and the task that moves it.

    Attributes:
        key: The link's key.
        link: As KV holds it, or held it last.
        state: See the module's first lines.
        revision: The one that was applied, or tried last.
    """

    def __init__(
        self,
        participant: str,
        link: Link,
        opener: LinkOpener,
        *,
        backoff: Backoff,
        on_change: Callable[[LinkSlot], None],
        on_end: Callable[[LinkSlot, set[asyncio.Task[None]]], None],
    ) -> None:
        self.key: Final = link.key  # a link makes its key anew each time it is asked
        self.link = link
        self.state: LinkState = "opening"
        self.revision = link.revision
        self.error: str | None = None
        self.attempt = 0
        self._participant = participant
        self._opener = opener
        self._backoff = backoff
        self._on_change = on_change
        self._on_end = on_end
        self._wanted = True
        self._hold = False
        self._purges_asked = 0
        self._purges_done = 0
        self._try_now = False
        self._outdated = False
        self._retry_at = 0.0
        self._tried: Link | None = None
        self._opened: _Opened | None = None
        self._close_error: str | None = None
        self._told: HeldLink | None = None  # kept, since a ping may ask for ten thousand of these at once
        self._uses: set[LinkUse] = set()
        self._late: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run(), name=f"link {self.key}")

    # --- what others ask of it -----------------------------------------------------------------------

    @property
    def wanted(self) -> bool:
        """Whether KV has the link; false while it is being let go."""
        return self._wanted

    @property
    def settled(self) -> bool:
        """Whether the latest link was applied, or could not be, or is held purged."""
        return (
            self._wanted
            and self.state in ("active", "failed", "purged")
            and self.revision >= self.link.revision
            and self._purges_done == self._purges_asked
            and not self._try_now
            and not self._outdated
        )

    @property
    def in_use(self) -> int:
        """How many calls use it."""
        return len(self._uses)

    @property
    def purges_asked(self) -> int:
        return self._purges_asked

    def purged(self, count: int) -> bool:
        """Whether the purge that `purge()` numbered `count` is done."""
        return self._purges_done >= count

    def apply(self, link: Link) -> None:
        """KV holds this link now."""
        if self._wanted and link.revision == self.link.revision:
            return
        self._wanted = True
        self.link = link
        self._wake.set()

    def remove(self) -> None:
        """KV no longer holds the link."""
        self._wanted = False
        self._wake.set()

    def purge(self, *, hold: bool) -> int:
        """Drops what is held, then holds the link `purged`, or opens it again. Returns the purge's number."""
        self._hold = hold
        self._purges_asked += 1
        self._wake.set()
        return self._purges_asked

    def reopen(self) -> None:
        """Opens a purged or failed link now; an active one is left as it is."""
        self._hold = False
        self._try_now = self.state in ("failed", "purged")
        self._wake.set()

    def lost(self, held: Any, why: BackendLost) -> None:
        """The backend behind what the link holds is gone. Nothing happens where it no longer holds that."""
        opened = self._opened
        if opened is None or opened.held is not held or self.state != "active" or not self._wanted:
            return
        opened.lost = why
        if self._loop.time() - opened.since >= STEADY_S:
            self.attempt = 1
        link = self.link if self.link.same_values(opened.link) else opened.link
        self._tried = link  # so it is opened when due; where it was changed meanwhile, at once
        self._fail(link, reason_of(why), why)
        self._wake.set()

    def outdate(self) -> None:
        """What the link is opened with beside its values, a secret, is another: it is opened anew."""
        if not self._hold:  # else nothing stays open that could be outdated
            self._outdated = True
            self._wake.set()

    def admit(self, revision: Revision | None) -> LinkUse | None:
        """Lets a call that was routed by `revision` use the link; None when it has to wait for a change.

        Raises:
            LinkNotFound: The link was deleted.
            LinkFailed: It failed, or is held purged; with the reason.
        """
        if revision is not None and revision > self.link.revision:
            return None
        if not self._wanted:
            raise LinkNotFound(f"link {self.key} was deleted")
        if self._hold:
            raise LinkFailed(f"link {self.key} was purged and is held so: `lath link pull` opens it again")
        if revision is None or self.revision >= revision:
            if self.state == "active" and self._opened is not None:
                use = LinkUse(self._opened.link, self._opened.held, self._uses_left)
                self._uses.add(use)
                return use
            if self.state == "failed":
                raise LinkFailed(f"link {self.key} failed: {self.error}")
        return None

    def opened(self) -> tuple[Link, Any]:
        """The link as it was opened, and what it holds.

        Raises:
            LinkFailed: It is not active.
        """
        if self.state != "active" or self._opened is None:
            raise LinkFailed(f"link {self.key} is {self.state}" + (f": {self.error}" if self.error else ""))
        return self._opened.link, self._opened.held

    def report(self) -> HeldLink:
        """What this instance says of the link."""
        failed = self.state == "failed"
        if self._told is None:
            self._told = HeldLink(
                key=self.key,
                role="source" if self.link.source_id == self._participant else "target",
                state=self.state,
                revision=self.revision,
                error=self.error if failed else self._close_error,
                attempt=self.attempt if failed else None,
            )
        if failed:
            retry_in_ms = max(0, int((self._retry_at - self._loop.time()) * 1000))
            return self._told.model_copy(update={"retry_in_ms": retry_in_ms})
        return self._told.model_copy(update={"uptime_ms": self._uptime_ms()})

    def _uptime_ms(self) -> int:
        if self.state != "active" or self._opened is None:
            return 0
        return int((self._loop.time() - self._opened.since) * 1000)

    async def ended(self) -> None:
        """Waits until the link, no longer wanted, is closed. The slot's task bounds how long that takes."""
        await asyncio.wait({self._task})

    def cancel(self) -> None:
        """Ends the task at once, without closing anything: only when its owner is cancelled itself."""
        self._task.cancel()

    # --- the task ------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while True:
                if self._wanted:
                    await self._step()
                elif self._opened is not None:
                    await self._drop("was deleted")
                else:
                    break
        finally:
            self._on_end(self, self._late)

    async def _step(self) -> None:
        link = self.link
        if self._purges_done < self._purges_asked:
            await self._purge()
        elif self._hold:
            self._try_now = False
            self._tried = None
            self._become("purged", link.revision)
            await self._woken()
        elif self._opened is None:
            await self._open_when_due(link)
        elif self._opened.lost is not None or self._outdated or not link.same_values(self._opened.link):
            await self._drop("was changed")
        else:
            self._try_now = False
            self._become("active", link.revision)
            await self._woken()

    async def _purge(self) -> None:
        count = self._purges_asked
        await self._drop("was purged")
        self._tried = None
        self._try_now = self._outdated = False
        self._purges_done = count
        self._become("purged" if self._hold else "opening", self.link.revision, again=True)

    async def _open_when_due(self, link: Link) -> None:
        retrying = self._tried is link and not self._try_now and not self._outdated
        if retrying and self._loop.time() < self._retry_at:
            await self._woken(self._retry_at)
            return
        if not retrying:
            self.attempt = 0
            self._become("opening", link.revision)
        self._try_now = self._outdated = False
        self._tried = link
        self._told = None
        self.attempt += 1
        await self._open(link)

    async def _open(self, link: Link) -> None:
        if len(self._late) >= LATE_OPENS_MAX:
            self._fail(link, f"{len(self._late)} earlier open_link calls still hang and ignore cancelling")
            return
        task = asyncio.create_task(self._opener.open(link), name=f"open {self.key}")
        task.add_done_callback(lambda _: self._wake.set())
        until = self._loop.time() + self._opener.open_timeout_s
        try:
            while not task.done():
                if self._superseded(link):
                    self._give_up(task, link)
                    return
                if not await self._woken(until) and not task.done():
                    self._give_up(task, link)
                    self._fail(link, f"open_link gave no answer within {self._opener.open_timeout_s:g} s")
                    return
        except asyncio.CancelledError:
            self._give_up(task, link)
            raise
        self._take(task, link)

    def _superseded(self, link: Link) -> bool:
        return (
            not self._wanted
            or self._outdated
            or self._purges_done < self._purges_asked
            or (self.link is not link and not self.link.same_values(link))
        )

    def _take(self, task: asyncio.Task[Any], link: Link) -> None:
        if task.cancelled():
            self._fail(link, "open_link was cancelled by itself")
        elif (error := task.exception()) is not None:
            self._fail(link, reason_of(error), error)
        else:
            self._opened = _Opened(link, task.result(), self._loop.time())
            self._close_error = self._told = None

    def _fail(self, link: Link, reason: str, error: BaseException | None = None) -> None:
        delay_ms = self._backoff.delay_ms(self.attempt)
        self._retry_at = self._loop.time() + delay_ms / 1000
        self.error = reason
        self._become("failed", link.revision, again=True)
        expected = error is None or isinstance(error, LathError | BackendLost | OSError | TimeoutError)
        _log.warning(
            "link failed", key=self.key, reason=reason, attempt=self.attempt, retry_in_ms=int(delay_ms),
            exc_info=None if expected else error,
        )  # fmt: skip

    def _give_up(self, task: asyncio.Task[Any], link: Link) -> None:
        """Cancels an open that nobody waits for any more. Should it return something late, that is closed."""
        task.cancel()
        closer = asyncio.create_task(self._close_late(task, link), name=f"close late {self.key}")
        self._late.add(closer)
        closer.add_done_callback(self._late.discard)

    async def _close_late(self, task: asyncio.Task[Any], link: Link) -> None:
        await asyncio.wait({task})
        if not task.cancelled() and task.exception() is None:
            await self._close(_Opened(link, task.result(), 0.0))

    async def _drop(self, why: str) -> None:
        """Closes what is held, once the calls in flight have ended or were cancelled."""
        opened, self._opened = self._opened, None
        if opened is None:
            return
        if opened.lost is None:
            self._become("closing", self.revision)
        if not await self._uses_end(CALLS_GRACE_S if opened.lost is None else LOST_GRACE_S):
            for use in tuple(self._uses):
                use.end(self._why_ended(opened, why))
            if not await self._uses_end(CALLS_GRACE_S):
                _log.error("calls ignore their cancelling; the link is closed under them", key=self.key)
        await self._close(opened)

    def _why_ended(self, opened: _Opened, why: str) -> LathError:
        if opened.lost is None:
            return CallCancelled(f"link {self.key} {why} while the call ran")
        return ConnectionLost(f"link {self.key} lost its backend while the call ran: {opened.lost.reason}")

    async def _uses_end(self, within_s: float) -> bool:
        until = self._loop.time() + within_s
        while self._uses and await self._woken(until):
            pass
        return not self._uses

    def _uses_left(self, use: LinkUse) -> None:
        self._uses.discard(use)
        if not self._uses and self._opened is None:
            self._wake.set()

    async def _close(self, opened: _Opened) -> None:
        """Calls `close_link`. Its errors are logged and told; a hanging one is given up in time."""
        timeout_s = self._opener.close_timeout_s
        task = asyncio.create_task(self._opener.close(opened.link, opened.held), name=f"close {self.key}")
        done, _ = await asyncio.wait({task}, timeout=timeout_s)
        self._close_error = None
        if not done:
            task.cancel()
            self._close_error = f"close_link gave no answer within {timeout_s:g} s"
        elif task.cancelled():
            self._close_error = "close_link was cancelled by itself"
        elif (error := task.exception()) is not None:
            self._close_error = f"close_link: {reason_of(error)}"
        self._told = None
        if self._close_error:
            _log.error("link could not be closed properly", key=self.key, reason=self._close_error)

    def _become(self, state: LinkState, revision: Revision, *, again: bool = False) -> None:
        """Notes a state and tells of it when it is new; `again`: also when it is not."""
        if state == self.state and revision == self.revision and not again:
            return
        self._told = None
        self.state, self.revision = state, revision
        if state != "failed":
            self.error = None
        self._on_change(self)

    async def _woken(self, until: float | None = None) -> bool:
        """Waits for a reason to look again; false when `until` (loop time) came first."""
        try:
            async with asyncio.timeout_at(until):
                await self._wake.wait()
        except TimeoutError:
            return False
        self._wake.clear()
        return True
