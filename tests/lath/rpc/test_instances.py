"""Calls to instances that presence shows, in processes of their own, that stop, freeze and die."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from lath import errors, telemetry
from lath.bus import Bus, ensure_buckets
from lath.model.presence import Presence
from lath.names import InterfaceName
from lath.presence import PresenceAnnouncer, PresenceView
from lath.rpc import Caller, CallServer, Handler, IncomingCall
from lath.server import Server
from lath.subjects import call_tail
from lath.telemetry.tracetree import read_traces
from lath.testing import eventually

SPEC = InterfaceName("lath", "test", "spec")
TTL_MS = 1000
PEER = Path(__file__).parents[2] / "support" / "rpc_peer.py"


def tail(function: str) -> str:
    return call_tail("app", "default", SPEC, function)


class Peers:
    """Processes that serve `t`, and a caller that sees their presence."""

    def __init__(self, url: str, bus: Bus, view: PresenceView, caller: Caller) -> None:
        self.url, self.bus, self.view, self.caller = url, bus, view, caller
        self._processes: list[Process] = []

    async def start(self, instance: str, **environment: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(PEER),
            self.url,
            self.bus.lattice,
            "t",
            instance,
            str(TTL_MS),
            stdout=PIPE,
            env={**os.environ, **environment},
        )
        self._processes.append(process)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        await eventually(lambda: self.view.get("t", instance) is not None)
        return process

    @asynccontextmanager
    async def serve_here(self, instance: str, handler: Handler) -> AsyncIterator[CallServer]:
        """One more instance, in this process."""
        presence = Presence(kind="provider", target="t", instance_id=instance, started_ms=0, version="0")
        async with (
            await Bus.connect(self.url, lattice=self.bus.lattice, name=instance) as bus,
            CallServer(bus, "t", instance, handler) as server,
            PresenceAnnouncer(bus, presence),
        ):
            yield server

    async def call(self, function: str, payload: bytes = b"", timeout_ms: float = 30_000) -> bytes:
        return await self.caller.call("t", tail(function), payload, timeout_ms=timeout_ms, linked=True)

    async def close(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@asynccontextmanager
async def peers_on(url: str, lattice: str) -> AsyncIterator[Peers]:
    async with await Bus.connect(url, lattice=lattice, name="caller") as bus:
        await ensure_buckets(bus)
        async with PresenceView(bus, slack_ms=500) as view, Caller(bus, view, "app") as caller:
            await view.wait_synced()
            peers = Peers(url, bus, view, caller)
            try:
                yield peers
            finally:
                await peers.close()


@pytest_asyncio.fixture
async def peers(shared_nats_server: Server, lattice: str) -> AsyncIterator[Peers]:
    async with peers_on(shared_nats_server.url, lattice) as found:
        yield found


async def test_without_instances_a_call_fails_at_once(peers: Peers) -> None:
    with pytest.raises(errors.Unavailable, match="no instance of t"):
        await peers.call("echo")
    with pytest.raises(errors.NotFound, match="t is not running"):
        await peers.caller.call("t", tail("echo"), b"", linked=False)


async def test_calls_are_spread_over_the_instances(peers: Peers) -> None:
    await asyncio.gather(peers.start("i1"), peers.start("i2"), peers.start("i3"))
    pids = Counter(await asyncio.gather(*(peers.call("pid") for _ in range(300))))
    assert len(pids) == 3
    assert min(pids.values()) > 50


async def test_a_graceful_stop_under_constant_load_loses_no_call(peers: Peers) -> None:
    first, _ = await asyncio.gather(peers.start("i1"), peers.start("i2"))
    answered = 0
    stop = asyncio.Event()

    async def load(function: str) -> None:
        nonlocal answered
        while not stop.is_set():
            assert await peers.call(function, b"x") == b"x"
            answered += 1

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for n in range(32):
            group.create_task(load("slow" if n % 2 else "echo"))
        await eventually(lambda: answered > 500)
        first.send_signal(signal.SIGTERM)
        assert await first.wait() == 0
        at_end = answered
        await eventually(lambda: answered > at_end + 200)
        stop.set()


async def test_a_stopping_instance_finishes_what_it_runs(peers: Peers) -> None:
    only = await peers.start("i1")
    calls = [asyncio.create_task(peers.call("slow", b"done")) for _ in range(20)]
    await eventually(lambda: peers.caller.outstanding("i1") == 20)
    await peers.call("echo")
    only.send_signal(signal.SIGTERM)
    assert await asyncio.gather(*calls) == [b"done"] * 20
    assert await only.wait() == 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_call_held_by_a_killed_or_frozen_instance_is_instance_lost(
    peers: Peers, how: signal.Signals
) -> None:
    process = await peers.start("i1")
    call = asyncio.create_task(peers.call("wait", timeout_ms=60_000))
    await eventually(lambda: peers.caller.outstanding("i1") == 1)
    await peers.call("echo")  # behind the other, so that one has arrived
    process.send_signal(how)
    async with asyncio.timeout(15):
        with pytest.raises(errors.InstanceLost, match="i1"):
            await call
    await eventually(lambda: not peers.view.instances("t"))


async def test_a_call_held_by_an_instance_that_withdrew_and_vanished_is_instance_lost(peers: Peers) -> None:
    async def hang(call: IncomingCall) -> bytes:
        await asyncio.Event().wait()
        return b""

    other = await Bus.connect(peers.url, lattice=peers.bus.lattice, name="i1")
    server = CallServer(other, "t", "i1", hang)
    await server.start()
    presence = Presence(kind="provider", target="t", instance_id="i1", started_ms=0, version="0")
    announcer = PresenceAnnouncer(other, presence)
    await announcer.start()
    await eventually(lambda: peers.view.instances("t"))
    call = asyncio.create_task(peers.call("wait", timeout_ms=60_000))
    await eventually(lambda: server.inflight == 1)
    await announcer.withdraw()
    await eventually(lambda: not peers.view.instances("t"))
    assert not call.done()
    await other.close()  # nothing says goodbye to the caller
    async with asyncio.timeout(15):
        with pytest.raises(errors.InstanceLost, match="is gone"):
            await call
    await server.close()


async def test_a_dead_instance_is_passed_over_before_its_presence_ends(peers: Peers) -> None:
    dead, _ = await asyncio.gather(peers.start("i1"), peers.start("i2"))
    dead.kill()
    await dead.wait()
    for _ in range(50):
        assert await peers.call("echo", b"x") == b"x"


async def test_a_refusal_is_retried_on_another_instance(peers: Peers) -> None:
    async def refuse(call: IncomingCall) -> bytes:
        raise errors.LinkFailed("i0 cannot reach its backend")

    await peers.start("i1")
    async with peers.serve_here("i0", refuse) as server:
        await eventually(lambda: len(peers.view.instances("t")) == 2)
        for _ in range(30):
            assert await peers.call("echo", b"x") == b"x"
        assert server.stats.errors > 0


async def test_giving_up_cancels_the_call_where_it_runs(peers: Peers) -> None:
    ended: asyncio.Queue[str] = asyncio.Queue()

    async def hang(call: IncomingCall) -> bytes:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.put_nowait(call.payload.decode())
            raise
        return b""

    async with peers.serve_here("i0", hang) as server:
        await eventually(lambda: peers.view.instances("t"))
        kept = asyncio.create_task(peers.call("wait", b"kept"))
        given_up = asyncio.create_task(peers.call("wait", b"given up"))
        await eventually(lambda: server.inflight == 2)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        async with asyncio.timeout(5):
            assert await ended.get() == "given up"
        await eventually(lambda: server.inflight == 1)
        assert not kept.done()
        kept.cancel()
        await asyncio.wait([kept])


TRACE = telemetry.TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=1, b=2")


async def test_a_trace_is_forwarded_byte_for_byte_where_nobody_records(peers: Peers) -> None:
    await peers.start("i1", LATH_TRACE_DIR="")
    assert await peers.call("trace") == b"|"
    with telemetry.use(TRACE):
        got = await peers.call("trace")
    assert got.decode() == f"{TRACE.traceparent}|{TRACE.tracestate}"
    assert await peers.call("trace") == b"|"


async def test_one_trace_joins_client_and_server_across_processes(
    peers: Peers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATH_TRACE_DIR", str(tmp_path))
    process = await peers.start("i1")
    await asyncio.to_thread(telemetry.setup, "caller")
    try:
        with telemetry.use(TRACE):
            seen = (await peers.call("trace")).decode()
        with telemetry.use(telemetry.TraceContext(TRACE.traceparent[:-2] + "00")):
            unsampled = (await peers.call("trace")).decode()
        with pytest.raises(errors.DeadlineExceeded):
            await peers.call("wait", timeout_ms=50)
    finally:
        await asyncio.to_thread(telemetry.shutdown)
    process.send_signal(signal.SIGTERM)
    await process.wait()
    assert unsampled == TRACE.traceparent[:-2] + "00|"
    traces = await asyncio.to_thread(read_traces, tmp_path)
    assert len(traces) == 2
    (client,) = traces.pop(TRACE.trace_id).roots
    (server,) = client.children
    assert (client.kind, client.service, client.parent_id) == ("client", "caller", TRACE.span_id)
    assert (server.kind, server.service, server.instance) == ("server", "t", "i1")
    assert client.name == server.name == "lath:test/spec.trace"
    assert seen.partition("|")[0][36:52] == server.span_id
    assert server.attributes["lath.source"] == "app"
    assert client.attributes["lath.instance"] == server.attributes["lath.instance"] == "i1"
    (other,) = traces.values()
    kinds = {span.kind: span.attributes["lath.error.kind"] for span in other.spans()}
    assert kinds["client"] == "deadline_exceeded"
    assert kinds["server"] in (
        "deadline_exceeded",
        "cancelled",
    )  # whichever was first: its clock, or our cancel
