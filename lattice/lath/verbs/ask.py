"""The asker of link verbs: one request to all, a second look at the silent, and requests to one of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from nats.aio.msg import Msg

from lath import subjects
from lath.bus import BucketStore, Bus
from lath.errors import ConnectionLost, DeadlineExceeded, LathError, Unavailable, error_of_kind
from lath.gather import gather
from lath.model import (
    LostParticipant,
    PingReply,
    PingRequest,
    Presence,
    PullRequest,
    PurgeRequest,
    VerbAck,
    parse,
)
from lath.presence import PresenceView
from lath.verbs.expect import Expectation, Participant

ANSWER_PART: Final = 0.5
"""The part of the asker's time-out that participants may use to answer (checks, purges)."""
GATHER_PART: Final = 0.6
"""The part after which who has not answered is looked up once more: an answer has a tenth to travel."""
SECOND_LOOK_PART: Final = 0.2
"""The part that the second look takes; the rest is for pages."""
ADDRESSED_ANSWER_PART: Final = 0.8
"""Likewise, the part of the time for one participant alone that it may use to answer."""
ADDRESSED_AT_ONCE_MAX: Final = 64
"""Requests to single participants in flight."""

Request = PingRequest | PurgeRequest | PullRequest
REMADE_PART: Final = 0.5
"""A bucket of presence that is younger than that of links by this part of a TTL was made again: the server
restarted and lost what it held in memory. A new lattice's buckets are made together."""
R = TypeVar("R", PingReply, VerbAck)


@dataclass(slots=True)
class Asked(Generic[R]):
    """What came of asking everybody.

    Attributes:
        replies: By instance id.
        errors: Why a participant could not answer, by instance id.
        silent: Instance ids to name.
        unjudged: Instance ids that gave no answer while nobody is judged.
    """

    replies: dict[str, R] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    unjudged: set[str] = field(default_factory=set)

    @property
    def answered(self) -> set[str]:
        return {*self.replies, *self.errors}


