"""Serves a participant's link verbs: ping, vping, purge and pull.

Each request has a task of its own, so that a slow check or purge holds up nothing else. What a request may
cost is bounded: its size, its time, the checks it runs at once, and how many requests wait at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from nats.aio.msg import Msg
from pydantic import BaseModel

from lath import subjects
from lath.bus import Bus, Subscription
from lath.errors import DeadlineExceeded, Draining, Internal, InvalidArgument, LathError, Overloaded
from lath.model import (
    DETAILS_MAX,
    HeldLink,
    LinkSelector,
    PingReply,
    PingRequest,
    PullRequest,
    PurgeRequest,
    VerbAck,
    parse,
)
from lath.telemetry import get_logger
from lath.verbs import answer
from lath.verbs.holder import LinkHolder

REQUEST_BYTES_MAX: Final = 64 * 1024
"""Many times the largest honest request: a selector is a handful of names."""
CHECKS_AT_ONCE_MAX: Final = 32
"""Checks of one deep ping in flight: enough to hide a backend's round trip, few enough not to flood it."""
WAITS_MAX: Final = 512
"""Requests that wait for a link to settle; half of what a subscription handles at once, so that a flood of
them leaves room for plain pings."""

_log = get_logger(__name__)
_T = TypeVar("_T")
_CODE_BY_KIND: Final = {"invalid_argument": "400", "overloaded": "429", "deadline_exceeded": "504"}


