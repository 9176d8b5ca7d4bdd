"""One running instance of a provider: it pulls its links, serves calls and answers link verbs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence, Set
from importlib.metadata import version
from types import TracebackType
from typing import Any, Final, Literal, Self

from lath import subjects, telemetry
from lath.backoff import Backoff
from lath.bus import Bus, Credentials
from lath.codec import Wire
from lath.errors import LathError, Unavailable
from lath.http import HttpRequest, HttpResponse
from lath.links import LinkChange, LinkView
from lath.mirror import Change, Mirror
from lath.model import PRESENCE_TTL_MS, HeldLink, LinkSelector, LostParticipant, Presence, Revision
from lath.names import InterfaceName, check_target, new_id
from lath.presence import PresenceAnnouncer
from lath.provider.base import Provider, ProviderContext
from lath.provider.dispatch import Asked, Dispatch
from lath.provider.errors import BackendLost
from lath.provider.events import LinkEvents
from lath.provider.link import Link
from lath.provider.opener import ProviderOpener
from lath.provider.outgoing import TIMEOUT_MS, Nearby, OutgoingCalls
from lath.provider.pins import Pins
from lath.provider.table import LinkTable
from lath.redact import HIDDEN, redacted
from lath.rpc import CallServer
from lath.secrets import ParticipantKeys, ParticipantSecrets
from lath.verbs import VerbServer

FIRST_SNAPSHOT_S: Final = 5.0
"""Calls wait so long for the first snapshot of the links; after that they are served by what is there."""
REOPEN_WAIT_S: Final = 2.0
"""A purge or pull is answered when the links are open again, or after this: a dead backend is no news."""
LINGER_MS: Final = 1_000.0
"""How long a stopping instance still answers `draining`: callers learn of the withdrawal meanwhile."""
DRAIN_MS: Final = 30_000.0
"""How long calls in flight may go on when the instance stops."""

_VERSION: Final = version("lath")  # read here, since it reads a file


class ProviderInstance:
    """A provider on the bus. Made by a host (built in), by `Provider.main` or by a test.

    It implements `lath.verbs.LinkHolder`. An async context manager: started inside, closed after.

    Args:
        provider: The provider; it belongs to this instance from now on.
        bus: The connection; not closed by the instance.
        provider_id: What links name.
        instance_id: This run; a new one by default.
        host_id: The host that it runs on.
        config: The provider's own config.
        presence_ttl_ms: How long its presence holds without renewal.
        nats_url: The bus's URL with everything needed to connect to it again; by default `bus.url`.
        credentials: The provider's own, for `nats_url`.
        backoff: For links that fail.
        nearby: What the host lends to a provider that is built into it.
        secret_keys: Open the secrets that links name; None: it has none.
    """

    kind: Literal["provider"] = "provider"

    def __init__(
        self,
        provider: Provider,
        bus: Bus,
        *,
        provider_id: str,
        instance_id: str = "",
        host_id: str = "",
        config: Mapping[str, str] | None = None,
        presence_ttl_ms: int = PRESENCE_TTL_MS,
        nats_url: str = "",
        credentials: Credentials | None = None,
        backoff: Backoff | None = None,
        nearby: Nearby | None = None,
        secret_keys: ParticipantKeys | None = None,
    ) -> None:
        self.id = check_target(provider_id, "provider id")
        self.instance_id = instance_id or new_id()
        self.host_id = host_id
        self.serves = (provider_id,)
        self._bus = bus
        self._provider = provider
        self._config = dict(config or {})
        self._log = telemetry.get_logger("lath.provider").bind(
            provider=provider_id, instance=self.instance_id
        )
        self._began = time.monotonic()
        self._secrets = ParticipantSecrets(bus, provider_id, secret_keys, self._secrets_changed)
        self._opener = ProviderOpener(provider, provider_id, self._secrets)
        self._events = LinkEvents(bus, provider_id, self.instance_id)
        self._mirror = Mirror(
            bus,
            "links",
            (subjects.links_of_source_filter(provider_id), subjects.links_of_target_filter(provider_id)),
        )
        self._view = LinkView(self._mirror)
        self._seen = Revision(incarnation=0, sequence=0)
        self.table = LinkTable(
            provider_id, self._opener,
            caught_up=self._caught_up, backoff=backoff, on_change=self._link_changed,
        )  # fmt: skip
        self._verbs = VerbServer(bus, self)
        self._dispatch = Dispatch(provider, provider_id, self.table, self._opener.secrets_of, self._log)
        self._pins = Pins(provider_id, self.instance_id)
        self._calls = CallServer(
            bus,
            provider_id,
            self.instance_id,
            self._dispatch.remote,
            metadata={"kind": "provider", "host": host_id, "name": type(provider).__name__},
            notices=self._pins.notices,
        )
        self._outgoing = OutgoingCalls(bus, provider_id, nearby)
        self._presence = PresenceAnnouncer(bus, self._own_presence(presence_ttl_ms))
        self._removers: list[Callable[[], None]] = []
        self._first: asyncio.Task[None] | None = None
        self._started = False
        self._draining = False
        self._closed = False
        provider.context = ProviderContext(
            lattice=bus.lattice,
            provider_id=provider_id,
            instance_id=self.instance_id,
            host_id=host_id,
            nats_url=nats_url or bus.url,
            credentials=credentials,
            config=self._config,
            call=self._outgoing.call,
            http=self._outgoing.http,
            lost=self._lost,
            pins=self._pins,
        )

    # --- its life ------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Starts the provider, serves, announces it, and begins to read its links. Links open by themselves.

        Raises:
            Exception: What the provider's `start` raised.
            NotConnected: There is no connection to the bus.
        """
        try:
            await self._provider.start(self._config)
            self._started = True
            self._events.start()
            # Subscribed and flushed before presence says that somebody is here to be asked.
            await self._verbs.start()
            await self._calls.start()
            await self._presence.start()
            self._removers.append(telemetry.read_active(self._dispatch.active))
            self._removers.append(self._view.on_change(self._links_changed))
            self._removers.append(self._mirror.on_change(self._mirror_changed))
            self._first = asyncio.create_task(self._read_links(), name=f"first links of {self.id}")
        except BaseException:
            await self.close()
            raise

    async def wait_ready(self) -> None:
        """Waits until the links that KV held at the start were tried, for some seconds at most."""
        if self._first is not None:
            await asyncio.wait({self._first})
        try:
            async with asyncio.timeout(FIRST_SNAPSHOT_S):
                await self.table.all_settled()
        except TimeoutError:
            return

    async def drain(self, timeout_ms: float = DRAIN_MS, linger_ms: float = LINGER_MS) -> None:
        """Stops gracefully: withdraws its presence, takes no more calls, and finishes those that run.

        Args:
            timeout_ms: How long calls in flight may go on.
            linger_ms: How long callers that have not heard yet are still answered.
        """
        if self._draining:
            return
        self._draining = True
        await self._presence.withdraw()
        try:
            async with asyncio.timeout(timeout_ms / 1000), asyncio.TaskGroup() as group:
                group.create_task(self._drain_provider())
                group.create_task(self._dispatch.drain_local())
                group.create_task(self._calls.drain(linger_ms))
        except TimeoutError:
            self._log.warning("calls still ran at the end of the drain time and are cancelled")

    async def _drain_provider(self) -> None:
        try:
            await self._provider.drain()
        except Exception:
            self._log.exception("the provider's drain failed")

    async def close(self) -> None:
        """Stops, closes every link, and ends the provider. Calls that run are cancelled: drain first.

        Closing twice is fine.
        """
        if self._closed:
            return
        self._closed = self._draining = True
        for remove in self._removers:
            remove()
        if self._first is not None:
            self._first.cancel()
            await asyncio.wait({self._first})
        await self._presence.close()
        await self._calls.close()
        self._dispatch.close()
        await self._verbs.close()
        self._view.close()
        await self._mirror.close()
        await self._pins.close()
        await self.table.close()
        await self._secrets.close()
        await self._outgoing.close()
        await self._events.close()
        if self._started:
            try:
                await self._provider.stop()
            except Exception:
                self._log.exception("the provider's stop failed")

    @property
    def accepting(self) -> bool:
        """Whether a call from the same process would be taken now, as far as room and stopping go."""
        return self._dispatch.accepting

    def _own_presence(self, ttl_ms: int) -> Presence:
        return Presence(
            kind="provider",
            target=self.id,
            instance_id=self.instance_id,
            host_id=self.host_id,
            started_ms=int(time.time() * 1000),
            version=_VERSION,
            name=type(self._provider).__name__,
            interfaces=self._provider.interfaces(),
            ttl_ms=ttl_ms,
        )

    # --- what changes beside the links ---------------------------------------------------------------

    async def update(self, config: Mapping[str, str], secret_keys: ParticipantKeys | None) -> None:
        """Gives the provider its config, and the keys of its secrets, as they are now."""
        self._secrets.use(secret_keys)
        if config == self._config:
            return
        self._config.clear()
        self._config.update(config)
        try:
            async with asyncio.timeout(self._provider.open_timeout_s):
                await self._provider.config_changed(self._config)
        except Exception:
            self._log.exception("the provider's config_changed failed")

    def _link_changed(self, held: HeldLink, gone: bool) -> None:
        if gone:
            self._opener.forget(held.key)
        self._events.tell(held, gone)

    def _secrets_changed(self, names: Set[str]) -> None:
        self.table.outdate(lambda link: not names.isdisjoint(link.secrets_for(self.id).values()))

    # --- links as KV holds them ----------------------------------------------------------------------

    async def _read_links(self) -> None:
        try:
            await self._mirror.start()
            async with asyncio.timeout(FIRST_SNAPSHOT_S):
                await self._mirror.wait_synced()
        except TimeoutError:
            self._log.warning("the links have not arrived yet; serving by what is there")
        except LathError as e:
            self._log.error("the links cannot be read", error=str(e))
        self._dispatch.ready()
        self.table.progressed()

    def _links_changed(self, changes: Sequence[LinkChange]) -> None:
        for change in changes:
            if change.new is not None:
                self._seen = max(self._seen, change.new.revision)
                self.table.apply(change.new)
            else:
                self.table.remove(change.key)

    def _mirror_changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            gone = change.tombstone
            if gone is not None and gone.sequence > self._seen.sequence:
                self._seen = self._seen.model_copy(update={"sequence": gone.sequence})
        # The view heard of this before (it asked to be told first), so the table holds these links by now.
        self.table.progressed()

    def _caught_up(self, revision: Revision) -> bool:
        """Whether the links were read past a revision, so that a link that is not here does not exist."""
        return self._mirror.synced and self._seen >= revision

    # --- calls ---------------------------------------------------------------------------------------

    async def handle_local(
        self,
        *,
        source: str,
        link: str,
        interface: InterfaceName,
        function: str,
        params: Sequence[Wire],
        deadline: float,
        revision: Revision | None = None,
        call_id: str = "",
    ) -> Wire:
        """Serves a call from the same process, with the checks and errors of one from the bus.

        Its span is the caller's to make, who knows that the call is local.

        Args:
            source: Who calls.
            link: The name of the link that the call came by.
            interface: With the version that the caller was built against.
            function: The function's name in the WIT.
            params: Wire values.
            deadline: Loop time.
            revision: Of the link that the call was routed by.
            call_id: For logs.

        Returns:
            The result's wire value.

        Raises:
            LathError: As over the bus; `draining` and `overloaded` mean that another instance may be asked.
        """
        asked = Asked(source, link, interface, function, deadline, revision, call_id)
        return await self._dispatch.local(asked, params)

    async def call(
        self, link: Link, interface: str, function: str, *args: Any, timeout_ms: int = TIMEOUT_MS
    ) -> Any:
        """Calls the target of a link of which the provider is the source; see `OutgoingCalls.call`."""
        return await self._outgoing.call(link, interface, function, *args, timeout_ms=timeout_ms)

    async def http(self, link: Link, request: HttpRequest, *, timeout_ms: float = TIMEOUT_MS) -> HttpResponse:
        """Has the target of such a link answer a request; see `OutgoingCalls.http`."""
        return await self._outgoing.http(link, request, timeout_ms=timeout_ms)

    # --- what the link verbs ask (LinkHolder) --------------------------------------------------------

    @property
    def uptime_ms(self) -> int:
        return int((time.monotonic() - self._began) * 1000)

    def held(self, selector: LinkSelector) -> list[HeldLink]:
        """The selected links as they stand here, sorted by key."""
        return self.table.held(selector)

    async def check(self, key: str) -> float:
        """Checks the backend of one link. Returns the round trip in milliseconds; raises when it is down."""
        record, held = self.table.opened(key)
        try:
            return await self._opener.check(record, held)
        except BackendLost as e:
            self.table.lost(key, held, e)
            raise e.told(key) from e

    def values(self, key: str) -> Mapping[str, str]:
        """The resolved config of one link, of the provider's end, secrets redacted."""
        link = self.table.link(key)
        return {**redacted(link.config_for(self.id)), **dict.fromkeys(link.secrets_for(self.id), HIDDEN)}

    async def purge(self, selector: LinkSelector, hold: bool) -> list[HeldLink]:
        """Drops all that is held for the selected links; opens them again unless `hold`.

        Calls in flight by them may finish within a short grace (`slot.CALLS_GRACE_S`) and are then cancelled.
        """
        keys = await self.table.purge(selector, hold=hold)
        await self._reopened(keys)
        return self.table.reports(keys)

    async def pull(self, selector: LinkSelector) -> list[HeldLink]:
        """Reads the selected links from KV again, and opens what is purged or failed.

        Raises:
            Unavailable: KV could not be read.
        """
        try:
            async with asyncio.timeout(FIRST_SNAPSHOT_S):
                await self._mirror.resync()
        except TimeoutError:
            raise Unavailable(f"the links could not be read again within {FIRST_SNAPSHOT_S:g} s") from None
        await self._reopened(self.table.reopen(selector))
        return self.table.held(selector)

    async def settled(self, key: str, revision: Revision) -> HeldLink:
        """Waits until the link is applied at `revision` or later, or is failed or purged at it."""
        return await self.table.settled(key, revision)

    def _lost(self, link: Link, held: Any, reason: str) -> None:
        self.table.lost(link.key, held, BackendLost(reason))

    def expected(self) -> tuple[LostParticipant, ...]:
        return ()

    def lost(self) -> tuple[LostParticipant, ...]:
        return ()

    async def _reopened(self, keys: Sequence[str]) -> None:
        try:
            async with asyncio.timeout(REOPEN_WAIT_S):
                await self.table.all_settled(keys)
        except TimeoutError:
            return  # a backend that is slow or down: the answer says `opening` or `failed`
