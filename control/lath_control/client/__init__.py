"""The typed client: every operation of the command line, for programs.

```python
async with Client("nats://127.0.0.1:4222") as lattice:
    report = await lattice.links.ping(deep=True)
print(report.healthy)
```
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from types import TracebackType
from typing import Any, Final

from nats.errors import Error as NatsError

from lath.bus import Bus, Credentials, wait_for_buckets
from lath.codec import Resource
from lath.config import ConfigStore
from lath.errors import DeadlineExceeded, LathError, NotConnected, Unavailable
from lath.http import HttpRequest, HttpResponse
from lath.http.calling import FUNCTION, INTERFACE, HttpCaller
from lath.links import LinkStore
from lath.names import CLIENT_SOURCE, NO_LINK, check_name, new_id, parse_function_path
from lath.presence import PresenceView
from lath.rpc import Caller
from lath.secrets import SecretStore
from lath.subjects import call_tail
from lath.verbs import LinkOps
from lath_control.client.calls import CALL_MS, Calls
from lath_control.client.components import Components
from lath_control.client.configs import Configs
from lath_control.client.ctl import REQUEST_MS, Control, NoLattice
from lath_control.client.doctor import examine
from lath_control.client.holding import HeldResources
from lath_control.client.hosts import Hosts, Labels
from lath_control.client.links import Links
from lath_control.client.models import (
    CallResult,
    ComponentInspection,
    ComponentOnHost,
    ConfigView,
    DoctorReport,
    Finding,
    HostStatus,
    ProviderOnHost,
    SecretView,
    Started,
)
from lath_control.client.providers import Providers
from lath_control.client.secrets import Secrets
from lath_control.client.watching import Event, events

CONNECT_MS: Final = 5_000
"""How long the bus may take to answer; also how long presence may take to be read."""


LATTICE_MS: Final = 2_000
"""How long the lattice's buckets are waited for: they may be in the making, or their leaders in election."""


