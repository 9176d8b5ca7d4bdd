"""A lattice of real parts for the tests of what must hold: hosts and providers are processes of their own.

A real nats-server, `python -m lath_host`, providers through their own `main`, and the client of lath_control.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from lath import subjects
from lath.errors import LathError, NotConnected, Unavailable
from lath.model import PRESENCE_TTL_MS, CtlReply, HostInventory, LinkReport, LinkSpec, parse
from lath.names import InterfaceName
from lath.server import Server
from lath.testing import eventually
from lath_control.client import Client
from lath_host.testing import HostProcess

SUPPORT: Final = Path(__file__).parent
WORDS: Final = (SUPPORT / "witness_provider.py").as_uri()
"""The provider of `test:words/echo` that most tests use."""
ECHO: Final = "test:words/echo@1.0.0"
FRONT: Final = "test:words/front@1.0.0"
START_S: Final = 30.0
Process = asyncio.subprocess.Process


def path_of(interface: str, function: str = "say") -> str:
    """How the client names a function."""
    return f"{interface}#{function}"


class WholeLattice:
    """See the module. An async context manager.

    Args:
        server: The nats-server.
        lattice: The lattice's name.
        client: The operator's client; it is connected with the first host.
        host_env: More environment of every host.

    Attributes:
        hosts: The host processes, in the order of their starts.
    """

    def __init__(
        self,
        server: Server,
        lattice: str,
        *,
        client: Client | None = None,
        host_env: Mapping[str, str] | None = None,
    ) -> None:
        self.server = server
        self.lattice = lattice
        self.client = client or Client(server.url, lattice=lattice)
        self.hosts: list[HostProcess] = []
        self._host_env = host_env or {}
        self._parts = AsyncExitStack()
        self._files = Path(self._parts.enter_context(tempfile.TemporaryDirectory(prefix="lath-holds-")))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._parts.aclose()

    # --- who takes part --------------------------------------------------------------------------------

    async def add_hosts(self, count: int = 1, *options: str, env: Mapping[str, str] | None = None) -> None:
        """Starts hosts as processes, and waits until they are present; the first ones connect the client."""
        first = not self.hosts
        environment = {**self._host_env, **(env or {})}
        made = [HostProcess(self.server.url, self.lattice, *options, env=environment) for _ in range(count)]
        await asyncio.gather(*(self._parts.enter_async_context(host) for host in made))
        self.hosts.extend(made)
        if first:
            await eventually(self._connected, START_S, what="the first host to make the lattice")
            self._parts.push_async_callback(self.client.close)
        await asyncio.gather(*(host.present(self.client.presence) for host in made))

    async def _connected(self) -> bool:
        try:
            await self.client.connect()
        except (NotConnected, Unavailable):
            return False
        return True

    async def program(self, script: str, *arguments: str, env: Mapping[str, str] | None = None) -> Process:
        """Runs a script of tests/support, or a module (`-m` first); killed at the end."""
        paths = [str(SUPPORT), *filter(None, [os.environ.get("PYTHONPATH")])]
        command = (script, *arguments) if script == "-m" else (str(SUPPORT / script), *arguments)
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **(env or {})},
        )  # fmt: skip
        self._parts.push_async_callback(_kill, process)
        return process

    async def provider_alone(
        self, provider_id: str, script: str = "witness_provider.py", *, env: Mapping[str, str] | None = None
    ) -> Process:
        """A provider that stands alone, and is present."""
        before = len(self.client.presence.instances(provider_id))
        process = await self.program(
            script, "--nats-url", self.server.url, "--lattice", self.lattice, "--id", provider_id, env=env
        )
        presence = self.client.presence
        await eventually(lambda: len(presence.instances(provider_id)) > before, START_S, what=provider_id)
        return process

    async def crowd(self, ids: Sequence[str], *, presence_ttl_ms: int = PRESENCE_TTL_MS) -> Process:
        """One process with an instance of a provider for each id."""
        process = await self.program(
            "provider_crowd.py", self.server.url, self.lattice, str(presence_ttl_ms), *ids
        )
        assert process.stdout is not None
        async with asyncio.timeout(START_S):
            assert await process.stdout.readline() == b"ready\n"
        return process

    async def component(self, component_id: str, text: str, host: int = 0, **options: Any) -> None:
        """Starts a component in text form on one of the hosts."""
        file = self._files / f"{component_id}.wat"
        file.write_text(text)
        options = {"count": 10, **options}
        await self.client.components.start(
            file.as_uri(), component_id=component_id, host=self.hosts[host].id, **options
        )
        presence = self.client.presence
        here = self.hosts[host].id
        await eventually(
            lambda: any(each.host_id == here for each in presence.instances(component_id)), what=component_id
        )

    async def provider(self, provider_id: str, ref: str = WORDS, host: int = 0) -> None:
        """Starts a provider under the supervision of one of the hosts."""
        await self.client.providers.start(ref, provider_id=provider_id, host=self.hosts[host].id)

    async def inventory(self, host: int = 0) -> HostInventory:
        return await self.client.hosts.get(self.hosts[host].id)

    async def running(self, component_id: str, host: int = 0) -> int:
        """How many calls a component runs now, by its host's word."""
        for component in (await self.inventory(host)).components:
            if component.id == component_id:
                return int((component.stats or {})["running"])
        return 0

    # --- links -----------------------------------------------------------------------------------------

    async def link(
        self, source: str, target: str, interface: str = ECHO, *, name: str = "default", config: str = ""
    ) -> LinkReport:
        """Puts a link and waits until everybody has applied it."""
        report = await self.client.links.put_and_wait(
            link_spec(source, target, interface, name=name, config=config), wait_ms=20_000
        )
        assert report.verdict == "live", report
        return report

    async def verdicts(self, **options: Any) -> dict[str, str]:
        """The verdict of each link, by `source name`."""
        report = await self.client.links.ping(**options)
        return {f"{link.source_id} {link.name}": link.verdict for link in report.links}

    # --- asking and calling ----------------------------------------------------------------------------

    async def ask(self, *tokens: str, **fields: Any) -> CtlReply:
        """Asks the control interface with JSON, as a client of wasmCloud does."""
        subject = subjects.ctl(self.lattice, *tokens)
        reply = await self.client.bus.request(subject, json.dumps(fields).encode(), timeout_ms=20_000)
        return parse(CtlReply, reply.data, "reply")

    async def call(self, target: str, interface: str, *args: Any, timeout_ms: int = 20_000) -> Any:
        return await self.client.call(target, path_of(interface), *args, timeout_ms=timeout_ms)

    async def failure(
        self, target: str, interface: str, *args: Any, function: str = "say", timeout_ms: int = 60_000
    ) -> LathError:
        """The error that a call ends with; the long time-out is never what ends it."""
        try:
            result = await self.client.call(
                target, path_of(interface, function), *args, timeout_ms=timeout_ms
            )
        except LathError as e:
            return e
        raise AssertionError(f"the call was expected to fail and returned {result!r}")


def link_spec(
    source: str, target: str, interface: str = ECHO, *, name: str = "default", config: str = ""
) -> LinkSpec:
    parsed = InterfaceName.parse(interface)
    return LinkSpec(
        source_id=source, target=target, name=name,
        wit_namespace=parsed.namespace, wit_package=parsed.package, interfaces=(parsed.interface,),
        target_config=(config,) if config else (),
    )  # fmt: skip


async def _kill(process: Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
    await process.communicate()


__all__ = ["ECHO", "FRONT", "WORDS", "Process", "WholeLattice", "link_spec", "path_of"]
