"""Who takes part in a lattice in memory: providers, and Python objects that stand in for components."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeAlias

from lath import telemetry, wit
from lath.codec import Err, FuncCodec, python_name
from lath.errors import DeadlineExceeded, InvalidArgument, NotFound
from lath.http import HttpRequest, HttpResponse
from lath.model import Link
from lath.names import InterfaceName, check_target, new_id
from lath.provider import Backoff, OpError, Provider, ProviderContext
from lath.provider.base import Caller, HttpAsker
from lath.provider.dispatch import Asked, Dispatch
from lath.provider.errors import BackendLost
from lath.provider.link import Link as SeenLink
from lath.provider.opener import ProviderOpener
from lath.provider.pins import Pins
from lath.provider.table import LinkTable
from lath.rpc import IncomingCall

HttpAnswer: TypeAlias = Callable[[HttpRequest], Awaitable[HttpResponse]]
"""Answers a request, as a component does that exports `wasi:http/incoming-handler`."""


class Participant(Protocol):
    """One end of links.

    Attributes:
        id: What links name.
        interfaces: What it serves, with versions.
    """

    id: str
    interfaces: tuple[str, ...]

    def apply(self, link: Link) -> None:
        """A link that it is an end of was put."""

    def remove(self, link: Link) -> None:
        """It was deleted."""

    async def settled(self, link: Link) -> str | None:
        """Waits until the link is applied. Returns why it could not be, or None."""

    async def serve(self, call: IncomingCall) -> bytes:
        """Serves a call, as from the bus."""

    async def serve_streamed(self, call: IncomingCall, params: list[Any]) -> Any:
        """Serves a call with a stream, as within a host: wire values, and a `ByteStream` in its place."""

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Answers an HTTP request."""

    async def close(self) -> None:
        """Ends it."""


class MemoryProvider:
    """A provider without a bus: the same link table, dispatch, checks and errors as on one.

    Attributes:
        provider: The provider.
        table: Its links.
    """

    def __init__(
        self, served_by: Provider, provider_id: str, config: Mapping[str, str], call: Caller, http: HttpAsker,
        backoff: Backoff, lattice: str,
    ) -> None:  # fmt: skip
        self.id = check_target(provider_id, "provider id")
        self.provider = served_by
        self.interfaces = served_by.interfaces()
        instance_id = new_id()
        log = telemetry.get_logger("lath.provider").bind(provider=provider_id, instance=instance_id)
        self._config = dict(config)
        self.opener = ProviderOpener(served_by, provider_id)
        self.table = LinkTable(provider_id, self.opener, caught_up=lambda _: True, backoff=backoff)
        self._dispatch = Dispatch(served_by, provider_id, self.table, self.opener.secrets_of, log)
        self._pins = Pins(provider_id, instance_id)
        self._started = False
        served_by.context = ProviderContext(
            lattice=lattice, provider_id=provider_id, instance_id=instance_id, host_id="", nats_url="",
            credentials=None, config=self._config, call=call, http=http, lost=self._lost,
            pins=self._pins,
        )  # fmt: skip

    async def start(self) -> None:
        """Starts it; calls are served from here on.

        Raises:
            Exception: What the provider's `start` raised.
        """
        await self.provider.start(self._config)
        self._started = True
        self._dispatch.ready()

    def apply(self, link: Link) -> None:
        self.table.apply(link)

    def remove(self, link: Link) -> None:
        self.table.remove(link.key)

    async def settled(self, link: Link) -> str | None:
        held = await self.table.settled(link.key, link.revision)
        return None if held.state == "active" else f"{held.state}: {held.error}"

    async def serve(self, call: IncomingCall) -> bytes:
        result = await self._dispatch.remote(call)
        assert isinstance(result, bytes), "what goes on as a stream is asked of `serve_streamed`"
        return result

    async def serve_streamed(self, call: IncomingCall, params: list[Any]) -> Any:
        subject, header = call.subject, call.header
        name = InterfaceName(subject.namespace, subject.package, subject.interface, header.interface_version)
        asked = Asked(
            subject.source, subject.link, name, subject.function,
            call.deadline, header.revision, header.call_id,
        )  # fmt: skip
        return await self._dispatch.local(asked, params)

    async def answer(self, request: HttpRequest) -> HttpResponse:
        raise NotFound(f"provider {self.id} does not serve HTTP to links")

    async def close(self) -> None:
        """Drains it, closes its links, and stops it."""
        try:
            if self._started:
                await self.provider.drain()
        finally:
            self._dispatch.close()
            await self._pins.close()
            await self.table.close()
            if self._started:
                await self.provider.stop()

    def _lost(self, link: SeenLink, held: Any, reason: str) -> None:
        self.table.lost(link.key, held, BackendLost(reason))


class StandIn:
    """A Python object in the place of a component.

    Args:
        component_id: What links name.
        exports: By interface (`acme:app/handler`), an object whose async methods are called by the functions'
            names in snake_case. They return the result, or raise `OpError`.
        http: Answers requests, for a component that serves HTTP.
    """

    def __init__(
        self, component_id: str, exports: Mapping[str, object], http: HttpAnswer | None = None
    ) -> None:
        self.id = check_target(component_id, "component id")
        self._http = http
        self._served: dict[tuple[str, str], tuple[FuncCodec, Callable[..., Awaitable[Any]]]] = {}
        names = []
        for interface, served_by in exports.items():
            described = wit.load(interface)
            names.append(described.name)
            for function, func in described.functions.items():
                method = getattr(served_by, python_name(function.rpartition(".")[2]), None)
                if method is None:
                    continue
                if not inspect.iscoroutinefunction(method):
                    raise InvalidArgument(f"{component_id}: {function} of {interface} is not `async def`")
                unversioned = InterfaceName.parse(described.name).unversioned
                self._served[unversioned, function] = (FuncCodec(func), method)
        self.interfaces = tuple(names)

    def apply(self, link: Link) -> None:
        """Nothing is opened for it."""

    def remove(self, link: Link) -> None:
        """Nothing was opened for it."""

    async def settled(self, link: Link) -> str | None:
        return None

    async def serve(self, call: IncomingCall) -> bytes:
        """Calls the method.

        Raises:
            NotFound: There is none.
            DeadlineExceeded: It ran past the call's deadline.
        """
        subject = call.subject
        interface = InterfaceName(subject.namespace, subject.package, subject.interface).unversioned
        codec, method = self._served.get((interface, subject.function), (None, None))
        if codec is None or method is None:
            raise NotFound(f"{self.id} has no function {subject.function} of {interface}")
        try:
            async with asyncio.timeout_at(call.deadline) as limit:
                result = await method(*codec.decode_params(call.payload))
        except OpError as e:
            result = Err(e.payload)
        except TimeoutError:
            if not limit.expired():
                raise
            raise DeadlineExceeded(f"{subject.function} ran past the call's deadline") from None
        return codec.encode_result(result)

    async def serve_streamed(self, call: IncomingCall, params: list[Any]) -> Any:
        """Refuses it: components neither take nor give streams over links.

        Raises:
            NotFound: Always.
        """
        raise NotFound(f"{self.id} serves no streams")

    async def answer(self, request: HttpRequest) -> HttpResponse:
        if self._http is None:
            raise NotFound(f"{self.id} does not serve HTTP")
        return await self._http(request)

    async def close(self) -> None:
        """Nothing is held."""
