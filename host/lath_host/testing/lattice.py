"""A whole lattice in one event loop, and what a test does with it: place, link, call, ask, listen."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nats.aio.msg import Msg

from lath import subjects
from lath.bus import Bus
from lath.codec import pack, unpack
from lath.errors import LathError
from lath.links import LinkStore
from lath.model import CloudEvent, CtlReply, Link, LinkSpec, parse
from lath.names import CLIENT_SOURCE, NO_LINK, InterfaceName
from lath.presence import PresenceView
from lath.rpc import Caller
from lath.server import Server
from lath.testing import eventually
from lath_host.host import Host

ASK_TIMEOUT_MS = 10_000
OUTCOME_SECONDS = 30.0
"""A component's first compilation is the longest thing that is waited for."""


class InProcessLattice:
    """See the module. An async context manager.

    Attributes:
        bus: The client's connection.
        server: The nats-server.
        hosts: The hosts, in the order in which they were made.
        presence: Who is there, as the client sees it.
        links: The link store.
        caller: Calls over the client's connection.
    """

    def __init__(
        self,
        bus: Bus,
        server: Server,
        make_hosts: Callable[..., Awaitable[list[Host]]],
    ) -> None:
        self.bus = bus
        self.server = server
        self.hosts: list[Host] = []
        self.presence = PresenceView(bus)
        self.links = LinkStore(bus)
        self._make_hosts = make_hosts
        self.caller = Caller(bus, self.presence, CLIENT_SOURCE)
        self._parts = AsyncExitStack()
        self._files = Path(self._parts.enter_context(tempfile.TemporaryDirectory(prefix="lath-test-")))

    async def __aenter__(self) -> Self:
        self._parts.push_async_callback(self.caller.close)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._parts.aclose()

    async def add_hosts(self, count: int, **options: Any) -> list[Host]:
        """Starts more hosts; options are those of `HostOptions`."""
        made = await self._make_hosts(count, **options)
        if not self.hosts:
            await self.presence.start()
            self._parts.push_async_callback(self.presence.close)
        self.hosts.extend(made)
        return made

    # --- the control interface -------------------------------------------------------------------------

    async def ask(self, *tokens: str, **fields: Any) -> CtlReply:
        """Asks the control interface: `await lattice.ask("host", "get", host.id)`."""
        return await self.ask_raw(json.dumps(fields).encode() if fields else b"", *tokens)

    async def ask_raw(self, body: bytes, *tokens: str) -> CtlReply:
        """Like `ask`, with a body of any bytes."""
        subject = subjects.ctl(self.bus.lattice, *tokens)
        reply = await self.bus.request(subject, body, timeout_ms=ASK_TIMEOUT_MS)
        return parse(CtlReply, reply.data, "reply")

    async def ask_all(self, *tokens: str, count: int, **fields: Any) -> list[CtlReply]:
        """Asks what several hosts answer; waits for `count` replies."""
        replies: asyncio.Queue[Msg] = asyncio.Queue()
        inbox = self.bus.new_inbox()
        subscription = await self.bus.subscribe(inbox, replies.put)
        try:
            data = json.dumps(fields).encode() if fields else b""
            await self.bus.publish(subjects.ctl(self.bus.lattice, *tokens), data, reply=inbox)
            async with asyncio.timeout(ASK_TIMEOUT_MS / 1000):
                return [parse(CtlReply, (await replies.get()).data, "reply") for _ in range(count)]
        finally:
            await subscription.close()

    @asynccontextmanager
    async def events(self) -> AsyncIterator[Events]:
        """Listens to the lattice's events inside the block."""
        events = Events()
        subscription = await self.bus.subscribe(
            subjects.wasmbus_events_pattern(self.bus.lattice), events.received
        )
        await self.bus.flush()
        try:
            yield events
        finally:
            await subscription.close()

    async def start_component(
        self, component_id: str, source: str | bytes | Path, *, host: Host | str | None = None, **scale: Any
    ) -> CloudEvent:
        """Places a component and waits for the outcome, and until the client of this lattice can call it.

        Args:
            component_id: Its id.
            source: Component text, bytes, or a file.
            host: Where, also as a host id; the first host by default.
            scale: More fields of the scale request; `count` is 10 by default.

        Returns:
            The event `component_scaled` or `component_scale_failed`.
        """
        host_id = host if isinstance(host, str) else (host or self.hosts[0]).id
        request = {
            "component_ref": self.file(component_id, source).as_uri(),
            "component_id": component_id,
            "count": 10,
            "host_id": host_id,
            **scale,
        }
        async with self.events() as events:
            reply = await self.ask("component", "scale", host_id, **request)
            assert reply.success, reply.message
            event = await events.wait(
                "component_scaled", "component_scale_failed", component_id=component_id, host_id=host_id
            )
        if event.name == "component_scaled" and request["count"]:
            await eventually(
                lambda: any(each.host_id == host_id for each in self.presence.instances(component_id)),
                what=f"the client to see the presence of {component_id}",
            )
        return event

    def file(self, name: str, source: str | bytes | Path) -> Path:
        """A file with a component's text or bytes."""
        if isinstance(source, Path):
            return source
        path = self._files / f"{name}.wat"
        path.write_bytes(source.encode() if isinstance(source, str) else source)
        return path

    async def link(
        self, source_id: str, target: str, interface: str, *, name: str = "default", **configs: Sequence[str]
    ) -> Link:
        """Puts a link for one interface, and waits until every host routes by it."""
        parsed = InterfaceName.parse(interface)
        spec = LinkSpec(
            source_id=source_id,
            target=target,
            name=name,
            wit_namespace=parsed.namespace,
            wit_package=parsed.package,
            interfaces=(parsed.interface,),
            source_config=tuple(configs.get("source_config", ())),
            target_config=tuple(configs.get("target_config", ())),
        )
        link = await self.links.put(spec)
        async with asyncio.timeout(OUTCOME_SECONDS):
            for host in self.hosts:
                await host.services.routes.settled(link.key, link.revision)
        return link

    async def fused(self, component_id: str, *others: str, host: Host | None = None) -> None:
        """Waits until the inventory says that a component's calls run fused with exactly these."""

        def there() -> bool:
            described = (host or self.hosts[0]).services.components.get(component_id).describe()
            assert set(described.fused or ()) == set(others), (described.fused, described.unfused)
            return True

        await eventually(there, OUTCOME_SECONDS)

    # --- calls -----------------------------------------------------------------------------------------

    async def call(
        self, target: str, interface: str, function: str, *params: Any, timeout_ms: int = 10_000
    ) -> Any:
        """Calls a component as an operator's client does; wire values in and out."""
        name = InterfaceName.parse(interface)
        tail = subjects.call_tail(CLIENT_SOURCE, NO_LINK, name, function)
        reply = await self.caller.call(
            target,
            tail,
            pack(list(params)),
            timeout_ms=timeout_ms,
            linked=False,
            interface_version=name.version,
        )
        return unpack(reply)

    async def failure(self, *args: Any, **options: Any) -> LathError:
        """The error that a call ends with; see `call`."""
        try:
            result = await self.call(*args, **options)
        except LathError as e:
            return e
        raise AssertionError(f"the call was expected to fail and returned {result!r}")


class Events:
    """The events of a lattice, as they came."""

    def __init__(self) -> None:
        self.seen: list[CloudEvent] = []
        self._came = asyncio.Condition()

    async def received(self, msg: Msg) -> None:
        event = parse(CloudEvent, msg.data, "event")
        async with self._came:
            self.seen.append(event)
            self._came.notify_all()

    async def wait(self, *names: str, timeout_s: float = OUTCOME_SECONDS, **fields: Any) -> CloudEvent:
        """The first event with one of these names whose data has these fields, past or to come."""

        def find() -> CloudEvent | None:
            for event in self.seen:
                if event.name in names and fields.items() <= event.data.items():
                    return event
            return None

        async with asyncio.timeout(timeout_s), self._came:
            await self._came.wait_for(lambda: find() is not None)
        found = find()
        assert found is not None, "waited for"
        return found
