"""The nats-server that lath starts: ready when it says so, gone when its parent is."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from lath.bus import BucketStore, Bus, ensure_buckets
from lath.errors import Conflict, Unavailable
from lath.links import LinkStore
from lath.model import LinkSpec
from lath.server import Cluster, Server
from lath.testing import eventually


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_it_has_the_settings_that_lath_ships(nats_server: Server) -> None:
    settings = await nats_server.monitor("/varz")
    assert settings["max_payload"] == 8 * 1024 * 1024
    assert settings["ping_interval"] == 5_000_000_000
    assert settings["ping_max"] == 2
    assert settings["jetstream"]["config"]["store_dir"].startswith(str(nats_server.store_dir))
    assert settings["host"] == "127.0.0.1"


async def test_restarting_keeps_port_and_store_unless_the_store_is_dropped(
    nats_server: Server, bus: Bus
) -> None:
    url = nats_server.url
    await BucketStore(bus, "config").put("a", b"{}")
    await nats_server.restart()
    assert nats_server.url == url
    await eventually(lambda: bus.connected)
    assert await BucketStore(bus, "config").get("a") is not None
    await nats_server.restart(keep_store=False)
    await eventually(lambda: bus.connected)
    await ensure_buckets(bus)
    assert await BucketStore(bus, "config").get("a") is None


async def test_a_stopped_server_is_gone_and_closing_twice_is_fine(tmp_path: Path) -> None:
    server = Server(store_dir=tmp_path / "store")
    await server.start()
    pid = server.pid
    await server.close()
    await server.close()
    assert not _alive(pid)
    assert (tmp_path / "store").exists()
    with pytest.raises(Unavailable, match="is not running"):
        _ = server.pid


async def test_a_killed_server_can_be_started_again(nats_server: Server) -> None:
    await nats_server.kill()
    assert not nats_server.running
    await nats_server.start()
    assert nats_server.running


async def test_a_port_in_use_is_named(nats_server: Server) -> None:
    with pytest.raises(Conflict, match=f"port {nats_server.port} is in use"):
        await Server(port=nats_server.port).start()


async def test_a_bad_configuration_is_told_with_the_servers_own_words() -> None:
    server = Server(config={"no_such_setting": 1})
    with pytest.raises(Unavailable, match="did not start"):
        await server.start()
    await server.close()


async def test_the_server_does_not_survive_the_death_of_its_parent(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from lath.server import Server\n"
        "async def main():\n"
        "    server = Server()\n"
        "    await server.start()\n"
        "    print(server.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert _alive(pid)
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    await eventually(lambda: not _alive(pid))


async def test_on_a_cluster_of_three_buckets_are_replicated_and_one_racer_wins(lattice: str) -> None:
    async with (
        Cluster() as cluster,
        await Bus.connect(cluster.url, lattice=lattice, name="t", connect_timeout_ms=15_000) as bus,
    ):
        await ensure_buckets(bus, replicas=3, timeout_ms=30_000)
        store = BucketStore(bus, "config")
        for i in range(20):
            await store.put(f"k{i}", b"%d" % i)
        assert [entry.value for entry in await store.list("k1")] == [b"1"]
        assert len(await store.list()) == 20
        links = LinkStore(bus)
        for turn in range(5):
            outcomes = await asyncio.gather(
                *(links.put(_spec(f"app-{turn}", f"kv-{i}")) for i in range(12)), return_exceptions=True
            )
            won = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
            assert len(won) == 1, outcomes
            assert all(won[0].target in str(o) for o in outcomes if isinstance(o, Conflict))
        assert len((await links.list()).links) == 5


def _spec(source: str, target: str) -> LinkSpec:
    return LinkSpec(source_id=source, target=target, wit_namespace="a", wit_package="b", interfaces=("c",))