class VerbServer:
    """Answers link verbs for one holder, addressed to all, to its id, to what it serves, or to itself alone.

    Args:
        bus: The bus.
        holder: Whose links.
    """

    def __init__(self, bus: Bus, holder: LinkHolder) -> None:
        self._bus = bus
        self._holder = holder
        self._subscriptions: dict[str, Subscription] = {}
        self._running: set[asyncio.Task[Any]] = set()
        self._waits = 0
        self._changing = asyncio.Lock()
        self._closed = False

    async def start(self) -> None:
        """Subscribes and flushes: once it returns, the participant may announce its presence."""
        await self.update()

    async def update(self) -> None:
        """Follows a change of the holder's `serves`."""
        async with self._changing:
            if self._closed:
                return
            wanted = self._wanted()
            for subject in self._subscriptions.keys() - wanted.keys():
                await self._subscriptions.pop(subject).unsubscribe()
            for subject in wanted.keys() - self._subscriptions.keys():
                handler = self._handler(subject, wanted[subject])
                self._subscriptions[subject] = await self._bus.subscribe(subject, handler)
            await self._bus.flush()

    async def close(self) -> None:
        """Unsubscribes, and ends what still runs. Closing twice is fine."""
        async with self._changing:
            self._closed = True
            subscriptions, self._subscriptions = self._subscriptions, {}
            for subscription in subscriptions.values():
                await subscription.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _wanted(self) -> dict[str, subjects.LinkVerb]:
        """Every subject to listen on, with its verb."""
        wanted: dict[str, subjects.LinkVerb] = {}
        lattice, holder = self._bus.lattice, self._holder
        for verb in subjects.LINK_VERBS:
            wanted[subjects.link_verb(lattice, verb)] = verb
            for participant in {holder.id, *holder.serves}:
                wanted[subjects.link_verb(lattice, verb, participant)] = verb
                wanted[subjects.link_verb(lattice, verb, participant, holder.instance_id)] = verb
        return wanted

    def _handler(self, subject: str, verb: subjects.LinkVerb) -> Callable[[Msg], Awaitable[None]]:
        answers: dict[subjects.LinkVerb, Callable[[bytes], Awaitable[BaseModel]]] = {
            "ping": lambda data: self._ping(data, with_values=False),
            "vping": lambda data: self._ping(data, with_values=True),
            "purge": self._purge,
            "pull": self._pull,
        }
        do = answers[verb]

        async def handle(msg: Msg) -> None:
            # A consumer can be aimed at this subject; what it delivers keeps the subject of its own stream.
            if msg.subject != subject or not msg.reply or msg.reply.startswith(subjects.ACK_REPLY_PREFIX):
                _log.warning("refused a message that is no link verb", subject=msg.subject, reply=msg.reply)
                return
            await self._answer(msg, verb, do)

        return handle

    async def _answer(
        self, msg: Msg, verb: subjects.LinkVerb, do: Callable[[bytes], Awaitable[BaseModel]]
    ) -> None:
        headers = None
        try:
            if len(msg.data) > REQUEST_BYTES_MAX:
                raise InvalidArgument(
                    f"{verb} request has {len(msg.data)} bytes; at most {REQUEST_BYTES_MAX} are allowed"
                )
            reply = await do(msg.data)
        except LathError as e:
            reply, headers = answer.refusal(self._holder, e), _error_headers(e)
        except Exception as e:
            _log.exception("link verb failed", verb=verb)
            error = Internal(f"{verb} failed: {type(e).__name__}: {e}")
            reply, headers = answer.refusal(self._holder, error), _error_headers(error)
        await self._bus.publish(msg.reply, reply.model_dump_json(exclude_none=True).encode(), headers=headers)

    # --- ping ------------------------------------------------------------------------------------------

    async def _ping(self, data: bytes, *, with_values: bool) -> PingReply:
        request = parse(PingRequest, data or b"{}", "ping request")
        answer.check_selector(request.selector)
        deadline = asyncio.get_running_loop().time() + request.timeout_ms / 1000
        if request.await_key is not None:
            return await self._await_settled(request, deadline)
        held = self._holder.held(request.selector)
        if request.after is not None:
            asked = answer.after(held, request.after)
            return answer.page(self._holder, held, self._with_values(asked) if with_values else asked)
        told: Sequence[HeldLink] = held
        if with_values and len(held) <= DETAILS_MAX:
            told = self._with_values(held)
        if request.deep:
            told = await self._checked(told, deadline, request.timeout_ms)
        return answer.summary(self._holder, held, told)

    async def _await_settled(self, request: PingRequest, deadline: float) -> PingReply:
        """Answers once the link is settled, or as it stands when the time is over."""
        if request.await_key is None or request.await_revision is None:
            raise InvalidArgument("ping request: await_key goes with await_revision: give both")
        key = request.await_key
        answer.check_key(key)
        if self._waits >= WAITS_MAX:
            raise Overloaded(f"{self._waits} requests already wait for links to settle: try again later")
        self._waits += 1
        try:
            async with asyncio.timeout_at(deadline):
                links = [await self._holder.settled(key, request.await_revision)]
        except TimeoutError:
            links = self._holder.held(LinkSelector(key=key))
        finally:
            self._waits -= 1
        return answer.summary(self._holder, links)

    async def _checked(
        self, held: Sequence[HeldLink], deadline: float, timeout_ms: int
    ) -> Sequence[HeldLink]:
        """The links with what their backends say; a link whose check fails counts as failed."""
        waiting = iter(enumerate(held))
        checked = list(held)

        async def work() -> None:
            for index, link in waiting:
                if link.state == "active":
                    checked[index] = await self._check(link, deadline, timeout_ms)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(CHECKS_AT_ONCE_MAX, len(held))):
                group.create_task(work())
        return checked

    async def _check(self, link: HeldLink, deadline: float, timeout_ms: int) -> HeldLink:
        limit = asyncio.timeout_at(deadline)
        try:
            async with limit:
                return link.model_copy(update={"check_ms": await self._holder.check(link.key)})
        except Exception as e:
            if limit.expired():
                error = f"the check did not end within {timeout_ms} ms"
            else:
                error = e.message if isinstance(e, LathError) else f"{type(e).__name__}: {e}"
        return link.model_copy(update={"state": "failed", "error": error})

    def _with_values(self, links: Sequence[HeldLink]) -> list[HeldLink]:
        return [link.model_copy(update={"values": dict(self._holder.values(link.key))}) for link in links]

    # --- purge and pull --------------------------------------------------------------------------------

    async def _purge(self, data: bytes) -> VerbAck:
        request = parse(PurgeRequest, data or b"{}", "purge request")
        answer.check_selector(request.selector)
        purge = self._holder.purge(request.selector, request.hold)
        return answer.ack(self._holder, await self._finish("purge", purge, request.timeout_ms))

    async def _pull(self, data: bytes) -> VerbAck:
        request = parse(PullRequest, data or b"{}", "pull request")
        answer.check_selector(request.selector)
        pull = self._holder.pull(request.selector)
        return answer.ack(self._holder, await self._finish("pull", pull, request.timeout_ms))

    async def _finish(self, verb: str, work: Coroutine[Any, Any, _T], timeout_ms: int) -> _T:
        """Awaits the work for so long; past that it goes on, since half a purge helps nobody."""
        task = asyncio.create_task(work, name=f"link {verb}")
        self._running.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait({task}, timeout=timeout_ms / 1000)
        if not done:
            raise DeadlineExceeded(f"the {verb} still runs after {timeout_ms} ms, and goes on")
        if task.cancelled():
            raise Draining(f"stopped during the {verb}")
        return task.result()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("link verb ended with an error", task=task.get_name(), error=str(error))


def _error_headers(error: LathError) -> dict[str, str]:
    message = " ".join(error.message.split())[:1024]
    return {
        subjects.HEADER_ERROR: error.kind,
        subjects.HEADER_SERVICE_ERROR: message or error.kind,
        subjects.HEADER_SERVICE_ERROR_CODE: _CODE_BY_KIND.get(error.kind, "500"),
    }
