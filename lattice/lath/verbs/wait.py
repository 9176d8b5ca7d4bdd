"""Waits until a link is applied by every participant that should, by asking each one to answer once it is.

No polling while things go well: each participant keeps its answer until the link is settled there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from lath.errors import (
    Conflict,
    ConnectionLost,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    LathError,
    LinkFailed,
    NotConnected,
    Overloaded,
    Unavailable,
)
from lath.links import LinkStore, LinkView
from lath.mirror import Mirror
from lath.model import HeldLink, Link, LinkReport, LinkSelector, LinkSpec, PingReply, PingRequest
from lath.verbs.ask import Asker
from lath.verbs.expect import Participant
from lath.verbs.report import Kept, Opinion, join

ANSWER_MS_MAX: Final = 10_000
"""How long one question to a participant stays open; then it is asked anew, in case the question was lost."""
RETRY_MS: Final = 50
"""Between questions to a participant that did not take one (leaving, just coming, disconnected)."""
NO_ANSWER: Final = "no answer"
_RETRIED: Final = (Unavailable, DeadlineExceeded, ConnectionLost, NotConnected, Overloaded)


class AppliedWait:
    """One wait for one link.

    Args:
        asker: Asks.
        store: Reads KV, through the leader.
        link: The link, with the revision that must be applied.
        timeout_ms: The longest wait.
    """

    def __init__(self, asker: Asker, store: LinkStore, link: Link, timeout_ms: int) -> None:
        self._asker = asker
        self._store = store
        self._link = link
        self._timeout_ms = timeout_ms
        self._mirror = Mirror(asker.bus, "links", (link.key,))
        self._view = LinkView(self._mirror)
        self._people: dict[str, Participant] = {}
        self._questions: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._applied: dict[str, HeldLink] = {}
        self._last: dict[str, str] = {}
        self._seen = False
        self._failure: LathError | None = None
        self._changed = asyncio.Event()

    async def run(self) -> LinkReport:
        """Waits; see `LinkOps.await_applied`."""
        forget = self._asker.presence.on_change(lambda _change: self._changed.set())
        self._begin(self._watch())
        limit = asyncio.timeout(self._timeout_ms / 1000)
        try:
            async with limit:
                await self._until_applied()
        except TimeoutError:
            if not limit.expired():
                raise
            await self._verify()
            if self._failure is not None:
                raise self._failure from None
            if self._served:
                raise DeadlineExceeded(self._late()) from None
        finally:
            forget()
            await self._end()
        return self._report()

    async def _until_applied(self) -> None:
        while True:
            self._changed.clear()
            self._follow_kv()
            self._follow_presence()
            if self._failure is not None:
                raise self._failure
            if self._served and self._people.keys() <= self._applied.keys():
                return
            await self._changed.wait()

    @property
    def _served(self) -> bool:
        return any(self._link.target in one.serves for one in self._people.values())

    # --- what changes meanwhile ------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Keeps a mirror of the one key, to learn when the link is deleted or replaced."""
        self._mirror.on_change(lambda _changes: self._changed.set())
        await self._mirror.start()
        await self._mirror.wait_synced()
        if self._link.key in self._view.links:
            self._changed.set()
        else:
            await self._verify()

    async def _verify(self) -> None:
        """Asks the leader whether the link is still there: absence elsewhere may only be lateness."""
        try:
            gone = await self._store.get(self._link.key) is None
        except InvalidArgument as e:
            self._fail(Conflict(f"link {self._link.key} was overwritten meanwhile: {e.message}"))
        else:
            if gone:
                self._fail(Conflict(f"link {self._link.key} was deleted while it was waited for"))

    def _follow_kv(self) -> None:
        """Raises when the link is not what was put; follows it when only its config was resolved anew."""
        now = self._view.links.get(self._link.key)
        if now is None:
            if self._seen:
                raise Conflict(f"link {self._link.key} was deleted or overwritten while it was waited for")
            return
        self._seen = now.revision >= self._link.revision
        if now.revision <= self._link.revision:
            return
        if _spec(now) != _spec(self._link):
            raise Conflict(
                f"link {self._link.key} was replaced at revision {now.revision} while revision "
                f"{self._link.revision} was waited for"
            )
        self._link = now
        for question in self._questions.values():
            question.cancel()
        self._questions.clear()
        self._applied.clear()

    def _follow_presence(self) -> None:
        """Asks newcomers, and lets go of those who left."""
        there = self._participants()
        for instance_id in self._people.keys() - there.keys():
            self._applied.pop(instance_id, None)
            self._last.pop(instance_id, None)
            if (question := self._questions.pop(instance_id, None)) is not None:
                question.cancel()
        self._people = there
        for instance_id, one in there.items():
            if instance_id not in self._questions:
                self._questions[instance_id] = self._begin(self._ask(one, self._link))

    def _participants(self) -> dict[str, Participant]:
        """Who should hold the link: by presence, whoever serves one of its ends."""
        found: dict[str, Participant] = {}
        for entry in self._asker.presence.all():
            if entry.kind == "host" or entry.target not in (self._link.source_id, self._link.target):
                continue
            if entry.kind == "provider":
                one = Participant("provider", entry.target, entry.instance_id, entry.host_id)
            else:
                one = Participant("host", entry.host_id, entry.host_id, entry.host_id)
            found.setdefault(one.instance_id, one).serves.add(entry.target)
        return found

    # --- one participant -------------------------------------------------------------------------------

    async def _ask(self, one: Participant, link: Link) -> None:
        """Asks one participant until it has applied the link or could not."""
        request = PingRequest(
            selector=LinkSelector(key=link.key), await_key=link.key, await_revision=link.revision
        )
        timeout_ms = min(ANSWER_MS_MAX, self._timeout_ms)
        while True:
            try:
                reply = await self._asker.ask_one("ping", one, request, PingReply, timeout_ms)
            except _RETRIED as e:
                self._last[one.instance_id] = NO_ANSWER if isinstance(e, DeadlineExceeded) else str(e)
            except LathError as e:
                self._fail(e)
                return
            else:
                held = next((h for h in reply.links if h.key == link.key), None)
                if held is not None and held.revision >= link.revision and self._settled(one, held):
                    return
                self._last[one.instance_id] = _told(held, link)
            await asyncio.sleep(RETRY_MS / 1000)

    def _settled(self, one: Participant, held: HeldLink) -> bool:
        match held.state:
            case "active":
                self._applied[one.instance_id] = held
                self._changed.set()
            case "failed":
                self._fail(
                    LinkFailed(
                        f"{one.label} could not apply link {held.key}: {held.error or 'no reason given'}"
                    )
                )
            case "purged":
                self._fail(LinkFailed(f"{one.label} holds link {held.key} purged: pull it first"))
            case _:
                return False
        return True

    def _fail(self, error: LathError) -> None:
        self._failure = self._failure or error
        self._changed.set()

    # --- the end ---------------------------------------------------------------------------------------

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"await link {self._link.key}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error if isinstance(error, LathError) else Internal(f"waiting failed: {error!r}"))

    async def _end(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._mirror.close()

    def _late(self) -> str:
        late = sorted(self._people.keys() - self._applied.keys())
        told = "; ".join(f"{self._people[i].label}: {self._last.get(i, NO_ANSWER)}" for i in late)
        return f"link {self._link.key} was not applied within {self._timeout_ms} ms by {told}"

    def _report(self) -> LinkReport:
        opinions = [
            Opinion(
                kind=one.kind,
                id=one.id,
                instance_id=i,
                serves=frozenset(one.serves),
                stance="told",
                held={held.key: held} if (held := self._applied.get(i)) else {},
            )
            for i, one in self._people.items()
        ]
        reports, _ = join(Kept({self._link.key: self._link}), opinions)
        return reports[0]


def _spec(link: LinkSpec) -> dict[str, object]:
    return {name: getattr(link, name) for name in LinkSpec.model_fields}


def _told(held: HeldLink | None, link: Link) -> str:
    if held is None:
        return "does not hold it"
    return held.state if held.revision >= link.revision else f"{held.state} at revision {held.revision}"