class Asker:
    """Sends link verbs and reads the answers.

    Args:
        bus: The bus.
        presence: Who is there; started by its owner.
        presence_ttl_ms: How long presence holds, where nobody is there to say it. For so long after a
            reconnect or a restart of the server nobody is judged: until then every participant that is alive
            has announced itself again.
    """

    def __init__(self, bus: Bus, presence: PresenceView, *, presence_ttl_ms: int) -> None:
        self.bus = bus
        self.presence = presence
        self._presence_ttl_ms = presence_ttl_ms
        self._came_back_at: float | None = None
        self._forget = bus.on_reconnect(self._reconnected)

    def close(self) -> None:
        """Lets go of the bus. Closing twice is fine."""
        self._forget()

    @property
    def _ttl_s(self) -> float:
        return self.presence.longest_ttl_ms(self._presence_ttl_ms) / 1000

    def _reconnected(self) -> None:
        self._came_back_at = time.monotonic()

    async def _notice_restart(self) -> None:
        """A server that restarted forgot presence; one who connects only then would see an empty lattice."""
        with contextlib.suppress(LathError):
            links_s = await BucketStore(self.bus, "links").age_s()
            presence_s = await BucketStore(self.bus, "presence").age_s()
            if links_s - presence_s > REMADE_PART * self._ttl_s and presence_s < self._ttl_s:
                self._came_back_at = max(self._came_back_at or 0.0, time.monotonic() - presence_s)

    @property
    def settling(self) -> bool:
        """Whether nobody is judged: presence is not current, or the connection came back within one TTL."""
        if not self.bus.connected or not self.presence.synced:
            return True
        return self._came_back_at is not None and time.monotonic() - self._came_back_at < self._ttl_s

    async def who_is_there(
        self, timeout_ms: float
    ) -> tuple[tuple[Presence, ...], tuple[LostParticipant, ...]]:
        """Presence, and whom the asker itself lost, once presence has been read or the time is over."""
        await self._notice_restart()
        if self.bus.connected and not self.presence.synced:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_ms / 1000):
                    await self.presence.wait_synced()
        return self.presence.all(), self.presence.lost()

    async def ask_all(
        self,
        verb: subjects.LinkVerb,
        request: Request,
        expectation: Expectation,
        reply_type: type[R],
        timeout_ms: int,
    ) -> Asked[R]:
        """Asks everybody once, and the silent once more.

        Args:
            verb: The verb.
            request: Its `timeout_ms` is set here, from `timeout_ms`.
            expectation: Who should answer; grows with the answers.
            reply_type: What a participant answers.
            timeout_ms: The longest that all of it may take.

        Raises:
            NotConnected: There is no connection to the bus.
            PermissionDenied: This process may not ask that.
        """
        asked: Asked[R] = Asked()

        def take(msg: Msg) -> str:
            return self._take(msg, reply_type, asked, expectation)

        await gather(
            self.bus,
            subjects.link_verb(self.bus.lattice, verb),
            _encoded(request, timeout_ms * ANSWER_PART),
            expected=expectation.required,
            hoped=expectation.hoped,
            id_of=take,
            timeout_ms=timeout_ms * GATHER_PART,
        )
        silent = self._silent(expectation, asked)
        if silent:
            await self._look_again(verb, request, expectation, silent, take, timeout_ms * SECOND_LOOK_PART)
            silent = self._silent(expectation, asked)
        if self.settling:
            asked.unjudged = silent
        else:
            asked.silent = silent
        return asked

    async def ask_one(
        self,
        verb: subjects.LinkVerb,
        participant: Participant,
        request: Request,
        reply_type: type[R],
        timeout_ms: float,
    ) -> R:
        """Asks one participant.

        Raises:
            LathError: What kept it from answering: its own error, or the bus's.
        """
        data = _encoded(request, timeout_ms * ADDRESSED_ANSWER_PART)
        msg = await self._request(verb, participant, data, timeout_ms)
        return read_reply(msg, reply_type)

    def _take(self, msg: Msg, reply_type: type[R], asked: Asked[R], expectation: Expectation) -> str:
        """Files a reply; returns whose it is."""
        if msg.headers and subjects.HEADER_ERROR in msg.headers:
            refusal = parse(VerbAck, msg.data, "reply")
            expectation.heard(refusal)
            if refusal.instance_id not in asked.replies:
                asked.errors[refusal.instance_id] = refusal.error or msg.headers[subjects.HEADER_ERROR]
            return refusal.instance_id
        reply = parse(reply_type, msg.data, "reply")
        expectation.heard(reply)
        asked.replies[reply.instance_id] = reply
        asked.errors.pop(reply.instance_id, None)
        return reply.instance_id

    def _silent(self, expectation: Expectation, asked: Asked[R]) -> set[str]:
        """Who is silent, presence read again first."""
        expectation.look(self.presence.all())
        expectation.add_lost(self.presence.lost())
        return expectation.silent(asked.answered)

    async def _look_again(
        self,
        verb: subjects.LinkVerb,
        request: Request,
        expectation: Expectation,
        silent: set[str],
        take: Callable[[Msg], str],
        timeout_ms: float,
    ) -> None:
        """Asks each of the silent by name, and their supervisors whether they still count on them."""
        people = expectation.participants
        again = {*silent, *(people[i].host_id for i in silent if people[i].host_id in people)}
        data = _encoded(request, timeout_ms * ADDRESSED_ANSWER_PART)
        room = asyncio.Semaphore(ADDRESSED_AT_ONCE_MAX)

        async def ask(participant: Participant) -> None:
            async with room:
                try:
                    take(await self._request(verb, participant, data, timeout_ms))
                except (Unavailable, DeadlineExceeded, ConnectionLost):
                    return  # still silent: the caller draws the conclusion

        await gather_all([ask(people[i]) for i in sorted(again)])

    async def _request(
        self, verb: subjects.LinkVerb, participant: Participant, data: bytes, timeout_ms: float
    ) -> Msg:
        subject = subjects.link_verb(self.bus.lattice, verb, participant.id, participant.instance_id)
        return await self.bus.request(subject, data, timeout_ms=timeout_ms)


def read_reply(msg: Msg, reply_type: type[R]) -> R:
    """Reads a participant's answer.

    Raises:
        LathError: Its own, where it says that it could not answer; InvalidArgument where it is malformed.
    """
    if msg.headers and (kind := msg.headers.get(subjects.HEADER_ERROR)):
        raise error_of_kind(kind, msg.headers.get(subjects.HEADER_SERVICE_ERROR, "no reason given"))
    return parse(reply_type, msg.data, "reply")


async def gather_all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Runs all at once; the first error ends them all, and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


def _encoded(request: Request, timeout_ms: float) -> bytes:
    limited = request.model_copy(update={"timeout_ms": max(1, int(timeout_ms))})
    return limited.model_dump_json(exclude_none=True).encode()
