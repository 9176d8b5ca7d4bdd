"""The providers of a host: in processes of their own, or built in; started, stopped, told of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Set
from typing import Final, Protocol

from lath.bus import Bus
from lath.errors import Conflict, LathError, NotFound
from lath.model import LostParticipant, ProviderDescription, ProviderStatus, StartProvider
from lath.names import shown
from lath.provider import Provider
from lath.rpc import Caller
from lath.secrets import ParticipantKeys
from lath.telemetry import get_logger
from lath_host.components.local import LocalTargets
from lath_host.events import EventPublisher
from lath_host.participant_ids import ParticipantIds
from lath_host.providers.builtin import BuiltinProvider, find_builtin
from lath_host.providers.provider_refs import builtin_name, check_provider_ref, command_of
from lath_host.providers.supervisor import Exit, ProviderProcess, ProviderSpec

STOP_GRACE_MORE_SECONDS: Final = 2.0
"""A provider's process is killed so long after the time that it was given to drain: it has to exit too."""

ANNOUNCEMENT_SECONDS: Final = 30.0
"""How long a provider may take from its start to its presence, before an event says that it did not."""

_log = get_logger(__name__)


class Running(Protocol):
    """A provider of this host, of either kind."""

    spec: ProviderSpec
    status: ProviderStatus
    instance_id: str
    pid: int | None
    restarts: int
    last_error: str | None
    ended_at: float | None

    async def stop(self, grace_s: float) -> None:
        """Lets what runs finish, then ends."""


