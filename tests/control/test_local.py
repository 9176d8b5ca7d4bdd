"""`lath up` and `lath down`: exactly what was started is ended, also after a crash."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lath_command import COMMAND_SECONDS, run, spawn
from nats.aio.msg import Msg

from lath import subjects
from lath.testing import eventually
from lath_control.client import Client
from lath_control.context import Contexts
from lath_control.local import LocalState, StateFile
from lath_control.local.processes import ProcessRecord, end, gone, record

pytestmark = pytest.mark.xdist_group("local lattices")
GRACE_MS = 20_000
"""Hosts drain for 10 s at most; a busy machine takes its time."""


@pytest.fixture(autouse=True)
async def nothing_stays(home: Path) -> AsyncIterator[None]:
    """Ends what a failing test has left running: all that is recorded in its own LATH_HOME."""
    yield
    for file in (home / "local").glob("*/state.json"):
        left = LocalState.model_validate_json(file.read_text())
        await end([left.keeper, *left.others], grace_ms=GRACE_MS)


def state() -> LocalState:
    found = StateFile("default").read()
    assert found is not None
    return found


async def test_a_detached_lattice_is_found_by_its_context_and_ended_whole() -> None:
    up = await run("up", "--hosts", "2", "--port", "0", "--detach", "-o", "json")
    assert up.code == 0, up.err
    try:
        assert up.json["nats_url"].endswith(f":{up.json['port']}") and up.json["port"] > 0
        assert (Path(up.json["logs"]) / "host-2.log").is_file()
        hosts = await run("get", "hosts", "-o", "json")
        assert [host["friendly_name"] for host in hosts.json] == ["host-1", "host-2"]
        again = await run("up", "--detach", "--port", "0")
        assert again.code == 1 and "is up here already" in again.err
        processes = (state().keeper, *state().others)
        assert len(processes) == 4 and all(process.alive for process in processes)
    finally:
        down = await run("down", "-o", "json")
    assert down.code == 0
    assert down.json["killed"] == [] and set(down.json["ended"]) >= {"keeper", "host-1", "host-2"}
    assert not any(process.alive for process in processes)
    assert Contexts().read().contexts == {}
    assert (await run("down")).code == 1


async def test_down_ends_what_a_crash_left_behind() -> None:
    up = await run("up", "--port", "0", "--detach")
    assert up.code == 0, up.err
    before = state()
    os.kill(before.keeper.pid, signal.SIGKILL)
    await eventually(lambda: not before.keeper.alive)
    down = await run("down", "-o", "json")
    assert (down.code, down.json["crashed"]) == (0, True)
    assert not before.alive


async def test_ctrl_c_stops_hosts_first_so_that_they_say_goodbye() -> None:
    process = await spawn("up", "--port", "0", "-o", "json")
    assert process.stdout is not None
    async with asyncio.timeout(COMMAND_SECONDS):
        started = json.loads(await process.stdout.readline())
        pids = (state().keeper, *state().others)
        stopped: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()

        async def heard(message: Msg) -> None:
            stopped.set_result(message)

        async with Client(started["nats_url"]) as client:
            await client.bus.subscribe(subjects.wasmbus_event("default", "host_stopped"), heard)
            await client.bus.flush()
            process.send_signal(signal.SIGINT)
            await stopped
        await process.communicate()
    assert process.returncode == 0
    assert not any(each.alive for each in pids)
    assert StateFile("default").read() is None


async def test_what_up_has_started_ends_with_it_also_when_it_is_killed() -> None:
    process = await spawn("up", "--hosts", "2", "--port", "0", "-o", "json")
    assert process.stdout is not None
    async with asyncio.timeout(COMMAND_SECONDS):
        await process.stdout.readline()
        server_and_hosts = state().others
        assert len(server_and_hosts) == 3 and all(each.alive for each in server_and_hosts)
        process.kill()
        await process.communicate()
    assert await gone(server_and_hosts, timeout_ms=GRACE_MS)


async def test_a_port_that_is_taken_is_said_at_once() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        ran = await run("up", "--port", str(port), "--detach")
    assert ran.code == 1
    assert f"port {port} is in use" in ran.err
    assert StateFile("default").read() is None


async def test_a_process_that_took_over_an_id_is_left_alone() -> None:
    process = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        mine = record("sleep", process.pid)
        stranger = ProcessRecord(name="sleep", pid=process.pid, started="at another time")
        assert mine.alive and not stranger.alive
        assert await end([stranger], grace_ms=1_000) == []
        assert mine.alive
    finally:
        await end([mine], grace_ms=5_000)
        await process.wait()
    assert not mine.alive
