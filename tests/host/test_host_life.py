"""A host's start and end, in this process."""

from __future__ import annotations

import asyncio

import pytest

from lath.bus import Bus
from lath.errors import InvalidArgument, NotConnected
from lath.server import Server
from lath.testing import eventually
from lath_host import Host, HostOptions
from lath_host.testing import HostFactory


async def test_a_host_that_cannot_connect_says_where_to_and_can_be_stopped() -> None:
    host = Host(HostOptions(nats_url="nats://127.0.0.1:9"))
    with pytest.raises(NotConnected, match=r"127\.0\.0\.1:9"):
        await host.start()
    await host.stop()


async def test_a_host_with_a_lattice_of_a_hostile_name_is_refused() -> None:
    for name in ("a.b", "", "*", "x" * 65, "a b"):
        with pytest.raises(InvalidArgument):
            Host(HostOptions(lattice=name))


async def test_a_host_whose_presence_would_hold_for_parts_of_seconds_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="whole seconds"):
        Host(HostOptions(presence_ttl_ms=1_500))


async def test_stopping_twice_and_at_once_is_fine(nats_server: Server, lattice: str) -> None:
    host = Host(HostOptions(nats_url=nats_server.url, lattice=lattice))
    await host.start()
    host.request_stop()
    await asyncio.gather(host.stop(), host.stop(), host.wait_stopped())
    await host.stop()


async def test_nothing_of_a_stopped_host_is_left(nats_server: Server, lattice: str) -> None:
    """No task of it runs on, and the server has none of its connections."""
    before = asyncio.all_tasks()
    async with Host(HostOptions(nats_url=nats_server.url, lattice=lattice)):
        assert len(asyncio.all_tasks()) > len(before)
    await eventually(lambda: asyncio.all_tasks() <= before | {asyncio.current_task()})

    async def gone() -> bool:
        return (await nats_server.connz())["num_connections"] == 0

    await eventually(gone)


async def test_hosts_that_start_at_once_make_the_same_buckets(hosts: HostFactory, bus: Bus) -> None:
    made = await asyncio.gather(*(hosts(1) for _ in range(5)))
    histories = {tuple(host.services.incarnations) for (host,) in made}
    assert len(histories) == 1 and len(next(iter(histories))) == 1
