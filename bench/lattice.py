"""A lattice to measure on: nats-server, hosts in processes of their own, a client in this one."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgpack

from bench.measurement import Settings
from lath.model import ComponentLimits, LinkSpec
from lath.names import NO_LINK, InterfaceName
from lath.server import Server
from lath.subjects import call_tail
from lath.testing import eventually
from lath_control.client import Client, NoLattice

LATTICE: Final = "bench"
START_MS: Final = 300_000
"""Compiling an interpreter takes this long at worst, on a busy machine."""
HOST_SECONDS: Final = 60.0
IN_FLIGHT_MAX: Final = 1_000


class Lattice:
    """See `lattice`.

    Attributes:
        url: The nats-server's.
        client: An operator's client.
        folder: For component files.
    """

    def __init__(self, url: str, settings: Settings, folder: Path, stack: AsyncExitStack) -> None:
        self.url = url
        self.folder = folder
        self.client = Client(url, lattice=LATTICE)
        self._settings = settings
        self._stack = stack
        self._hosts: dict[str, Process] = {}

    async def add_host(
        self, name: str, *, env: Mapping[str, str] | None = None, compiled: Path | None = None
    ) -> float:
        """Starts a host in a process of its own; returns the seconds until it was there.

        Args:
            name: Its name.
            env: More environment variables.
            compiled: Where it keeps compiled components; None: where all of them do.
        """
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "lath_host", "--nats-url", self.url, "--lattice", LATTICE, "--name", name,
            "--data-dir", str(compiled or self._settings.compiled),
            stdin=DEVNULL, stdout=DEVNULL, env={**os.environ, "LATH_LOG_LEVEL": "error", **(env or {})},
        )  # fmt: skip
        self._hosts[name] = process
        self._stack.push_async_callback(_end, process)
        await eventually(lambda: self._present(name), HOST_SECONDS, what=f"host {name}")
        return time.perf_counter() - began

    async def _present(self, name: str) -> bool:
        try:
            await self.client.connect()
        except NoLattice:
            return False
        return any(host.name == name for host in self.client.presence.hosts())

    def pid(self, host: str) -> int:
        """The process id of a host."""
        return self._hosts[host].pid

    async def end_host(self, name: str) -> None:
        """Stops a host, and returns when its process has ended."""
        await _end(self._hosts.pop(name))

    async def start(
        self, component_id: str, file: Path, *, host: str, count: int = IN_FLIGHT_MAX, **limits: Any
    ) -> None:
        """Places a component and waits until it runs; `limits` are those of `ComponentLimits`."""
        await self.client.components.start(
            str(file),
            component_id=component_id,
            host=host,
            count=count,
            limits=ComponentLimits(**limits),
            local=True,
            wait_ms=START_MS,
        )

    async def stop(self, component_id: str) -> None:
        """Stops a component."""
        await self.client.components.stop(component_id, wait_ms=START_MS)

    async def link(self, source_id: str, target: str, interface: InterfaceName) -> None:
        """Links two components, and waits until the hosts route by it."""
        spec = LinkSpec(
            source_id=source_id,
            target=target,
            wit_namespace=interface.namespace,
            wit_package=interface.package,
            interfaces=(interface.interface,),
        )
        report = await self.client.links.put_and_wait(spec, wait_ms=30_000)
        if report.verdict != "live":
            raise RuntimeError(f"the link from {source_id} to {target} is {report.verdict}")

    async def call(self, target: str, interface: InterfaceName, function: str, params: bytes) -> bytes:
        """Calls with packed parameters; returns the packed result."""
        tail = call_tail("_client", NO_LINK, interface, function)
        return await self.client.caller.call(target, tail, params, timeout_ms=60_000, linked=False)


@asynccontextmanager
async def lattice(settings: Settings, *hosts: str) -> AsyncIterator[Lattice]:
    """A lattice with hosts of these names; all of it ends with the block."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(dir=settings.folder)))
        server = await stack.enter_async_context(Server(store_dir=folder / "nats"))
        made = Lattice(server.url, settings, folder, stack)
        stack.push_async_callback(made.client.close)
        for host in hosts:
            await made.add_host(host)
        yield made


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    await process.wait()


def packed(*params: Any) -> bytes:
    """Parameters as they travel."""
    data: bytes = msgpack.packb(list(params))
    return data
