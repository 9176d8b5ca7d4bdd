"""Bodies larger than what anybody may keep of them, both ways at once, through a host that is a process."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from http_components import ECHO, SPLICE
from http_front import RawClient, free_port
from whole_lattice import WholeLattice

from lath.model import LinkSpec
from lath.server import Server
from lath.testing import eventually

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc"),
]

MIB: Final = 1 << 20
PIECE: Final = random.Random(4).randbytes(250_001)
"""Sent again and again. Its length divides no size that anybody buffers, so that nothing lost, doubled or put
in another order looks like what was sent."""
GROWN_KIB_MAX: Final = 24 * 1024
TAKEN_BYTES_MAX: Final = 24 * MIB
"""Of a body whose answer nobody reads: what Linux lets the server's two buffers of a socket grow to, 6 and 4
MiB, what lath keeps beside them, and as much again."""
SAMPLE_BYTES: Final = MIB
STALL_S: Final = 1.0
"""A body that has not gone on for so long is being held back."""


@dataclass
class Site:
    """A host, and a server in front of its component `passing`.

    Attributes:
        port: Where the server listens.
        pids: The processes that the bodies pass through.
    """

    port: int
    pids: list[int]

    def resident_kib(self) -> dict[int, int]:
        return {pid: resident_kib(pid) for pid in self.pids}

    async def client(self) -> RawClient:
        loop = asyncio.get_running_loop()
        connection = socket.socket()
        connection.setblocking(False)
        # What this end buffers is not what the server has taken.
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            connection.setsockopt(socket.SOL_SOCKET, option, 128 * 1024)
        await loop.sock_connect(connection, ("127.0.0.1", self.port))
        return RawClient(*await asyncio.open_connection(sock=connection, limit=MIB))


def resident_kib(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0])


@contextlib.asynccontextmanager
async def served(server: Server, lattice: str, where: str, source: bytes) -> AsyncIterator[Site]:
    """A component behind the server, which is `built in` its host or `a process`."""
    async with WholeLattice(server, lattice) as whole:
        await whole.add_hosts(1)
        pids = [whole.hosts[0].pid]
        if where == "built in":
            await whole.provider("web", "builtin:http-server")
        else:
            flags = ("--nats-url", whole.server.url, "--lattice", whole.lattice, "--id", "web")
            alone = await whole.program("-m", "lath_providers.http_server", *flags)
            await eventually(lambda: whole.client.presence.instances("web"), 30)
            pids.append(alone.pid)
        await whole.component("passing", source.decode())
        port = await free_port()
        config = {"address": f"127.0.0.1:{port}", "body_bytes_max": str(1 << 40), "access_log": "false"}
        await whole.client.configs.put("web", config)
        spec = LinkSpec(
            source_id="web", target="passing", name="passing", wit_namespace="wasi", wit_package="http",
            interfaces=("incoming-handler",), source_config=("web",),
        )  # fmt: skip
        report = await whole.client.links.put_and_wait(spec, wait_ms=20_000)
        assert report.verdict == "live", report
        yield Site(port, pids)


class Sending:
    """A request whose body is sent as fast as it is taken.

    Attributes:
        taken: Bytes of it so far.
    """

    def __init__(self, client: RawClient, size: int) -> None:
        self.taken = 0
        self._client = client
        self._size = size
        self._went_on = asyncio.Event()

    async def send(self) -> None:
        await self._client.send(f"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {self._size}\r\n\r\n")
        while self.taken < self._size:
            piece = PIECE[: self._size - self.taken]
            await self._client.send(piece)
            self.taken += len(piece)
            self._went_on.set()

    async def held_back(self) -> None:
        """Waits until it goes on no more."""
        with contextlib.suppress(TimeoutError):
            while True:
                self._went_on.clear()
                async with asyncio.timeout(STALL_S):
                    await self._went_on.wait()


async def received(client: RawClient, sample: Callable[[], None]) -> int:
    """The size of the response's body, which is what was sent; `sample` is called as it comes."""
    head = await client.head()
    assert head.status == 200, head
    twice = PIECE * 2
    at = sampled = 0
    async for chunk in client.chunks():
        for start in range(0, len(chunk), len(PIECE)):
            part = chunk[start : start + len(PIECE)]
            within = at % len(PIECE)
            assert part == twice[within : within + len(part)], at
            at += len(part)
        if at - sampled >= SAMPLE_BYTES:
            sample()
            sampled = at
    return at


@pytest.mark.parametrize(
    ("where", "source", "size"),
    [
        pytest.param("built in", SPLICE, 1024 * MIB, id="1 GiB, built in"),
        pytest.param("built in", ECHO, 64 * MIB, id="64 MiB through a guest's memory, built in"),
        pytest.param("a process", SPLICE, 64 * MIB, id="64 MiB, over the bus"),
    ],
)
async def test_a_body_passes_both_ways_at_once_in_bounded_memory_and_waits_for_its_reader(
    nats_server: Server, lattice: str, where: str, source: bytes, size: int
) -> None:
    async with served(nats_server, lattice, where, source) as site, await site.client() as client:
        start_kib = peak_kib = site.resident_kib()

        def sample() -> None:
            nonlocal peak_kib
            peak_kib = {pid: max(peak_kib[pid], now) for pid, now in site.resident_kib().items()}

        sending = Sending(client, size)
        async with asyncio.timeout(240), asyncio.TaskGroup() as tasks:
            tasks.create_task(sending.send())
            await sending.held_back()
            assert 0 < sending.taken < TAKEN_BYTES_MAX
            sample()
            assert await received(client, sample) == size
        grown_kib = {pid: peak_kib[pid] - start_kib[pid] for pid in peak_kib}
        assert max(grown_kib.values()) < GROWN_KIB_MAX, grown_kib
