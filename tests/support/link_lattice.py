"""A lattice with members that hold links in memory, and the operations on links, for one test."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import link_participants
from link_participants import Member, MemoryHolder

from lath.bus import Bus, ensure_buckets
from lath.links import LinkStore
from lath.model import Link, LinkSpec
from lath.presence import PresenceView
from lath.testing import eventually
from lath.verbs import LinkOps


def spec(source: str, target: str, name: str = "default", config: Sequence[str] = ()) -> LinkSpec:
    return LinkSpec(
        source_id=source, target=target, name=name, wit_namespace="wasi", wit_package="keyvalue",
        interfaces=("store",), target_config=tuple(config),
    )  # fmt: skip


@dataclass
class LinkLattice:
    """One test's lattice.

    Attributes:
        view: The asker's presence.
    """

    bus: Bus
    url: str
    store: LinkStore
    view: PresenceView
    ops: LinkOps
    stack: AsyncExitStack
    ttl_ms: int

    async def put(self, source: str, target: str, name: str = "default") -> Link:
        return await self.store.put(spec(source, target, name))

    async def member(
        self,
        kind: Literal["host", "provider"],
        id: str,
        *,
        instance: str = "",
        host: str = "",
        serves: Sequence[str] = (),
        follow: bool = True,
    ) -> Member:
        """A participant on a connection of its own, seen by the asker."""
        holder = MemoryHolder(kind, id, instance_id=instance, host_id=host, serves=serves)
        return await self.join(holder, follow=follow)

    async def join(self, holder: MemoryHolder, *, follow: bool = True) -> Member:
        bus = await self.stack.enter_async_context(
            await Bus.connect(self.url, lattice=self.bus.lattice, name=holder.id)
        )
        member = await self.stack.enter_async_context(Member(bus, holder, follow=follow, ttl_ms=self.ttl_ms))
        await self.seen(holder.instance_id)
        return member

    async def seen(self, *instances: str) -> None:
        await eventually(lambda: set(instances) <= {entry.instance_id for entry in self.view.all()})

    async def process(
        self, kind: str, id: str, instance: str, serves: str = ""
    ) -> asyncio.subprocess.Process:
        """A participant in a process of its own; killed when the test ends."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(Path(link_participants.__file__)), self.url, self.bus.lattice, kind, id,
            f"--instance={instance}", f"--serves={serves}", f"--ttl-ms={self.ttl_ms}",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self.stack.push_async_callback(_kill, process)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        return process


async def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
    await process.communicate()


@asynccontextmanager
async def link_lattice(url: str, lattice: str, *, ttl_ms: int = 15_000) -> AsyncIterator[LinkLattice]:
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(await Bus.connect(url, lattice=lattice, name="asker"))
        await ensure_buckets(bus)
        view = PresenceView(bus, slack_ms=ttl_ms // 3)
        await view.start()
        stack.push_async_callback(view.close)
        store = LinkStore(bus)
        ops = LinkOps(bus, view, store, presence_ttl_ms=ttl_ms)
        stack.push_async_callback(ops.close)
        yield LinkLattice(bus, url, store, view, ops, stack, ttl_ms)
