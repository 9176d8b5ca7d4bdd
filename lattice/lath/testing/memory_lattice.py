"""A lattice in the test's own process, without a bus: for unit tests of providers, in milliseconds.

    async with MemoryLattice() as lattice:
        await lattice.start_provider(Redis(), "kv")
        lattice.add_component("app", {"acme:app/handler": Handler()})
        linked = await lattice.link("app", "kv", config={"url": url})
        bucket = await linked.call("wasi:keyvalue/store", "open", "")

What is real: the provider, its links with their states, retries and time-outs, the checks of a call, the
bytes that its values are packed into, and the errors. What is not there: KV and its compare-and-set,
presence, pings, other instances, hosts, guests, spans. `lath.testing.provider.ProviderTest` has a real bus.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from lath import wit
from lath.codec import Err, FuncCodec, Ok
from lath.errors import Conflict, DeadlineExceeded, LinkFailed, LinkNotFound, NotFound
from lath.http import HttpRequest, HttpResponse
from lath.http.calling import INTERFACE as HTTP_INTERFACE
from lath.model import Link, Revision
from lath.names import DEFAULT_LINK, InterfaceName, new_id
from lath.provider import Backoff, OpError, Provider
from lath.provider.link import Link as SeenLink
from lath.provider.outgoing import TIMEOUT_MS
from lath.rpc import IncomingCall
from lath.rpc.header import CallHeader
from lath.streamed import Pace, call_here, converse, streaming_of
from lath.subjects import CallSubject
from lath.testing.memory_participants import HttpAnswer, MemoryProvider, Participant, StandIn

SETTLED_S: Final = 15.0
"""How long a test waits for a link."""
RETRY_SOON: Final = Backoff(first_ms=20, max_ms=200)
"""In tests a failed link is tried again soon."""
_INCARNATION: Final = 1


class MemoryLattice:
    """Providers, stand-ins for components, and links between them. An async context manager.

    Args:
        name: Of the lattice, as providers see it.
        backoff: For links that fail.
    """

    def __init__(self, name: str = "memory", backoff: Backoff = RETRY_SOON) -> None:
        self.name = name
        self._backoff = backoff
        self._participants: dict[str, Participant] = {}
        self._links: dict[str, Link] = {}
        self._sequence = itertools.count(1)
        self._ending = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._ending.aclose()

    # --- who is there ----------------------------------------------------------------------------------

    async def start_provider(
        self, served_by: Provider, provider_id: str = "provider", *, config: Mapping[str, str] | None = None
    ) -> MemoryProvider:
        """Starts a provider.

        Args:
            served_by: The provider.
            provider_id: What links name.
            config: Its own config.

        Raises:
            Conflict: The id is taken.
            Exception: What its `start` raised.
        """
        started = MemoryProvider(
            served_by, provider_id, config or {}, self.call, self.http, self._backoff, self.name
        )
        self._take_part(started)
        await started.start()
        return started

    def add_component(
        self,
        component_id: str,
        exports: Mapping[str, object] | None = None,
        *,
        http: HttpAnswer | None = None,
    ) -> None:
        """Has a Python object stand in for a component that providers call; see `StandIn`.

        One that only calls, by links of which it is the source, need not be added.

        Raises:
            Conflict: The id is taken.
        """
        self._take_part(StandIn(component_id, exports or {}, http))

    def _take_part(self, participant: Participant) -> None:
        if participant.id in self._participants:
            raise Conflict(f"{participant.id} takes part already: give this one another id")
        self._participants[participant.id] = participant
        self._ending.push_async_callback(participant.close)

    # --- links -----------------------------------------------------------------------------------------

    def put(
        self,
        source: str,
        target: str,
        package: str = "",
        *,
        interfaces: tuple[str, ...] = (),
        name: str = DEFAULT_LINK,
        config: Mapping[str, str] | None = None,
        source_config: Mapping[str, str] | None = None,
    ) -> Link:
        """Puts a link, without waiting for it. One that is there already is changed.

        Args:
            source: Who calls.
            target: Who is called.
            package: `namespace:package`; by default that of the first interface which the target serves.
            interfaces: Of the package; by default all that the target serves.
            name: The link's name.
            config: The target's side.
            source_config: The source's side.

        Raises:
            NotFound: The target serves nothing of the package.
        """
        package, interfaces = self._served(target, package, interfaces)
        namespace, _, package = package.partition(":")
        link = Link(
            source_id=source, target=target, name=name, wit_namespace=namespace, wit_package=package,
            interfaces=interfaces, incarnation=_INCARNATION, revision=self._revision(),
            target_config_values=dict(config or {}), source_config_values=dict(source_config or {}),
        )  # fmt: skip
        self._apply(link)
        return link

    async def link(self, source: str, target: str, package: str = "", **options: Any) -> MemoryLinked:
        """Puts a link (see `put`), waits until both ends hold it, and returns what calls by it.

        Raises:
            LinkFailed: It failed; with the provider's reason.
        """
        link = self.put(source, target, package, **options)
        await self.settled(link)
        return MemoryLinked(self, link)

    async def settled(self, link: Link) -> None:
        """Waits until the ends of a link hold it.

        Raises:
            LinkFailed: One could not; with its reason.
        """
        async with asyncio.timeout(SETTLED_S):
            for participant in self._ends(link):
                reason = await participant.settled(link)
                if reason is not None:
                    raise LinkFailed(f"link {link.key} is {reason}")

    def configure(self, link: Link, config: Mapping[str, str]) -> Link:
        """Changes the target's config of a link; what it held is closed, and it is opened anew."""
        values = {"target_config_values": dict(config), "revision": self._revision()}
        changed = link.model_copy(update=values)
        self._apply(changed)
        return changed

    def delete(self, link: Link) -> None:
        """Deletes a link; its ends let go of what they hold for it."""
        self._links.pop(link.key, None)
        for participant in self._ends(link):
            participant.remove(link)

    def _apply(self, link: Link) -> None:
        self._links[link.key] = link
        for participant in self._ends(link):
            participant.apply(link)

    def _ends(self, link: Link) -> list[Participant]:
        ends = {link.target: None, link.source_id: None}
        return [self._participants[each] for each in ends if each in self._participants]

    def _revision(self) -> Revision:
        return Revision(incarnation=_INCARNATION, sequence=next(self._sequence))

    def _served(self, target: str, package: str, interfaces: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        participant = self._participants.get(target)
        there = [InterfaceName.parse(each) for each in participant.interfaces] if participant else []
        if not package:
            if not there:
                raise NotFound(f"{target} serves no interface here: say which package the link is for")
            package = f"{there[0].namespace}:{there[0].package}"
        served = tuple(each.interface for each in there if f"{each.namespace}:{each.package}" == package)
        if not (interfaces or served):
            raise NotFound(f"{target} serves nothing of {package}: name the interfaces of the link")
        return package, interfaces or served

    # --- calls -----------------------------------------------------------------------------------------

    async def call(
        self,
        link: SeenLink,
        interface: str,
        function: str,
        *args: Any,
        timeout_ms: float = TIMEOUT_MS,
        version: str | None = None,
    ) -> Any:
        """Calls the target of a link: what `context.call` of a provider does here.

        Raises:
            OpError: The call answered `err`.
            NotFound: There is no such interface or function, or nobody at the link's end.
            LathError: The call failed.
        """
        described = wit.load(interface)
        func = described.functions.get(function)
        if func is None:
            raise NotFound(f"{described.name} has no function {function!r}")
        name = InterfaceName.parse(described.name)
        if version is not None:
            name = replace(name, version=version)
        record, target = self._target(link, name.interface)
        call = self._incoming(record, name, function, timeout_ms)
        streaming = streaming_of(func)
        codec = FuncCodec(func if streaming is None else streaming.func)
        if streaming is not None:
            timeout_s = timeout_ms / 1000
            pace = Pace(link.target, timeout_s)
            serve = partial(target.serve_streamed, call)
            result = await converse(
                codec, streaming, args, pace,
                lambda params: call_here(streaming, params, pace, link.target, timeout_s, serve),
            )  # fmt: skip
        else:
            call.payload = codec.encode_params(args)
            result = codec.decode_result(await target.serve(call))
        if isinstance(result, Err):
            raise OpError(result.error)
        return result.value if isinstance(result, Ok) else result

    async def http(
        self, link: SeenLink, request: HttpRequest, *, timeout_ms: float = TIMEOUT_MS
    ) -> HttpResponse:
        """Has the target of a link answer a request: what `context.http` of a provider does here.

        Raises:
            LathError: There is no response.
        """
        _, target = self._target(link, HTTP_INTERFACE.interface)
        try:
            async with asyncio.timeout(timeout_ms / 1000) as limit:
                return await target.answer(request)
        except TimeoutError:
            if not limit.expired():
                raise
            raise DeadlineExceeded(f"{link.target} did not begin its response in time") from None

    def _target(self, link: SeenLink, interface: str) -> tuple[Link, Participant]:
        """A link as it was put last, which is what its source would know, and who is at its end."""
        there = self._links.get(link.key)
        if there is None:
            raise LinkNotFound(f"there is no link {link.key}")
        if interface not in there.interfaces:
            raise LinkNotFound(f"link {link.key} allows {', '.join(there.interfaces)}, not {interface}")
        target = self._participants.get(link.target)
        if target is None:
            raise NotFound(f"nobody is called {link.target} here: start the provider, or add the component")
        return there, target

    def _incoming(self, link: Link, name: InterfaceName, function: str, timeout_ms: float) -> IncomingCall:
        subject = CallSubject(
            self.name, link.target, "", link.source_id, link.name, name.namespace, name.package,
            name.interface, function,
        )  # fmt: skip
        header = CallHeader(int(timeout_ms), new_id(), link.revision, name.version or "")
        deadline = asyncio.get_running_loop().time() + timeout_ms / 1000
        return IncomingCall(subject, header, b"", deadline, None)


class MemoryLinked:
    """Calls by one link, as a component does.

    Attributes:
        link: The link.
    """

    def __init__(self, lattice: MemoryLattice, link: Link) -> None:
        self.link = link
        self._lattice = lattice

    async def call(self, interface: str, function: str, *args: Any, timeout_ms: float = TIMEOUT_MS) -> Any:
        """Calls a function; arguments and result in the friendly form of `lath.codec`.

        Raises:
            OpError: It answered `err`.
            LathError: The call failed.
        """
        seen = SeenLink.of(self.link, self.link.source_id)
        return await self._lattice.call(seen, interface, function, *args, timeout_ms=timeout_ms)

    async def http(self, request: HttpRequest, *, timeout_ms: float = TIMEOUT_MS) -> HttpResponse:
        """Has the target answer a request.

        Raises:
            LathError: There is no response.
        """
        seen = SeenLink.of(self.link, self.link.source_id)
        return await self._lattice.http(seen, request, timeout_ms=timeout_ms)
