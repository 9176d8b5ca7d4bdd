"""Link ping: asks everybody, compares digests with KV, reads pages where they disagree, and judges.

Links change while a ping runs. So whatever differs is looked at once more, KV first, before it is judged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Final, Literal

from lath.errors import LathError
from lath.links import LinkStore
from lath.model import HeldLink, LinkReport, LinkSelector, Orphan, PingReply, PingReport, PingRequest
from lath.verbs.answer import check_selector
from lath.verbs.ask import Asked, Asker, gather_all
from lath.verbs.expect import Expectation, relevant_to
from lath.verbs.report import Kept, Opinion, join

PAGE_TIMEOUT_MS_MIN: Final = 1_000
"""What reading on may take where the asker's time-out is nearly used up: a report with holes helps nobody."""
THREAD_LINKS_MIN: Final = 500
"""From so many links on they are joined in a thread: a host that asks has calls to serve meanwhile."""
READERS_MAX: Final = 16
"""Participants whose pages are read at once."""
_SETTLED: Final = frozenset({"live", "unserved", "silent"})
"""Verdicts that asking the participants once more does not change."""


class Ping:
    """One ping, from the question to the report.

    Args:
        asker: Asks.
        store: Reads KV, through the leader.
        verb: `ping`, or `vping` to see the values too.
        selector: Which links.
        deep: Whether backends are checked too.
        timeout_ms: The longest that it may take, apart from pages that are still to be read.
    """

    def __init__(
        self,
        asker: Asker,
        store: LinkStore,
        *,
        verb: Literal["ping", "vping"],
        selector: LinkSelector,
        deep: bool,
        timeout_ms: int,
    ) -> None:
        check_selector(selector)
        self._asker = asker
        self._store = store
        self._verb: Literal["ping", "vping"] = verb
        self._request = PingRequest(selector=selector, deep=deep)
        self._timeout_ms = timeout_ms
        self._started = time.monotonic()
        self._expectation = Expectation(())
        self._replies: dict[str, PingReply] = {}
        self._opinions: dict[str, Opinion] = {}

    async def run(self) -> PingReport:
        """Asks, and judges."""
        kept = await self._read_kv()
        there, lost = await self._asker.who_is_there(self._timeout_ms)
        relevant = relevant_to(self._request.selector, kept.links)
        self._expectation = Expectation(there, lost, relevant=relevant)
        asked = await self._asker.ask_all(
            self._verb, self._request, self._expectation, PingReply, self._timeout_ms
        )
        self._add_quiet(asked)
        await self._hear(kept, asked.replies)
        settling = self._asker.settling
        links, orphans = await self._join(kept, settling)
        if _doubtful(links, orphans):
            kept = await self._look_again(settling)
            links, orphans = await self._join(kept, settling)
            if _doubtful(links, orphans):
                links, orphans = await self._forgive(links, orphans)
        return self._report(asked, links, orphans, settling)

    def _report(
        self,
        asked: Asked[PingReply],
        links: tuple[LinkReport, ...],
        orphans: tuple[Orphan, ...],
        settling: bool,
    ) -> PingReport:
        answered = {i for i, opinion in self._opinions.items() if opinion.spoke}
        named = asked.silent | asked.unjudged
        expected = (self._expectation.required & answered) | named
        people = self._expectation.participants
        return PingReport(
            lattice=self._asker.bus.lattice,
            elapsed_ms=round((time.monotonic() - self._started) * 1000),
            expected=tuple(sorted(expected)),
            answered=tuple(sorted(answered)),
            silent=tuple(sorted(asked.silent)),
            unjudged=tuple(sorted(asked.unjudged)),
            settling=settling,
            names={i: people[i].label for i in sorted(expected | answered)},
            links=links,
            orphans=orphans,
        )

    # --- opinions --------------------------------------------------------------------------------------

    def _add_quiet(self, asked: Asked[PingReply]) -> None:
        """The opinions of those who gave none. One who could not say what it holds counts as silent."""
        asked.silent.update(asked.errors)
        for i in asked.silent | asked.unjudged:
            one = self._expectation.participants[i]
            self._opinions[i] = Opinion(
                kind=one.kind,
                id=one.id,
                instance_id=i,
                serves=frozenset(one.serves),
                stance="unjudged" if i in asked.unjudged else "silent",
                error=asked.errors.get(i),
            )

    async def _hear(self, kept: Kept, replies: Mapping[str, PingReply]) -> None:
        """The opinions of those who answered; pages are read where a digest disagrees."""
        room = asyncio.Semaphore(READERS_MAX)

        async def read(instance_id: str, reply: PingReply) -> None:
            async with room:
                self._opinions[instance_id] = await self._opinion_of_pages(reply)

        self._replies.update(replies)
        unclear: list[tuple[str, PingReply]] = []
        for instance_id, reply in replies.items():
            if reply.next_after is None:
                self._opinions[instance_id] = _opinion(reply, "told", reply.links)
            elif self._verb == "ping" and kept.agrees(reply):
                self._opinions[instance_id] = _opinion(reply, "agrees", reply.links)
            else:
                unclear.append((instance_id, reply))
        await gather_all([read(instance_id, reply) for instance_id, reply in unclear])

    async def _opinion_of_pages(self, first: PingReply) -> Opinion:
        """Reads all that a participant holds. What the summary knows from checks outlives the pages."""
        held: dict[str, HeldLink] = {}
        page = first
        request = self._request.model_copy(update={"deep": False})
        participant = self._expectation.participants[first.instance_id]
        try:
            while page.next_after is not None:
                asking = request.model_copy(update={"after": page.next_after})
                page = await self._asker.ask_one(self._verb, participant, asking, PingReply, self._left_ms())
                held.update((link.key, link) for link in page.links)
        except LathError as e:
            return Opinion(
                kind=first.kind,
                id=first.id,
                instance_id=first.instance_id,
                serves=frozenset(first.serves),
                stance="unjudged" if self._asker.settling else "silent",
                error=f"its links could not be read to the end: {e}",
            )
        if self._request.deep:
            held.update((link.key, link) for link in first.links if link.key in held)
        return _opinion(first, "told", held.values())

    def _left_ms(self) -> float:
        left = self._timeout_ms - (time.monotonic() - self._started) * 1000
        return max(PAGE_TIMEOUT_MS_MIN, left)

    # --- the second look -------------------------------------------------------------------------------

    async def _join(self, kept: Kept, settling: bool) -> tuple[tuple[LinkReport, ...], tuple[Orphan, ...]]:
        opinions = tuple(self._opinions.values())
        if len(kept.links) < THREAD_LINKS_MIN:
            return join(kept, opinions, settling=settling)
        return await asyncio.to_thread(join, kept, opinions, settling=settling)

    async def _look_again(self, settling: bool) -> Kept:
        """Reads KV once more, then asks those who differ from it once more."""
        kept = await self._read_kv()
        links, orphans = await self._join(kept, settling)
        differing = {orphan.instance_id for orphan in orphans}
        for link in links:
            for view in link.participants:
                if view.state != "active" or view.revision != link.revision:
                    differing.add(view.instance_id)
        for instance_id, opinion in self._opinions.items():
            if opinion.stance == "agrees" and not kept.agrees(self._replies[instance_id]):
                differing.add(instance_id)
        replies: dict[str, PingReply] = {}
        timeout_ms = self._left_ms()

        async def ask(instance_id: str) -> None:
            participant = self._expectation.participants[instance_id]
            try:
                replies[instance_id] = await self._asker.ask_one(
                    self._verb, participant, self._request, PingReply, timeout_ms
                )
            except LathError:
                return  # what it said before stands

        spoke = (i for i, opinion in self._opinions.items() if opinion.spoke and i in differing)
        await gather_all([ask(i) for i in spoke])
        await self._hear(kept, replies)
        return kept

    async def _forgive(
        self, links: tuple[LinkReport, ...], orphans: tuple[Orphan, ...]
    ) -> tuple[tuple[LinkReport, ...], tuple[Orphan, ...]]:
        """Leaves out what changed during the second look: deleted links, and orphans that KV has now."""
        now = await self._read_kv()
        kept_links = tuple(link for link in links if link.verdict in _SETTLED or key_of(link) in now.links)
        kept_orphans = tuple(
            orphan
            for orphan in orphans
            if (orphan.key in now.unreadable if orphan.kind == "kv" else orphan.key not in now.links)
        )
        return kept_links, kept_orphans

    async def _read_kv(self) -> Kept:
        selector = self._request.selector
        listing = await self._store.list(selector)
        unreadable = {k: why for k, why in listing.unreadable.items() if _may_match(selector, k)}
        return Kept(listing.links, unreadable)


def key_of(report: LinkReport) -> str:
    """The key of the link that a report is about."""
    return ".".join((report.source_id, report.target, report.wit_namespace, report.wit_package, report.name))


def _doubtful(links: Iterable[LinkReport], orphans: Collection[Orphan]) -> bool:
    """Whether something differs that may only be under way."""
    return bool(orphans) or any(link.verdict not in _SETTLED for link in links)


def _may_match(selector: LinkSelector, key: str) -> bool:
    """Whether a value under this key, which is no link, would be selected if it were one."""
    return selector.participant is None or selector.participant in key.split(".")[:2]


def _opinion(reply: PingReply, stance: Literal["told", "agrees"], links: Iterable[HeldLink]) -> Opinion:
    return Opinion(
        kind=reply.kind,
        id=reply.id,
        instance_id=reply.instance_id,
        serves=frozenset(reply.serves),
        stance=stance,
        held={link.key: link for link in links},
    )