class Providers:
    """The table of providers.

    Args:
        bus: The host's connection.
        host_id: The host.
        ids: Which ids are taken by components.
        targets: Where built-in ones are offered.
        events: Where outcomes are told.
        presence_ttl_ms: How long the presence of those that are built in holds.
        start_line: Makes the line that a process is started with, for a spec, an instance id and its config.
        update_line: Makes the line that tells a running process what changed, for a spec and its config.
        config_values: Merges named config.
        config_now: Likewise, without waiting, for what runs already.
        secret_keys: The keys of a provider's secrets.
        forget: Ends the presence of an instance that died without doing so itself.
        caller: For the calls that built-in ones make.
    """

    def __init__(
        self,
        bus: Bus,
        host_id: str,
        ids: ParticipantIds,
        targets: LocalTargets,
        events: EventPublisher,
        *,
        presence_ttl_ms: int,
        start_line: Callable[[ProviderSpec, str, Mapping[str, str]], bytes],
        update_line: Callable[[ProviderSpec, Mapping[str, str]], bytes],
        config_values: Callable[[tuple[str, ...]], Awaitable[Mapping[str, str]]],
        config_now: Callable[[tuple[str, ...]], Mapping[str, str]],
        secret_keys: Callable[[str], ParticipantKeys | None],
        forget: Callable[[str, str], Awaitable[None]],
        caller: Caller,
    ) -> None:
        self._bus = bus
        self._host_id = host_id
        self._ids = ids
        self._targets = targets
        self._events = events
        self._presence_ttl_ms = presence_ttl_ms
        self._start_line = start_line
        self._update_line = update_line
        self._config_values = config_values
        self._config_now = config_now
        self._secret_keys = secret_keys
        self._forget = forget
        self._caller = caller
        self._running: dict[str, Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    # --- looking ---------------------------------------------------------------------------------------

    def __contains__(self, provider_id: object) -> bool:
        return provider_id in self._running

    def ids(self) -> tuple[str, ...]:
        return tuple(self._running)

    def descriptions(self) -> tuple[ProviderDescription, ...]:
        return tuple(_describe(self._running[id_]) for id_ in sorted(self._running))

    def expected(self) -> tuple[LostParticipant, ...]:
        """Every provider instance that should run here, those that wait for their restart included."""
        now = time.monotonic()
        return tuple(
            LostParticipant(
                target=provider.spec.id,
                instance_id=provider.instance_id,
                kind="provider",
                host_id=self._host_id,
                lost_ago_ms=0 if provider.ended_at is None else int((now - provider.ended_at) * 1000),
            )
            for provider in self._running.values()
            if provider.status != "stopping"
        )

    # --- operations ------------------------------------------------------------------------------------

    async def check_start(self, request: StartProvider) -> None:
        """Refuses at once what cannot come to anything.

        Raises:
            InvalidArgument: The reference is not valid.
            NotFound: No built-in provider has that name.
            Conflict: It runs here already, or the id is a component's.
        """
        check_provider_ref(request.provider_ref)
        name = builtin_name(request.provider_ref)
        if name is not None:
            await find_builtin(name)
        self._check_free(request.provider_id)

    def _check_free(self, provider_id: str) -> None:
        if self._stopping:
            raise Conflict("this host is stopping and takes no more work")
        there = self._running.get(provider_id)
        if there is not None:
            raise Conflict(f"provider {provider_id} runs on this host already ({shown(there.spec.ref)})")
        self._ids.check(provider_id, "provider")

    async def start(self, request: StartProvider) -> None:
        """Starts a provider; tells of it in an event, and raises nothing."""
        spec = ProviderSpec(
            request.provider_id, request.provider_ref, request.config, dict(request.annotations or {})
        )
        try:
            name = builtin_name(spec.ref)
            if name is None:
                self._start_process(spec)
            else:
                await self._start_builtin(spec, await find_builtin(name))
        except Exception as e:
            if not isinstance(e, LathError):
                _log.error("starting a provider failed", provider_id=spec.id, exc_info=e)
            await self._tell_failed(spec, str(e))

    def _start_process(self, spec: ProviderSpec) -> None:
        async def start_line(instance_id: str) -> bytes:
            return self._start_line(spec, instance_id, await self._config_values(spec.config_names))

        async def on_exit(end: Exit) -> None:
            await self._ended(spec, end)

        def update_line() -> bytes:
            return self._update_line(spec, self._config_now(spec.config_names))

        process = ProviderProcess(spec, command_of(spec.ref), start_line, update_line, on_exit)
        self._check_free(spec.id)
        self._running[spec.id] = process
        process.start()
        self._keep(self._expect_announcement(process))

    async def _expect_announcement(self, process: ProviderProcess) -> None:
        """Tells of a provider that runs and yet does not serve; it goes on running."""
        await asyncio.sleep(ANNOUNCEMENT_SECONDS)
        if process.status == "starting":
            await self._tell_failed(
                process.spec, f"it has not announced itself within {ANNOUNCEMENT_SECONDS:g} s of its start"
            )

    async def _start_builtin(self, spec: ProviderSpec, found: type[Provider]) -> None:
        async def config() -> Mapping[str, str]:
            return await self._config_values(spec.config_names)

        provider = BuiltinProvider(
            spec,
            found,
            self._bus,
            self._host_id,
            self._targets,
            config,
            self._presence_ttl_ms,
            self._caller,
            self._secret_keys(spec.id),
        )
        self._check_free(spec.id)
        self._running[spec.id] = provider
        try:
            await provider.start()
        except BaseException:
            if self._running.get(spec.id) is provider:
                del self._running[spec.id]
            await provider.stop(0)
            raise
        await self._update_builtin(provider)  # what changed while it started
        await self._tell_started(spec)

    def announced(self, target: str, instance_id: str) -> None:
        """Tells that the presence of an instance was seen: a process that starts is then running."""
        provider = self._running.get(target)
        if isinstance(provider, ProviderProcess) and provider.announced(instance_id):
            self._keep(self._tell_started(provider.spec))

    # --- what changes beside the links -------------------------------------------------------------------

    def configs_changed(self, names: Set[str]) -> None:
        """Tells the providers that run with one of these configs what they are now."""
        self._update(lambda spec: not names.isdisjoint(spec.config_names))

    def keys_changed(self) -> None:
        """Tells all providers that run the keys of their secrets."""
        self._update(lambda spec: True)

    def _update(self, concerned: Callable[[ProviderSpec], bool]) -> None:
        for provider in self._running.values():
            if not concerned(provider.spec):
                continue
            if isinstance(provider, ProviderProcess):
                provider.changed()
            elif isinstance(provider, BuiltinProvider):
                self._keep(self._update_builtin(provider))

    async def _update_builtin(self, provider: BuiltinProvider) -> None:
        config = self._config_now(provider.spec.config_names)
        await provider.update(config, self._secret_keys(provider.spec.id))

    async def _ended(self, spec: ProviderSpec, end: Exit) -> None:
        await self._forget(spec.id, end.instance_id)
        if end.asked:
            return
        if end.announced:
            health = {"host_id": self._host_id, "provider_id": spec.id}
            await self._events.publish("health_check_failed", health)
        else:
            await self._tell_failed(spec, end.reason)

    def check_stop(self, provider_id: str) -> None:
        """Raises `NotFound` when that provider does not run here."""
        if provider_id not in self._running:
            raise NotFound(f"provider {shown(provider_id)} does not run on this host")

    async def stop(self, provider_id: str, grace_ms: int, reason: str) -> None:
        """Stops this host's instance of a provider, and no other; tells of it in an event."""
        provider = self._running.get(provider_id)
        if provider is None or provider.status == "stopping":
            return
        try:
            await provider.stop(grace_ms / 1000 + STOP_GRACE_MORE_SECONDS)
        finally:
            if self._running.get(provider_id) is provider:
                del self._running[provider_id]
        await self._events.publish(
            "provider_stopped",
            {
                "host_id": self._host_id,
                "provider_id": provider_id,
                "annotations": dict(provider.spec.annotations),
                "reason": reason,
            },
        )

    async def stop_all(self, grace_ms: int, reason: str) -> None:
        """Stops all at once; nothing starts any more."""
        self._stopping = True
        await asyncio.gather(*(self.stop(id_, grace_ms, reason) for id_ in list(self._running)))

    async def close(self) -> None:
        """Ends what is left, without waiting for what runs."""
        await self.stop_all(0, "the host is closing")
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- telling ---------------------------------------------------------------------------------------

    async def tell_health(self) -> None:
        """Sends `health_check_status` for every provider."""
        for provider_id in list(self._running):
            await self._events.publish(
                "health_check_status", {"host_id": self._host_id, "provider_id": provider_id}
            )

    async def _tell_started(self, spec: ProviderSpec) -> None:
        await self._events.publish(
            "provider_started",
            {
                "host_id": self._host_id,
                "image_ref": spec.ref,
                "provider_id": spec.id,
                "annotations": dict(spec.annotations),
            },
        )
        health = {"host_id": self._host_id, "provider_id": spec.id}
        await self._events.publish("health_check_passed", health)

    async def _tell_failed(self, spec: ProviderSpec, error: str) -> None:
        await self._events.publish(
            "provider_start_failed",
            {
                "provider_ref": spec.ref,
                "provider_id": spec.id,
                "host_id": self._host_id,
                "error": error,
            },
        )

    def _keep(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _describe(provider: Running) -> ProviderDescription:
    return ProviderDescription(
        id=provider.spec.id,
        image_ref=provider.spec.ref,
        name=provider.spec.id,
        annotations=dict(provider.spec.annotations),
        instance_id=provider.instance_id,
        status=provider.status,
        pid=provider.pid,
        restarts=provider.restarts,
        last_error=provider.last_error,
    )
