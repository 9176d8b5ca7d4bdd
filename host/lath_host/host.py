"""A host: runs components, supervises providers, and serves the control interface.

async with Host(HostOptions(nats_url=url, lattice="default")) as host:
    await host.wait_stopped()
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from lath.bus import BucketKeeper, Bus
from lath.config import ConfigStore
from lath.errors import LathError, Unavailable
from lath.links import LinkStore, LinkView, Repair
from lath.mirror import Mirror
from lath.model import HostInventory, Link, Presence, check_presence_ttl
from lath.names import check_name
from lath.presence import PresenceAnnouncer, PresenceChange, PresenceView
from lath.provider.events import LinkEvents
from lath.provider.start import ProviderStart, ProviderUpdate, StartCredentials
from lath.rpc import Caller, Micro, Service
from lath.secrets import SecretStore
from lath.secrets.keys import key_text
from lath.telemetry import get_logger
from lath.verbs import LinkOps, VerbServer
from lath_host.components.configs import Configs
from lath_host.components.fusion import Fusion
from lath_host.components.guest_secrets import GuestSecrets
from lath_host.components.local import LocalTargets
from lath_host.components.operations import Components
from lath_host.components.parts import ComponentParts
from lath_host.components.routes import Routes
from lath_host.control import ControlServer
from lath_host.engine.engine import Engine
from lath_host.engine.features import WasmFeatures
from lath_host.events import EventPublisher
from lath_host.identity import HostIdentity, lath_version, make_identity
from lath_host.labels import Labels
from lath_host.options import HostOptions
from lath_host.outbound.ways import WaysOut
from lath_host.participant_ids import ParticipantIds
from lath_host.providers.farewell import end_presence
from lath_host.providers.operations import Providers
from lath_host.providers.supervisor import ProviderSpec
from lath_host.secret_keys import SecretKeys
from lath_host.services import Services

_log = get_logger(__name__)

MICRO_NAME: Final = "lath-host"
"""What hosts are called in `nats micro ls`."""
FIRST_SNAPSHOT_SECONDS: Final = 20.0
"""How long links and config may take to arrive at the start: as long as a cluster takes to elect a leader."""


class Host:
    """A host in this process. An async context manager: it starts inside, and is stopped gracefully after.

    Args:
        options: What it is told.
        engine: Shared with other hosts of this process; None makes one of its own.

    Raises:
        InvalidArgument: An option is not valid.
    """

    def __init__(self, options: HostOptions, *, engine: Engine | None = None) -> None:
        check_name(options.lattice, "lattice")
        check_presence_ttl(options.presence_ttl_ms)
        self.options = options
        self.identity: HostIdentity = make_identity(
            seed=options.seed, host_id=options.host_id, name=options.name
        )
        self._features = engine.features if engine else WasmFeatures.parse(options.wasm_features)
        self._labels = Labels(options.labels, self._features.labels)
        self._shared_engine = engine
        self._parts = AsyncExitStack()
        self._services: Services | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop_asked = asyncio.Event()
        self._stopped = asyncio.Event()
        self._stopping: asyncio.Task[None] | None = None
        self._drain_ms = options.drain_ms

    @property
    def id(self) -> str:
        """The host id."""
        return self.identity.id

    @property
    def services(self) -> Services:
        """The parts of the running host."""
        assert self._services is not None, "start the host first"
        return self._services

    def inventory(self) -> HostInventory:
        """What runs here."""
        return self.services.inventory()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # --- starting --------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Joins the lattice; on return it serves the control interface and is present.

        Raises:
            NotConnected: The bus cannot be reached.
            PermissionDenied: It refused the credentials.
            InvalidArgument: A file of authorities cannot be read.
            Unavailable: JetStream does not answer.
        """
        try:
            await self._start()
        except BaseException:
            await self._end_background()
            self._services = None
            await self._parts.aclose()
            raise

    async def _start(self) -> None:
        options = self.options
        self._ways = WaysOut(options.ca_files)
        await self._ways.start()
        self._secret_keys = SecretKeys(options.secrets_key, options.lattice)
        await self._secret_keys.start()
        self._parts.push_async_callback(self._secret_keys.close)
        bus = await Bus.connect(
            options.nats_url,
            lattice=options.lattice,
            name=f"lath host {self.identity.name}",
            credentials=options.credentials,
        )
        self._parts.push_async_callback(bus.close)
        keeper = BucketKeeper(bus, replicas=options.replicas)
        await keeper.start()
        self._parts.push_async_callback(keeper.close)

        links = Mirror(bus, "links")
        link_view = LinkView(links)
        configs = Mirror(bus, "config")
        self._secrets = Mirror(bus, "secrets")
        presence = PresenceView(bus)
        mirrors = (links, configs, self._secrets) if self._secret_keys.there else (links, configs)
        for mirror in mirrors:
            await mirror.start()
            self._parts.push_async_callback(mirror.close)
        await presence.start()
        self._parts.push_async_callback(presence.close)
        await _first_snapshots(*mirrors, presence)

        caller = Caller(bus, presence, self.id)
        self._parts.push_async_callback(caller.close)
        engine = self._shared_engine or Engine(
            cache_dir=_cache_dir(options),
            threads=options.threads,
            warm=options.warm_budget,
            features=self._features,
        )
        if self._shared_engine is None:
            self._parts.push_async_callback(engine.close)
        repair = Repair(bus, link_view, configs)
        await repair.start()
        self._parts.push_async_callback(repair.close)
        self._assemble(bus, keeper, engine, caller, presence, links, link_view, Configs(configs))
        await self._serve(bus, presence)

    def _assemble(
        self,
        bus: Bus,
        keeper: BucketKeeper,
        engine: Engine,
        caller: Caller,
        presence: PresenceView,
        links: Mirror,
        link_view: LinkView,
        configs: Configs,
    ) -> None:
        """Puts the host's own parts together; nothing runs yet."""
        targets = LocalTargets()
        events = EventPublisher(bus, self.id)
        ids = ParticipantIds(presence, self.id)
        providers = Providers(
            bus,
            self.id,
            ids,
            targets,
            events,
            presence_ttl_ms=self.options.presence_ttl_ms,
            start_line=self._provider_start,
            update_line=self._provider_update,
            config_values=configs.arrived,
            config_now=configs.present,
            secret_keys=self._secret_keys.of,
            forget=lambda target, instance: end_presence(bus, target, instance),
            caller=caller,
        )
        self._secret_keys.on_change(providers.keys_changed)
        self._parts.callback(configs.on_change(providers.configs_changed))
        served = _Served()
        link_events = LinkEvents(bus, self.id, self.id, kind="host")
        link_events.start()
        self._parts.push_async_callback(link_events.close)
        routes = Routes(
            self.id,
            links,
            link_view,
            served,
            expected=providers.expected,
            lost=presence.lost,
            on_state=link_events.tell,
        )
        self._parts.callback(routes.close)
        self._verbs = VerbServer(bus, routes)

        async def components_changed() -> None:
            routes.components_changed()
            await self._verbs.update()

        parts = ComponentParts(
            bus,
            engine,
            routes,
            targets,
            caller,
            self.id,
            configs.present,
            self.options.presence_ttl_ms,
            Fusion(routes),
            self._ways,
            lambda component_id: GuestSecrets(component_id, self._secrets, self._secret_keys.of),
        )
        components = Components(parts, ids, events, components_changed, self.options.drain_ms)
        served.components = components
        ids.here = {"component": components, "provider": providers}
        link_store = LinkStore(bus)
        link_ops = LinkOps(bus, presence, link_store, presence_ttl_ms=self.options.presence_ttl_ms)
        self._parts.push_async_callback(link_ops.close)
        self._services = Services(
            options=self.options,
            identity=self.identity,
            bus=bus,
            labels=self._labels,
            wasm_features=self._features.enabled,
            events=events,
            presence=presence,
            links=link_store,
            configs=ConfigStore(bus),
            secrets=SecretStore(bus),
            secret_keys=self._secret_keys,
            link_ops=link_ops,
            routes=routes,
            components=components,
            providers=providers,
            background=self._background,
            request_stop=self.request_stop,
            incarnations=keeper.history,
        )

    async def _serve(self, bus: Bus, presence: PresenceView) -> None:
        """Subscribes, then announces: nobody hears of a host that does not answer yet."""
        host = self.services
        self._parts.callback(presence.on_change(self._presence_changed))
        await self._verbs.start()
        self._parts.push_async_callback(self._verbs.close)
        self._control = ControlServer(host)
        await self._control.start()
        self._parts.push_async_callback(self._control.close)
        self._announcer = PresenceAnnouncer(
            bus,
            Presence(
                kind="host",
                target=self.id,
                instance_id=self.id,
                host_id=self.id,
                started_ms=int(time.time() * 1000),
                version=lath_version(),
                name=self.identity.name,
                ttl_ms=self.options.presence_ttl_ms,
            ),
        )
        await self._announcer.start()
        metadata = {"kind": "host", "lattice": bus.lattice, "name": self.identity.name}
        hide = await Micro.of(bus).add(Service(name=MICRO_NAME, id=self.id, metadata=metadata))
        self._parts.callback(hide)
        self._parts.push_async_callback(self._announcer.close)
        await host.events.publish(
            "host_started",
            {
                "friendly_name": self.identity.name,
                "labels": self._labels.all(),
                "uptime_seconds": 0,
                "version": lath_version(),
            },
        )
        await bus.flush()
        self._background(self._heartbeat())
        self._background(self._stop_when_asked())
        _log.info("host started", host_id=self.id, name=self.identity.name, lattice=bus.lattice, url=bus.url)

    async def _heartbeat(self) -> None:
        host = self.services
        while True:
            await asyncio.sleep(self.options.heartbeat_s)
            await host.events.publish("host_heartbeat", host.inventory())
            await host.providers.tell_health()

    # --- running ---------------------------------------------------------------------------------------

    def _background(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _presence_changed(self, change: PresenceChange) -> None:
        if change.new is not None and change.new.kind == "provider":
            self.services.providers.announced(change.new.target, change.new.instance_id)

    def _provider_start(self, spec: ProviderSpec, instance_id: str, config: Mapping[str, str]) -> bytes:
        credentials = self.options.provider_credentials.get(spec.id, self.options.credentials)
        return ProviderStart(
            lattice=self.options.lattice,
            nats_url=self.options.nats_url,
            provider_id=spec.id,
            instance_id=instance_id,
            host_id=self.id,
            config=dict(config),
            presence_ttl_ms=self.options.presence_ttl_ms,
            credentials=StartCredentials.of(credentials) if credentials else None,
            secret_keys=self._keys_of_provider(spec.id),
        ).to_line()

    def _provider_update(self, spec: ProviderSpec, config: Mapping[str, str]) -> bytes:
        return ProviderUpdate(config=dict(config), secret_keys=self._keys_of_provider(spec.id)).to_line()

    def _keys_of_provider(self, provider_id: str) -> tuple[str, ...]:
        keys = self._secret_keys.of(provider_id)
        return tuple(key_text(key) for key in keys.private) if keys else ()

    # --- stopping --------------------------------------------------------------------------------------

    def request_stop(self, drain_ms: int | None = None) -> None:
        """Has the host stop by itself; `wait_stopped` tells when it has."""
        if drain_ms is not None:
            self._drain_ms = drain_ms
        self._stop_asked.set()

    async def _stop_when_asked(self) -> None:
        await self._stop_asked.wait()
        self._stopping = self._stopping or asyncio.create_task(self._stop(), name=f"stop host {self.id}")

    async def wait_stopped(self) -> None:
        """Returns once the host has stopped, however that came about."""
        await self._stopped.wait()

    async def stop(self) -> None:
        """Stops gracefully: calls that run finish, `host_stopped` is sent. Stopping twice is fine."""
        if self._services is None:
            return
        self._stopping = self._stopping or asyncio.create_task(self._stop(), name=f"stop host {self.id}")
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        host = self.services
        _log.info("host stops", host_id=self.id, drain_ms=self._drain_ms)
        try:
            with suppress(LathError):
                await self._announcer.withdraw()
            await self._control.close()
            await self._end_background()
            await host.components.stop_all(self._drain_ms)
            await host.providers.stop_all(self._drain_ms, "the host stops")
        finally:
            await host.components.close()
            await host.providers.close()
            await host.events.publish("host_stopped", {"labels": self._labels.all()})
            try:
                await self._parts.aclose()
            finally:
                self._stopped.set()

    async def _end_background(self) -> None:
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Served:
    """Lets the routes ask the components, which are made after them."""

    components: Components

    def component_ids(self) -> tuple[str, ...]:
        return self.components.component_ids()

    def fault_of_link(self, link: Link) -> str | None:
        return self.components.fault_of_link(link)


async def _first_snapshots(*mirrors: Mirror | PresenceView) -> None:
    try:
        async with asyncio.timeout(FIRST_SNAPSHOT_SECONDS):
            await asyncio.gather(*(mirror.wait_synced() for mirror in mirrors))
    except TimeoutError:
        raise Unavailable(
            f"JetStream did not deliver links and config within {FIRST_SNAPSHOT_SECONDS:g} s"
        ) from None


def _cache_dir(options: HostOptions) -> Path | None:
    return None if options.data_dir is None else options.data_dir / "compiled"
