"""From a call to the method that serves it: version, link, arguments, deadline, errors.

A call from the bus and one from the same process take the same way; only the form of the values differs.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from lath import subjects, telemetry
from lath.codec import Wire
from lath.errors import (
    CallCancelled,
    DeadlineExceeded,
    Draining,
    Internal,
    InvalidArgument,
    LathError,
    LinkNotFound,
    NotFound,
    Overloaded,
    PayloadTooLarge,
    Unavailable,
)
from lath.model import Revision
from lath.names import CLIENT_SOURCE, NO_LINK, InterfaceName, shown, versions_compatible
from lath.provider.base import Operation, Provider
from lath.provider.call import Call
from lath.provider.errors import BackendLost, OpError
from lath.provider.lent import LentStream, ReadStream
from lath.provider.link import Link
from lath.provider.table import LinkTable
from lath.provider.use import LinkUse
from lath.rpc import IncomingCall, Streamed
from lath.streamed import ByteStream
from lath.streamed.serving import result_of
from lath.telemetry.metrics import ActiveKey

LOCAL_CALLS_MAX: Final = 10_000
"""Calls from the same process at once; as many as a `CallServer` takes from the bus."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a call asks for, and by which link.

    Attributes:
        interface: With the version that the caller was built against, if it said so.
        deadline: Loop time.
        revision: Of the link that the call was routed by.
    """

    source_id: str
    link: str
    interface: InterfaceName
    function: str
    deadline: float
    revision: Revision | None
    call_id: str


class Dispatch:
    """Serves the calls of one provider instance.

    Args:
        provider: Whose methods serve them.
        provider_id: What links name.
        table: The links that calls come by.
        secrets_of: The secrets that a link was opened with, by its key.
        log: A logger that names the instance.
    """

    def __init__(
        self,
        provider: Provider,
        provider_id: str,
        table: LinkTable,
        secrets_of: Callable[[str], Mapping[str, str]],
        log: Any,
    ) -> None:
        self._provider = provider
        self._id = provider_id
        self._table = table
        self._secrets_of = secrets_of
        self._log = log
        self._ready = asyncio.Event()
        self._local: dict[asyncio.Task[Any], Asked] = {}
        self._lent: set[LentStream] = set()
        self._draining = False

    def ready(self) -> None:
        """The links were read for the first time: calls that waited for this go on."""
        self._ready.set()

    @property
    def accepting(self) -> bool:
        """Whether a call from the same process would be taken now."""
        return self._ready.is_set() and not self._draining and len(self._local) < LOCAL_CALLS_MAX

    def active(self) -> list[ActiveKey]:
        """The calls from the same process that run now, for metrics; asked for in another thread."""
        return [
            ("server", self._id, each.interface.unversioned, each.function, each.source_id, each.link)
            for each in list(self._local.values())
        ]

    async def drain_local(self) -> None:
        """Takes no more calls from the same process, and waits for those that run, and for their streams."""
        self._draining = True
        while self._local:
            await asyncio.wait(self._local)
        for lent in list(self._lent):
            await lent.over.wait()

    def close(self) -> None:
        """Takes no more calls from the same process, and cancels those that run."""
        self._draining = True
        for task in self._local:
            task.cancel()
        for lent in list(self._lent):
            lent.end(CallCancelled(f"the instance of {self._id} was stopped"))

    # --- the two ways in -----------------------------------------------------------------------------

    async def remote(self, call: IncomingCall) -> bytes | Streamed:
        """Serves a call from the bus: the handler of a `CallServer`."""
        subject, header = call.subject, call.header
        name = InterfaceName(subject.namespace, subject.package, subject.interface, header.interface_version)
        asked = Asked(
            subject.source, subject.link, name, subject.function,
            call.deadline, header.revision, header.call_id,
        )  # fmt: skip
        operation = self._find(asked)
        result = await self._run(operation, asked, lambda: operation.args_of_call(call), call.last)
        if isinstance(result, ByteStream):
            return await result_of(operation.codec, result)
        encoded: bytes = _fitting(operation, lambda: operation.codec.encode_result(result))
        return encoded

    async def local(self, asked: Asked, params: Sequence[Wire]) -> Wire:
        """Serves a call from the same process: wire values in and out, the same checks and errors.

        Raises:
            LathError: As over the bus, `draining` and `overloaded` included.
        """
        if self._draining:
            raise Draining(f"this instance of {self._id} is stopping")
        if len(self._local) >= LOCAL_CALLS_MAX:
            raise Overloaded(f"{len(self._local)} calls run in this instance of {self._id}")
        operation = self._find(asked)
        # A task of its own: it is cancelled when the instance closes, and its caller then is told so.
        task = asyncio.create_task(self._serve_local(operation, asked, params))
        self._local[task] = asked
        task.add_done_callback(self._local.pop)
        try:
            return await task
        except asyncio.CancelledError:
            if task.cancelled() and not _being_cancelled():
                raise CallCancelled(f"the instance of {self._id} was stopped during the call") from None
            if not task.cancel() and not task.cancelled() and task.exception() is None:
                await _unwanted(operation, task.result())
            raise

    async def _serve_local(self, operation: Operation, asked: Asked, params: Sequence[Wire]) -> Wire:
        result = await self._run(operation, asked, lambda: operation.args_of_wire(params))
        if isinstance(result, ByteStream):
            assert operation.streaming is not None, "no other has a stream for a result"
            return operation.streaming.with_stream(result)
        return _fitting(operation, lambda: operation.codec.result_to_send(result))

    # --- the common way ------------------------------------------------------------------------------

    def _find(self, asked: Asked) -> Operation:
        name = asked.interface
        operation = self._provider.operations.get(
            (name.namespace, name.package, name.interface, asked.function)
        )
        if operation is None:
            raise self._not_found(asked)
        if name.version and not versions_compatible(name.version, operation.interface.version):
            raise NotFound(f"{self._id} serves {operation.interface}, not version {name.version} of it")
        return operation

    def _not_found(self, asked: Asked) -> NotFound:
        served = self._provider.operations
        name = asked.interface
        functions = [key[3] for key in served if key[:3] == (name.namespace, name.package, name.interface)]
        if functions:
            return NotFound(
                f"{self._id} has no function {shown(asked.function)} in {name.unversioned},"
                f" only {', '.join(sorted(functions))}"
            )
        return NotFound(
            f"{self._id} does not serve {shown(name.unversioned)},"
            f" only {', '.join(self._provider.interfaces()) or 'nothing'}"
        )

    async def _run(
        self,
        operation: Operation,
        asked: Asked,
        args: Callable[[], list[Any]],
        last: Callable[[], object] = bool,
    ) -> Any:
        """Has an operation serve a call.

        Args:
            operation: Which.
            asked: The call.
            args: Gives its arguments.
            last: Called where its deadline does not hold any more, since the stream that it brings is read.
        """
        key = self._key(asked)
        await self._wait_ready(asked.deadline)
        use = await self._table.use(key, asked.revision, asked.deadline)
        if operation.streaming is None:
            with use:
                return await self._within(operation, self._call(asked, use), use, args)
        with ExitStack() as uses:
            uses.enter_context(use)
            call = self._call(asked, use)
            result = await self._within(
                operation, call, use, lambda: _lasting(operation, args(), call, use, last)
            )
            if not isinstance(result, ByteStream) or result.whole is not None:
                return result
            failure = partial(self._failure, operation, call)
            lent = LentStream(result, failure, uses.pop_all(), self._lent)
            use.lend(lent.end)
            return ByteStream(lent, result.size)

    def _call(self, asked: Asked, use: LinkUse) -> Call[Any]:
        """What the operation is told of a call."""
        link = Link(use.link, "target", self._secrets_of(use.link.key))
        if asked.interface.interface not in use.link.interfaces:
            raise LinkNotFound(
                f"link {link.key} allows {', '.join(use.link.interfaces)}, not {asked.interface.interface}"
            )
        return Call(
            link=link,
            held=use.held,
            source_id=asked.source_id,
            call_id=asked.call_id,
            deadline=asked.deadline,
            trace=telemetry.current(),
            log=self._log.bind(link=link.key, source=asked.source_id),
        )

    async def _within(
        self, operation: Operation, call: Call[Any], use: LinkUse, args: Callable[[], list[Any]]
    ) -> Any:
        """Has an operation serve a call within its deadline, and for as long as its link is there."""
        limit = use.until(call.deadline)
        arguments = args()
        try:
            async with limit:
                return await operation.run(self._provider, call, arguments)
        except LathError:
            raise
        except TimeoutError:
            if use.ended:
                raise
            if limit.expired():
                raise DeadlineExceeded(f"{operation.title} ran past the call's deadline") from None
            raise self._failure(operation, call, TimeoutError("timed out")) from None
        except Exception as e:
            raise self._failure(operation, call, e) from e

    def _key(self, asked: Asked) -> str:
        """The key of the link that the call came by, if it is one that can exist."""
        if asked.source_id == CLIENT_SOURCE or asked.link == NO_LINK:
            raise LinkNotFound(
                f"{self._id} is a provider: components call it by their links, and clients cannot: "
                "call a component that is linked to it"
            )
        try:
            return subjects.link_key(
                asked.source_id, self._id, asked.interface.namespace, asked.interface.package, asked.link
            )
        except InvalidArgument as e:
            raise LinkNotFound(f"no link can be so called: {e.message}") from None

    async def _wait_ready(self, deadline: float) -> None:
        if self._ready.is_set():
            return
        try:
            async with asyncio.timeout_at(deadline):
                await self._ready.wait()
        except TimeoutError:
            raise Unavailable(f"this instance of {self._id} has not read its links yet") from None

    def _failure(self, operation: Operation, call: Call[Any], error: Exception) -> LathError:
        """What the caller is told of what an operation, or the stream that it has made, has raised."""
        if isinstance(error, LathError):
            return error
        if isinstance(error, BackendLost):
            key = call.link.key
            self._table.lost(key, call.held, error)
            return error.told(key)
        if isinstance(error, OpError):
            return Internal(f"{operation.title}: {error.payload}")
        call.log.error("an operation raised", operation=operation.title, exc_info=error)
        return Internal(f"{operation.title}: {type(error).__name__}: {error}")


def _fitting(operation: Operation, encode: Callable[[], Any]) -> Any:
    """Encodes a result. The operation has run, so one that does not fit is a defect, not a refusal."""
    try:
        return encode()
    except (InvalidArgument, PayloadTooLarge) as e:
        raise Internal(f"{operation.title} returned what cannot be its result: {e.message}") from e


def _lasting(
    operation: Operation,
    arguments: list[Any],
    call: Call[Any],
    use: LinkUse,
    last: Callable[[], object],
) -> list[Any]:
    """The arguments of a call. Its deadline ends when the stream among them is read, which may last."""
    place = operation.streaming.param if operation.streaming is not None else None
    if place is None or arguments[place].whole is not None:
        return arguments
    limit = use.until(call.deadline)

    def begun() -> None:
        call.deadline = math.inf
        last()
        if not use.ended:  # else that is what ends the call, and is due
            with suppress(RuntimeError):  # it has run out meanwhile
                limit.reschedule(None)

    stream: ByteStream = arguments[place]
    arguments[place] = ByteStream(ReadStream(stream, begun), stream.size)
    return arguments


async def _unwanted(operation: Operation, result: Any) -> None:
    """Lets go of the result of a call whose caller was cancelled just when it was there."""
    stream = operation.streaming.stream_of(result) if operation.streaming is not None else None
    if isinstance(stream, ByteStream):
        await stream.aclose()


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