class Client:
    """A lattice, for programs. An async context manager.

    Args:
        nats_url: The bus; several addresses with commas.
        lattice: The lattice's name.
        credentials: What to log in with; None reads `LATH_NATS_…` of the environment.
        timeout_ms: How long a host may take to answer a control request.
        connect_timeout_ms: How long the bus may take to answer.

    Attributes:
        hosts: Who is there; inventories; stopping one.
        components: Start, scale, update, stop, inspect.
        providers: Start, stop.
        links: Put, get, delete, ping, vping, purge, pull.
        configs: Put, get, delete.
        secrets: Put, list, delete, rekey.
        labels: Of hosts.
        calls: The types of functions; `call` and `call_json` use them.
    """

    def __init__(
        self,
        nats_url: str = "nats://127.0.0.1:4222",
        *,
        lattice: str = "default",
        credentials: Credentials | None = None,
        timeout_ms: int = REQUEST_MS,
        connect_timeout_ms: int = CONNECT_MS,
    ) -> None:
        self.nats_url = nats_url
        self.lattice = check_name(lattice, "lattice")
        self._credentials = credentials
        self._timeout_ms = timeout_ms
        self._connect_timeout_ms = connect_timeout_ms
        self._open = contextlib.AsyncExitStack()
        self._connected = False
        self._held = HeldResources(self)
        self.calls = Calls(self, self._held)
        self.hosts = Hosts(self)
        self.components = Components(self)
        self.providers = Providers(self)
        self.links = Links(self)
        self.configs = Configs(self)
        self.secrets = Secrets(self)
        self.labels = Labels(self)
        self.bus: Bus
        self.control: Control
        self.presence: PresenceView
        self.caller: Caller
        self.link_store: LinkStore
        self.config_store: ConfigStore
        self.secret_store: SecretStore
        self.link_ops: LinkOps

    async def connect(self) -> None:
        """Connects to the bus and reads who is there. Connecting twice is fine.

        Raises:
            NoLattice: The bus does not answer.
            PermissionDenied: The bus refuses the credentials.
        """
        if self._connected:
            return
        async with contextlib.AsyncExitStack() as opening:
            self.bus = await self._connect_bus()
            opening.push_async_callback(self.bus.close)
            await self._find_lattice()
            self.control = Control(self.bus, self._timeout_ms)
            self.presence = PresenceView(self.bus)
            opening.push_async_callback(self.presence.close)
            await self._read_presence()
            self.link_store = LinkStore(self.bus)
            self.config_store = ConfigStore(self.bus)
            self.secret_store = SecretStore(self.bus)
            self.link_ops = LinkOps(self.bus, self.presence, self.link_store)
            opening.push_async_callback(self.link_ops.close)
            self.caller = Caller(self.bus, self.presence, CLIENT_SOURCE)
            opening.push_async_callback(self.caller.close)
            opening.push_async_callback(self._held.close)
            self._open = opening.pop_all()
            self._connected = True

    async def _connect_bus(self) -> Bus:
        try:
            return await Bus.connect(
                self.nats_url,
                lattice=self.lattice,
                name=f"lath-client-{new_id()[:6]}",
                credentials=self._credentials or Credentials.from_env(),
                connect_timeout_ms=self._connect_timeout_ms,
            )
        except NotConnected as e:
            raise NoLattice(f"{e.message}; is a lattice running there? 'lath up' starts one here") from None

    async def _find_lattice(self) -> None:
        """A client makes no buckets: how many replicas they have is the hosts' affair."""
        try:
            await wait_for_buckets(self.bus, min(self._connect_timeout_ms, LATTICE_MS))
        except Unavailable:
            if not await self._jetstream_is_on():
                raise NoLattice(f"{self.nats_url} has no JetStream: start nats-server with -js") from None
            raise NoLattice(
                f"{self.nats_url} has no lattice {self.lattice}: a host makes it ('lath host run')"
            ) from None

    async def _jetstream_is_on(self) -> bool:
        try:
            await self.bus.nc.jetstream().account_info()
        except (NatsError, TimeoutError):
            return False
        return True

    async def _read_presence(self) -> None:
        try:
            async with asyncio.timeout(self._connect_timeout_ms / 1000):
                await self.presence.start()
                await self.presence.wait_synced()
        except TimeoutError:
            raise NoLattice(
                f"the bus at {self.nats_url} answers, but lattice {self.lattice} could not be read within "
                f"{self._connect_timeout_ms} ms: is JetStream on?"
            ) from None

    async def close(self) -> None:
        """Closes the connection. Closing twice is fine."""
        self._connected = False
        await self._open.aclose()

    async def __aenter__(self) -> Client:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def call(self, target: str, function: str, *args: Any, timeout_ms: int = CALL_MS) -> Any:
        """Calls a function of a component with Python values; see `lath.codec` for their forms.

        A handle of a component's resource (`Resource`) is renewed for as long as the program keeps it and the
        client is open; see `release`.

        Args:
            target: The component's id.
            function: `demo:greeter/greet.hello`, or with a version `demo:greeter/greet@0.1.0#hello`.
            args: One for each parameter.
            timeout_ms: How long the answer may take.

        Raises:
            NotFound: The target, interface, version or function does not exist.
            InvalidArgument: The arguments do not fit the parameters; the message says where.
            LathError: The call failed; `may_have_run` says whether it may have run.
        """
        interface, name = parse_function_path(function)
        return await self.calls.call(target, interface, name, args, timeout_ms=timeout_ms)

    async def release(self, *resources: Resource) -> None:
        """Drops handles of components' resources; else their leases end them, once the program has none.

        Raises:
            InvalidArgument: One is no handle of a component's resource.
            NotConnected: There is no connection; nothing was sent.
        """
        await self._held.release(resources)

    async def call_json(
        self, target: str, function: str, args: list[Any], *, timeout_ms: int = CALL_MS
    ) -> CallResult:
        """Like `call`, with JSON values both ways, and the call's trace id.

        Raises:
            NotFound, InvalidArgument, LathError: As for `call`.
        """
        interface, name = parse_function_path(function)
        return await self.calls.call_json(target, interface, name, args, timeout_ms=timeout_ms)

    async def http(
        self, component_id: str, request: HttpRequest, *, timeout_ms: int = CALL_MS
    ) -> HttpResponse:
        """Has a component that exports `wasi:http/incoming-handler` answer a request.

        The body of the response must be iterated to its end, or closed; what its iteration raises
        (`LathError`) says that the response is not whole.

        Args:
            component_id: The component.
            request: What is asked. A body that streams is read as the component reads it.
            timeout_ms: How long the response may take to begin.

        Raises:
            NotFound: The component does not run, or serves no HTTP.
            LathError: There is no response.
        """
        tail = call_tail(CLIENT_SOURCE, NO_LINK, INTERFACE, FUNCTION)
        caller = HttpCaller(self.bus, self.caller)
        return await caller.call(component_id, tail, request, timeout_ms=timeout_ms, linked=False)

    def watch(self, on_listening: Callable[[], None] = lambda: None) -> AsyncGenerator[Event]:
        """The lattice's events: hosts, components, providers, links and configs that change.

        It begins to listen when the first event is asked for, and calls `on_listening` once it does.
        Close it (`contextlib.aclosing`) or end the loop by leaving the client.
        """
        return events(self, on_listening)

    async def doctor(self) -> DoctorReport:
        """Looks for everything that is commonly wrong, and says how to put it right."""
        return await examine(self)


__all__ = [
    "CALL_MS",
    "CallResult",
    "Client",
    "ComponentInspection",
    "ComponentOnHost",
    "ConfigView",
    "DeadlineExceeded",
    "DoctorReport",
    "Event",
    "Finding",
    "HostStatus",
    "LathError",
    "NoLattice",
    "ProviderOnHost",
    "SecretView",
    "Started",
]
