"""Buses that are not quite what a lattice needs: what a client says then."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from frozen import freeze
from lath_command import TEXTSTATS

from lath.errors import DeadlineExceeded, LathError
from lath.server import Cluster, nats_server_path
from lath.testing import eventually
from lath_control.client import Client, NoLattice
from lath_host.testing import HostFactory, HostProcess


async def test_a_bus_without_jetstream_is_named_as_such() -> None:
    binary = await asyncio.to_thread(nats_server_path)
    process = await asyncio.create_subprocess_exec(
        binary, "-a", "127.0.0.1", "-p", "-1",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        async with asyncio.timeout(20):
            while b"client connections on" not in (line := await process.stderr.readline()):
                assert line, "nats-server ended"
        url = "nats://" + line.decode().strip().rpartition(" ")[2]
        with pytest.raises(NoLattice, match="no JetStream"):
            async with Client(url):
                pass
    finally:
        process.terminate()
        await process.communicate()


async def test_uploads_and_links_work_on_a_cluster_of_three(hosts: HostFactory, lattice: str) -> None:
    async with Cluster(3) as cluster:
        await hosts(1, name="one", nats_url=cluster.url, replicas=3)
        async with Client(cluster.url, lattice=lattice) as client:
            started = await client.components.start(str(TEXTSTATS), component_id="textstats")
            assert started.ref.startswith("bus:sha256:")
            assert await client.call("textstats", "demo:text/stats.shout", "three") == "THREE"
            report = await client.doctor()
            assert report.healthy, report
        for running in await hosts(0):
            await running.stop()


async def test_a_frozen_host_is_shown_as_silent_and_the_others_are_not_held_up(
    client: Client, lattice: str
) -> None:
    async with HostProcess(client.nats_url, lattice, "--name", "frozen") as process:
        await eventually(lambda: "frozen" in {p.name for p in client.presence.hosts()})
        await freeze(process.pid)
        try:
            states = {host.friendly_name: host.state for host in await client.hosts.list()}
            assert states == {"one": "up", "two": "up", "frozen": "silent"}
            assert {info.friendly_name for info in await client.hosts.ping()} == {"one", "two"}
            with pytest.raises((DeadlineExceeded, LathError)):
                await client.hosts.get("frozen")
        finally:
            os.kill(process.pid, signal.SIGCONT)
