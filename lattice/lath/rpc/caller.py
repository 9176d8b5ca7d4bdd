"""Calls over the bus: which instance, how long, how often, and what its silence means."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from nats import errors as nats_errors

from lath import telemetry
from lath.codec import ComponentHandle
from lath.errors import (
    ConnectionLost,
    DeadlineExceeded,
    Draining,
    InvalidArgument,
    LathError,
    NotConnected,
    NotFound,
    Overloaded,
    PayloadTooLarge,
    PermissionDenied,
    Unavailable,
)
from lath.model.revision import Revision
from lath.names import check_name, new_id
from lath.rpc.balance import Balance, FailedAttempt, RetryBudget, may_retry
from lath.rpc.bulk import PAYLOAD_BYTES_MAX
from lath.rpc.deadlines import DeadlineWheel
from lath.rpc.failure import nobody, not_sent
from lath.rpc.header import TIMEOUT_MS_DEFAULT, TIMEOUT_MS_MAX, routing_part
from lath.rpc.holders import Holders
from lath.rpc.pending import Pending
from lath.rpc.replies import Replies
from lath.rpc.routes import Route, RouteCache
from lath.rpc.sending import Gone, Sending, is_nobody
from lath.subjects import HEADER_CALL, HEADER_NEAR, HEADER_TRACEPARENT, HEADER_TRACESTATE

if TYPE_CHECKING:
    from lath.bus import Bus
    from lath.presence import PresenceView

_log = telemetry.get_logger("lath.rpc")

_CANCEL_MS: Final = 5_000
"""The time-out that a cancel message carries; nobody waits for it."""

T = TypeVar("T")
Send: TypeAlias = Callable[[Pending, dict[str, str], float, bool], Awaitable[T]]
"""Makes one attempt, and returns what it came to: given the attempt, the headers of its message, the deadline
(loop time) and whether a link names the target."""


def _always() -> bool:
    return True


class Caller:
    """Makes calls. One per process, shared by everything in it that calls.

    Args:
        bus: The connection.
        presence: Who serves what. None: nobody is known, every call goes to the target's queue group.
        source: The id that this process calls as, when it is one participant; only for messages.
    """

    def __init__(self, bus: Bus, presence: PresenceView | None, source: str) -> None:
        self.source = check_name(source, "source")
        self.budget = RetryBudget()
        self._bus = bus
        self._presence = presence
        self._loop = asyncio.get_running_loop()
        self._balance = Balance()
        self._routes = RouteCache(bus.lattice)
        self.replies = Replies(bus)
        self._id_prefix = new_id()[:12]
        self._numbers = itertools.count()
        self._pending = self.replies.pending
        self._sending = Sending(bus, self.replies)
        self._wheel: DeadlineWheel[Pending] = DeadlineWheel(Pending.expire)
        self._holders = Holders(bus, self._pending, self._ask_instance)
        self._removers = [bus.on_disconnect(self._disconnected), bus.on_denied(self._denied)]
        if presence is not None:
            self._removers.append(presence.on_change(self._holders.presence_changed))
        self._closed = False

    async def __aenter__(self) -> Caller:
        return self

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    def outstanding(self, instance: str) -> int:
        """How many calls of this caller the instance holds."""
        return self._balance.outstanding(instance)

    async def call(
        self,
        target: str,
        tail: str,
        payload: bytes,
        *,
        timeout_ms: float = TIMEOUT_MS_DEFAULT,
        linked: bool,
        revision: Revision | None = None,
        interface_version: str = "",
        app_version: str = "",
        earlier: FailedAttempt | None = None,
        at: ComponentHandle | None = None,
    ) -> bytes:
        """Calls a function of `target` and returns the packed result.

        Args:
            target: Component or provider.
            tail: The rest of the subject, made once per function by `lath.subjects.call_tail`.
            payload: The packed parameters.
            timeout_ms: Until the caller gives up, retries included.
            linked: Whether a link names the target: without instances the error is then `Unavailable`,
                otherwise `NotFound`.
            revision: Of the link that was followed.
            interface_version: What the caller was built against.
            app_version: The deployed version that the request belongs to.
            earlier: The first attempt, where it was made at an instance in this process: the call goes on as
                after any other, at the other instances, or fails as that one did.
            at: The call goes to the instance that this resource lives in, and to no other.

        Raises:
            NotFound: That instance is gone.
            NotConnected: There is no connection; nothing was sent, and nothing will be.
            PayloadTooLarge: More than 64 MiB.
            LathError: Whatever went wrong, by kind; see `lath.errors`.
        """
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise PayloadTooLarge(f"{len(payload)} bytes to {target} are above {PAYLOAD_BYTES_MAX}")
        return await self.carry(
            target, tail, partial(self._sending.send, payload),
            timeout_ms=timeout_ms, linked=linked, revision=revision, interface_version=interface_version,
            app_version=app_version, earlier=earlier, at=at,
        )  # fmt: skip

    async def carry(
        self,
        target: str,
        tail: str,
        send: Send[T],
        *,
        timeout_ms: float,
        linked: bool,
        revision: Revision | None = None,
        interface_version: str = "",
        app_version: str = "",
        earlier: FailedAttempt | None = None,
        at: ComponentHandle | None = None,
        repeatable: Callable[[], bool] = _always,
    ) -> T:
        """Makes a call whose message is sent some way of its own; what is the same for all ways is done here.

        Args:
            target: As for `call`, like all that is not explained here.
            tail: The rest of the subject.
            send: Makes one attempt.
            timeout_ms: Until the caller gives up, retries included.
            linked: Whether a link names the target.
            revision: Of the link.
            interface_version: What the caller was built against.
            app_version: Of the app.
            earlier: The first attempt.
            at: The resource that the call goes to.
            repeatable: Whether another attempt may be made now.

        Raises:
            NotConnected: There is no connection; nothing was sent, and nothing will be.
            LathError: Whatever went wrong.
        """
        if not self._bus.connected:
            if earlier is not None:
                raise earlier.error
            raise NotConnected("the connection to the bus is lost, reconnecting; nothing was sent")
        if not 0 < timeout_ms <= TIMEOUT_MS_MAX:
            raise InvalidArgument(f"timeout_ms {timeout_ms!r} is not between 0 and {TIMEOUT_MS_MAX}")
        route = self._routes.get(target, tail)
        routing = (
            routing_part(revision, interface_version, app_version)
            if revision is not None or interface_version or app_version
            else ",,"
        )
        if not telemetry.sampled() and not telemetry.measuring():
            return await self._call(route, send, timeout_ms, routing, linked, earlier, at, repeatable)
        return await self._observed(route, send, timeout_ms, routing, linked, earlier, at, repeatable)

    async def _observed(
        self,
        route: Route,
        send: Send[T],
        timeout_ms: float,
        routing: str,
        linked: bool,
        earlier: FailedAttempt | None,
        at: ComponentHandle | None,
        repeatable: Callable[[], bool],
    ) -> T:
        began = self._loop.time()
        kind = "ok"
        try:
            with telemetry.span(route.name, "client", route.attributes) as span:
                return await self._call(
                    route, send, timeout_ms, routing, linked, earlier, at, repeatable, span
                )
        except LathError as e:
            kind = e.kind
            raise
        except asyncio.CancelledError:
            kind = "cancelled"
            raise
        finally:
            duration_ms = (self._loop.time() - began) * 1000
            telemetry.record_call(
                "client", route.target, route.interface, route.function, kind, duration_ms,
                route.source, route.link,
            )  # fmt: skip

    async def _call(
        self,
        route: Route,
        send: Send[T],
        timeout_ms: float,
        routing: str,
        linked: bool,
        earlier: FailedAttempt | None,
        at: ComponentHandle | None,
        repeatable: Callable[[], bool],
        span: telemetry.Span = telemetry.NO_SPAN,
    ) -> T:
        """Attempts, until one succeeds or must not be repeated."""
        deadline = self._loop.time() + timeout_ms / 1000
        if at is not None:
            span.set("lath.instance", at.instance)
            self._holders.sent_to(at.instance, route.target, self._presence)
            try:
                return await self._attempt(
                    route, at.instance, send, deadline, routing, linked, at.token.hex()
                )
            except Gone as e:
                raise NotFound(f"{e.message}, and with it what the handle of {route.name} stood for") from e
        self.budget.deposit()
        tried: list[str] = []
        attempts = overloaded = 0
        failure: LathError | None = None
        if earlier is not None:
            failure, attempts = earlier.error, 1
            overloaded += isinstance(failure, Overloaded)
            tried.append(earlier.instance)
            self._check_retry(failure, attempts, overloaded, deadline)
        while True:
            try:
                instance = self._choose(route.target, tried, linked)
            except LathError as e:
                raise (failure or e) from None
            attempts += 1
            span.set("lath.instance", instance)
            span.set("lath.attempts", attempts)
            try:
                return await self._attempt(route, instance, send, deadline, routing, linked)
            except LathError as e:
                failure = e
            overloaded += isinstance(failure, Overloaded)
            if self._presence is not None and isinstance(failure, Gone | Draining):
                # Whatever its presence still says.
                self._presence.suspect(instance)
            if not repeatable():
                raise failure
            self._check_retry(failure, attempts, overloaded, deadline)
            tried.append(instance)

    def _check_retry(self, failure: LathError, attempts: int, overloaded: int, deadline: float) -> None:
        """Raises `failure` unless it may be tried again."""
        if (
            not may_retry(failure, attempts, overloaded)
            or self._loop.time() >= deadline
            or not self.budget.withdraw()
        ):
            raise failure

    def _choose(self, target: str, tried: list[str], linked: bool) -> str:
        """The instance for the next attempt; empty for the queue group."""
        if self._presence is None:
            return ""
        instances = self._presence.instances(target)
        if not instances:
            raise nobody(target, linked)
        instance = self._balance.pick(instances, tried)
        if not instance:
            raise Unavailable(f"every instance of {target} was tried")
        return instance

    async def _attempt(
        self,
        route: Route,
        instance: str,
        send: Send[T],
        deadline: float,
        routing: str,
        linked: bool,
        near: str = "",
    ) -> T:
        call_id = f"{self._id_prefix}{next(self._numbers):x}"
        ms_left = int((deadline - self._loop.time()) * 1000) + 1
        headers = {HEADER_CALL: f"{ms_left},{call_id},{routing}"}
        if near:
            headers[HEADER_NEAR] = near
        trace = telemetry.current()
        if trace is not None:
            headers[HEADER_TRACEPARENT] = trace.traceparent
            if trace.tracestate:
                headers[HEADER_TRACESTATE] = trace.tracestate
        pending = Pending(self._loop.create_future(), route, instance, call_id)
        self._pending[call_id] = pending
        self._balance.began(instance)
        watched = self._wheel.add(pending, deadline)
        try:
            return await send(pending, headers, deadline, linked)
        except nats_errors.Error as e:
            pending.abandon()
            raise not_sent(e, route.target) from e
        except (asyncio.CancelledError, DeadlineExceeded):
            pending.abandon()
            await self._cancel(pending)
            raise
        except LathError:
            pending.abandon()
            raise
        finally:
            watched.discard(pending)
            self._balance.ended(instance)
            self._pending.pop(call_id, None)

    async def _cancel(self, pending: Pending) -> None:
        """Tells the instance that nobody waits any more. A member of a queue group is unknown to us."""
        if not pending.instance or not self._bus.connected:
            return
        try:
            headers = {HEADER_CALL: f"{_CANCEL_MS},{pending.call_id},,,"}
            await self._bus.nc.publish(pending.cancel_subject, b"", "", headers)
        except nats_errors.Error as e:
            _log.debug("could not cancel", call=pending.call_id, error=str(e))

    async def _ask_instance(self, pending: Pending) -> bool:
        """Whether the instance that holds a call is still there (it answers cancels of unknown calls too)."""
        probe = f"{self._id_prefix}p{next(self._numbers):x}"
        asked = Pending(self._loop.create_future(), pending.route, pending.instance, probe)
        self._pending[probe] = asked
        watched = self._wheel.add(asked, self._loop.time() + _CANCEL_MS / 1000)
        try:
            headers = {HEADER_CALL: f"{_CANCEL_MS},{probe},,,"}
            await self.replies.listen()
            reply = self.replies.subject(probe)
            await self._bus.nc.publish(pending.cancel_subject, b"", reply, headers)
            msg = await asked.future
        except DeadlineExceeded:
            return False
        except (LathError, nats_errors.Error):
            return True  # the connection is the problem; its loss has its own error
        finally:
            watched.discard(asked)
            self._pending.pop(probe, None)
        return not is_nobody(msg)

    def _disconnected(self) -> None:
        error = ConnectionLost("the connection to the bus broke while the answer was awaited")
        for pending in list(self._pending.values()):
            pending.fail(error)

    def _denied(self, subject: str) -> None:
        for pending in list(self._pending.values()):
            if subject == pending.subject:
                pending.fail(PermissionDenied(f"the bus does not permit publishing to {subject}"))

    async def close(self) -> None:
        """Fails what waits and leaves the inbox. Closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        for remove in self._removers:
            remove()
        await self._holders.close()
        for pending in list(self._pending.values()):
            pending.fail(ConnectionLost("the caller was closed while the answer was awaited"))
        self._wheel.close()
        await self.replies.close()
