"""Serving calls: one task per call, a deadline for each, and an answer to everything that can be answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from nats import errors as nats_errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from lath import telemetry
from lath.bus.sink import sink
from lath.errors import (
    CallCancelled,
    DeadlineExceeded,
    Draining,
    Internal,
    InvalidArgument,
    LathError,
    Overloaded,
    PermissionDenied,
)
from lath.names import check_name, check_target
from lath.rpc.absent import AbsentCallers
from lath.rpc.answering import Answering
from lath.rpc.bulk import (
    INLINE_BYTES_MAX,
    STALL_S,
)
from lath.rpc.call import Handler, IncomingCall
from lath.rpc.deadlines import DeadlineWheel
from lath.rpc.failure import body_of, headers_of
from lath.rpc.header import CallHeader
from lath.rpc.micro import Micro, Service
from lath.rpc.replies import may_answer
from lath.rpc.routes import SubjectCache
from lath.rpc.running import Running
from lath.rpc.stats import CallStats
from lath.subjects import (
    CANCEL_FUNCTION,
    HEADER_BULK,
    HEADER_CALL,
    HEADER_NEAR,
    HEADER_STREAM,
    CallSubject,
    call_any_pattern,
    call_instance_pattern,
)

if TYPE_CHECKING:
    from lath.bus import Bus
    from lath.telemetry.metrics import ActiveKey
    from lath.telemetry.spans import AttributeValue

_log = telemetry.get_logger("lath.rpc")

INFLIGHT_MAX: Final = 10_000
REFUSING_MAX: Final = 10_000
"""Refusals being written at once. Past that a flood is not even answered; its callers run into time-outs."""
LINGER_MS: Final = 2_000
"""How long `draining` is answered after presence was withdrawn: well above what the news takes to travel."""


class CallServer:
    """Serves one instance of a target: the target's queue group, and calls addressed to the instance.

    Args:
        bus: The connection.
        target: The component or provider.
        instance_id: This instance of it.
        handler: Serves each call; see `lath.rpc.Handler`.
        inflight_max: Calls that may run at once; the next is refused as `overloaded`.
        metadata: Shown by `nats micro info`: host, kind, a friendly name.
        notices: What takes the payload of a message to this instance that is no call and wants no answer, by
            what stands where the function stands. It may raise `LathError`; nobody is told.
    """

    def __init__(
        self,
        bus: Bus,
        target: str,
        instance_id: str,
        handler: Handler,
        *,
        inflight_max: int = INFLIGHT_MAX,
        metadata: Mapping[str, str] | None = None,
        notices: Mapping[str, Callable[[bytes], None]] | None = None,
    ) -> None:
        self.target = check_target(target)
        self.instance_id = check_name(instance_id, "instance id")
        self.stats = CallStats()
        self._bus = bus
        self._answering = Answering(bus)
        self._handler = handler
        self._inflight_max = inflight_max
        self._loop = asyncio.get_running_loop()
        self._running: dict[tuple[str, str], Running] = {}
        self._absent = AbsentCallers(bus, self._running)
        self._refusing: set[asyncio.Task[None]] = set()
        self._subjects = SubjectCache()
        self._wheel: DeadlineWheel[Running] = DeadlineWheel(_expire)
        self._queue: Subscription | None = None
        self._own: Subscription | None = None
        self._metadata = dict(metadata or {})
        self._notices = dict(notices or {})
        self._hide: Callable[[], None] | None = None
        self._unread: Callable[[], object] = bool
        self._draining = False
        self._closed = False

    async def __aenter__(self) -> CallServer:
        await self.start()
        return self

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def inflight(self) -> int:
        """Calls that run now."""
        return len(self._running)

    @property
    def draining(self) -> bool:
        return self._draining

    async def start(self) -> None:
        """Subscribes, and returns once the server knows: presence may be announced then.

        Raises:
            NotConnected: There is no connection.
            PermissionDenied: The bus does not permit serving this target.
        """
        lattice = self._bus.lattice
        own = call_instance_pattern(lattice, self.target, self.instance_id)
        queue = call_any_pattern(lattice, self.target)
        service = Service(
            name=self.target,
            id=self.instance_id,
            metadata={"lattice": lattice, **self._metadata},
            subject=queue,
            queue_group=self.target,
        )
        denied: set[str] = set()
        remove = self._bus.on_denied(denied.add)
        try:
            self._own = await self._bus.nc.subscribe(own, future=sink(self._on_addressed))
            self._queue = await self._bus.nc.subscribe(queue, queue=self.target, future=sink(self._on_queued))
            self._hide = await Micro.of(self._bus).add(service, self.stats)
            await self._bus.flush()
        finally:
            remove()
        if denied & {own, queue}:
            await self.close()
            raise PermissionDenied(f"the bus does not permit serving {self.target}")
        self._unread = telemetry.read_active(self._active)

    # --- messages, in the read loop: nothing here may raise ------------------------------------------------

    def _on_queued(self, msg: Msg) -> None:
        # Served also while draining: the server hands over what it had picked us for before we left.
        self._take(msg, accept=True)

    def _on_addressed(self, msg: Msg) -> None:
        self._take(msg, accept=not self._draining)

    def _take(self, msg: Msg, *, accept: bool) -> None:
        try:
            function = msg.subject.rpartition(".")[2]
            if function == CANCEL_FUNCTION:
                self._on_cancel(msg)
            elif function in self._notices and not msg.reply:  # with one, a consumer may be aimed at us
                self._notices[function](msg.data)
            elif not may_answer(msg.reply):
                # A consumer aimed at us ($JS.ACK), a reply that would misuse our permissions, or none.
                self.stats.refused += 1
                _log.debug("dropped a call that cannot be answered", subject=msg.subject[:200])
            else:
                self._admit(msg, accept)
        except LathError as e:
            self._refuse(msg, e)
        except Exception as e:
            _log.exception("could not take a message", subject=msg.subject[:200])
            self._refuse(msg, Internal(f"the message could not be taken: {e!r}"))

    def _admit(self, msg: Msg, accept: bool) -> None:
        subject = self._subjects.parse(msg.subject)
        if not accept:
            raise Draining(f"instance {self.instance_id} of {self.target} is stopping")
        text = msg.headers.get(HEADER_CALL) if msg.headers else None
        if text is None:
            raise InvalidArgument(f"the call has no header {HEADER_CALL}")
        header = CallHeader.parse(text)
        if len(self._running) >= self._inflight_max:
            raise Overloaded(f"instance {self.instance_id} of {self.target} runs {self._inflight_max} calls")
        call = Running(msg, subject, header, self._loop.time() + header.ms_left / 1000)
        if call.key in self._running:
            raise InvalidArgument(f"call id {header.call_id} is in use")
        self._running[call.key] = call
        call.task = self._loop.create_task(self._serve(call))
        self._absent.watch()

    def _on_cancel(self, msg: Msg) -> None:
        header = CallHeader.parse(msg.headers.get(HEADER_CALL, "") if msg.headers else "")
        call = self._running.get((self._subjects.parse(msg.subject).source, header.call_id))
        if call is not None:
            call.stop(CallCancelled("its caller gave up"))
        if may_answer(msg.reply):
            self._spawn_refusal(self._answering.publish(msg.reply, b"", None))

    def _refuse(self, msg: Msg, error: LathError) -> None:
        self.stats.refused += 1
        if may_answer(msg.reply):
            self._spawn_refusal(self._answering.publish(msg.reply, body_of(error), headers_of(error)))

    def _spawn_refusal(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._refusing) >= REFUSING_MAX:
            work.close()
            return
        task = self._loop.create_task(work)
        self._refusing.add(task)
        task.add_done_callback(self._refusing.discard)

    # --- one call ------------------------------------------------------------------------------------------

    async def _serve(self, call: Running) -> None:
        watched = self._wheel.add(call, call.deadline)
        began_ns = time.perf_counter_ns()
        kind = "ok"
        call.started = True
        try:
            if call.reason is not None:
                raise call.reason
            msg = call.msg
            headers = msg.headers or {}
            trace = telemetry.extract(headers)
            telemetry.replace_current(trace)
            payload = await self._answering.payload(msg) if HEADER_BULK in headers else msg.data
            near = headers.get(HEADER_NEAR, "")
            incoming = IncomingCall(call.subject, call.header, payload, call.deadline, trace, near)
            if HEADER_STREAM in headers:
                incoming.stream, incoming.last = await self._answering.stream(msg), call.last
            handling = self._traced if telemetry.sampled() else self._handle
            result = await handling(call, incoming)
            if result is None:
                pass  # it went out as a stream
            elif len(result) > INLINE_BYTES_MAX:
                await self._answering.large(msg, result)
            elif not self._bus.nc.post(msg.reply, result):
                await self._answering.publish(msg.reply, result, None)
        except asyncio.CancelledError:
            reason = call.reason or CallCancelled(f"instance {self.instance_id} was stopped")
            kind = reason.kind
            await self._answering.fail(call, reason)
            if call.reason is None:
                raise
        except LathError as e:
            kind = e.kind
            await self._answering.fail(call, e)
        except Exception as e:
            kind = "internal"
            _log.exception("a call failed unexpectedly", subject=call.msg.subject)
            await self._answering.fail(call, Internal(f"{type(e).__name__}: {e}"))
        finally:
            watched.discard(call)
            del self._running[call.key]
            self._record(call.subject, kind, time.perf_counter_ns() - began_ns)

    def _tasks(self) -> set[asyncio.Task[None]]:
        return {call.task for call in self._running.values() if call.task is not None}

    async def _handle(self, running: Running, call: IncomingCall) -> bytes | None:
        """Runs a call; returns its result, or None where that has gone out as a stream."""
        try:
            result = await self._handler(call)
            if isinstance(result, bytes):
                return result
            await self._answering.streamed(running, result)
            return None
        finally:
            if call.stream is not None:
                await call.stream.aclose()

    async def _traced(self, running: Running, call: IncomingCall) -> bytes | None:
        s = call.subject
        interface = _interface(s)
        attributes: dict[str, AttributeValue] = {
            "rpc.system": "lath",
            "rpc.service": interface,
            "rpc.method": s.function,
            "lath.lattice": s.lattice,
            "lath.source": s.source,
            "lath.target": s.target,
            "lath.instance": self.instance_id,
            "lath.link": s.link,
        }
        name = f"{interface}.{s.function}" if interface else s.function
        with telemetry.span(name, "server", attributes):
            try:
                return await self._handle(running, call)
            except asyncio.CancelledError:
                if running.reason is not None:
                    raise running.reason from None  # so that the span tells why
                raise

    def _record(self, subject: CallSubject, kind: str, duration_ns: int) -> None:
        self.stats.record(kind, duration_ns)
        if telemetry.measuring():
            telemetry.record_call(
                "server", self.target, _interface(subject), subject.function, kind, duration_ns / 1e6,
                subject.source, subject.link,
            )  # fmt: skip

    def _active(self) -> list[ActiveKey]:
        calls = [call.subject for call in list(self._running.values())]
        return [("server", self.target, _interface(s), s.function, s.source, s.link) for s in calls]

    # --- the end -------------------------------------------------------------------------------------------

    async def drain(self, linger_ms: float = LINGER_MS) -> None:
        """Stops without losing a call. The owner has withdrawn the presence before.

        It leaves the queue group, answers `draining` to calls addressed to it, waits for what runs and at
        least `linger_ms`, and closes. Each call has its deadline; a stream that follows its answer has none,
        so the owner bounds the wait.

        Args:
            linger_ms: Callers that have not heard yet are answered for this long.
        """
        if self._closed:
            return
        self._draining = True
        if self._hide is not None:
            self._hide()
        queue, self._queue = self._queue, None
        if queue is not None:
            try:
                # Keeps handing over what the server sent before it heard that we leave.
                await queue.drain()  # type: ignore[no-untyped-call]
            except nats_errors.Error as e:
                _log.debug("could not leave the queue group", error=repr(e))
        until = self._loop.time() + linger_ms / 1000
        while tasks := self._tasks():
            await asyncio.wait(tasks)
        await asyncio.sleep(max(0.0, until - self._loop.time()))
        await self.close()

    async def close(self) -> None:
        """Stops at once: what runs is cancelled, and its callers are told so. Closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        self._draining = True
        self._unread()
        if self._hide is not None:
            self._hide()
        for subscription in (self._queue, self._own):
            if subscription is not None:
                try:
                    await subscription.unsubscribe()
                except nats_errors.Error as e:
                    _log.debug("could not unsubscribe", error=repr(e))
        for call in list(self._running.values()):
            call.stop(CallCancelled(f"instance {self.instance_id} of {self.target} was stopped"))
        tasks = self._tasks() | self._refusing
        if tasks:
            await asyncio.wait(tasks, timeout=STALL_S)
        await self._absent.close()
        self._wheel.close()


def _expire(call: Running) -> None:
    if call.answered or call.lasting:
        return
    call.stop(DeadlineExceeded(f"{call.subject.function} did not end within {call.header.ms_left} ms"))


def _interface(subject: CallSubject) -> str:
    return f"{subject.namespace}:{subject.package}/{subject.interface}" if subject.interface != "_" else ""
