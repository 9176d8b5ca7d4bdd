"""Calls between two connections, to the queue group: what comes back, and what failure looks like."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from lath import errors
from lath.bus import Bus, Credentials
from lath.model.revision import Revision
from lath.names import InterfaceName
from lath.rpc import Caller, CallServer, IncomingCall
from lath.server import Server
from lath.subjects import call_tail
from lath.testing import eventually

STORE = InterfaceName("wasi", "keyvalue", "store")
TAIL = call_tail("app", "default", STORE, "get")


async def echo(call: IncomingCall) -> bytes:
    return call.payload


async def test_a_call_arrives_with_all_that_it_carries(caller_bus: Bus, server_bus: Bus) -> None:
    seen: list[IncomingCall] = []

    async def handle(call: IncomingCall) -> bytes:
        seen.append(call)
        return b"result"

    revision = Revision(incarnation=7, sequence=9)
    async with CallServer(server_bus, "kv", "i1", handle), Caller(caller_bus, None, "app") as caller:
        result = await caller.call(
            "kv",
            TAIL,
            b"params",
            timeout_ms=5_000,
            linked=True,
            revision=revision,
            interface_version="0.2.0-draft",
            app_version="v1,beta ü",
        )
    assert result == b"result"
    (call,) = seen
    assert (call.subject.source, call.subject.link, call.subject.function) == ("app", "default", "get")
    assert (call.subject.namespace, call.subject.package, call.subject.interface) == (
        "wasi",
        "keyvalue",
        "store",
    )
    assert call.payload == b"params"
    assert call.header.revision == revision
    assert (call.header.interface_version, call.header.app_version) == ("0.2.0-draft", "v1,beta ü")
    assert 0 < call.header.ms_left <= 5_001
    assert call.trace is None


@pytest.mark.parametrize("kind", sorted(errors.KINDS))
async def test_every_error_of_a_handler_arrives_by_kind_with_its_message(
    caller_bus: Bus, server_bus: Bus, kind: str
) -> None:
    message = f"why: {kind}\nsecond line with ü\x00\x7f " + "long " * 1000

    async def fail(call: IncomingCall) -> bytes:
        raise errors.error_of_kind(kind, message)

    async with CallServer(server_bus, "kv", "i1", fail), Caller(caller_bus, None, "app") as caller:
        with pytest.raises(errors.KINDS[kind]) as caught:
            await caller.call("kv", TAIL, b"", linked=True)
    assert caught.value.message == message


async def test_an_unexpected_exception_is_internal_and_logged(
    caller_bus: Bus, server_bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(call: IncomingCall) -> bytes:
        raise ZeroDivisionError("a defect")

    async with CallServer(server_bus, "kv", "i1", fail), Caller(caller_bus, None, "app") as caller:
        with pytest.raises(errors.Internal, match="ZeroDivisionError: a defect"):
            await caller.call("kv", TAIL, b"", linked=True)
    assert any("a call failed unexpectedly" in str(record.msg) for record in caplog.records)


async def test_nobody_there_is_not_found_for_a_client_and_unavailable_over_a_link(caller_bus: Bus) -> None:
    async with Caller(caller_bus, None, "app") as caller:
        with pytest.raises(errors.NotFound, match="kv"):
            await caller.call("kv", TAIL, b"", linked=False)
        with pytest.raises(errors.Unavailable, match="kv"):
            await caller.call("kv", TAIL, b"", linked=True)


async def test_the_deadline_ends_the_call_on_both_sides(caller_bus: Bus, server_bus: Bus) -> None:
    ended = asyncio.Event()

    async def hang(call: IncomingCall) -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return b""

    async with CallServer(server_bus, "kv", "i1", hang) as server, Caller(caller_bus, None, "app") as caller:
        with pytest.raises(errors.DeadlineExceeded):
            await caller.call("kv", TAIL, b"", timeout_ms=100, linked=True)
        async with asyncio.timeout(5):
            await ended.wait()
        await eventually(lambda: server.inflight == 0)
        assert server.stats.errors == 1


async def test_past_inflight_max_a_call_is_overloaded_at_once(caller_bus: Bus, server_bus: Bus) -> None:
    free = asyncio.Event()

    async def wait(call: IncomingCall) -> bytes:
        await free.wait()
        return b"done"

    async with (
        CallServer(server_bus, "kv", "i1", wait, inflight_max=2) as server,
        Caller(caller_bus, None, "app") as caller,
    ):
        running = [asyncio.create_task(caller.call("kv", TAIL, b"", linked=True)) for _ in range(2)]
        await eventually(lambda: server.inflight == 2)
        with pytest.raises(errors.Overloaded, match="2 calls"):
            await caller.call("kv", TAIL, b"", linked=True)
        free.set()
        assert await asyncio.gather(*running) == [b"done", b"done"]


async def test_retries_stop_when_their_budget_is_empty(caller_bus: Bus, server_bus: Bus) -> None:
    async def fail(call: IncomingCall) -> bytes:
        raise errors.Unavailable("down")

    async with CallServer(server_bus, "kv", "i1", fail) as server, Caller(caller_bus, None, "app") as caller:

        async def try_it() -> None:
            with pytest.raises(errors.Unavailable, match="down"):
                await caller.call("kv", TAIL, b"", linked=True)

        await try_it()
        assert server.stats.requests == 4
        for _ in range(200):
            await try_it()
        # 201 calls, and at most 100 + 0.2 retries for each of them
        assert server.stats.requests <= 201 + 100 + 0.2 * 201


async def test_not_connected_fails_at_once_and_nothing_is_sent_later(
    nats_server: Server, lattice: str
) -> None:
    served: list[bytes] = []

    async def note(call: IncomingCall) -> bytes:
        served.append(call.payload)
        return b""

    async with (
        await Bus.connect(nats_server.url, lattice=lattice, name="s") as server_bus,
        await Bus.connect(nats_server.url, lattice=lattice, name="c") as caller_bus,
        CallServer(server_bus, "kv", "i1", note),
        Caller(caller_bus, None, "app") as caller,
    ):
        await caller.call("kv", TAIL, b"before", linked=True)
        await nats_server.stop()
        await eventually(lambda: not caller_bus.connected and not server_bus.connected)
        with pytest.raises(errors.NotConnected):
            await caller.call("kv", TAIL, b"meanwhile", linked=True)
        await nats_server.restart()
        await eventually(lambda: caller_bus.connected and server_bus.connected)

        async with asyncio.timeout(10):
            while b"after" not in served:
                with contextlib.suppress(errors.Unavailable):  # until the server has subscribed again
                    await caller.call("kv", TAIL, b"after", linked=True)
    assert b"meanwhile" not in served


async def test_a_connection_lost_while_waiting_is_connection_lost(nats_server: Server, lattice: str) -> None:
    began = asyncio.Event()

    async def hang(call: IncomingCall) -> bytes:
        began.set()
        await asyncio.Event().wait()
        return b""

    async with (
        await Bus.connect(nats_server.url, lattice=lattice, name="s") as server_bus,
        await Bus.connect(nats_server.url, lattice=lattice, name="c") as caller_bus,
        CallServer(server_bus, "kv", "i1", hang),
        Caller(caller_bus, None, "app") as caller,
    ):
        call = asyncio.create_task(caller.call("kv", TAIL, b"", timeout_ms=60_000, linked=True))
        async with asyncio.timeout(10):
            await began.wait()
            await nats_server.stop()
            with pytest.raises(errors.ConnectionLost):
                await call


async def test_what_permissions_forbid_is_permission_denied_at_once(tmp_path: Path, lattice: str) -> None:
    config = {
        "authorization": {
            "users": [
                {"user": "all", "password": "x"},
                {
                    "user": "few",
                    "password": "x",
                    "permissions": {"publish": ["lath.rpc.*.Allowed.>"], "subscribe": ["_INBOX.>"]},
                },
            ]
        }
    }
    few = Credentials(user="few", password="x")
    everything = Credentials(user="all", password="x")
    async with (
        Server(store_dir=tmp_path, config=config) as server,
        await Bus.connect(server.url, lattice=lattice, name="s", credentials=everything) as server_bus,
        await Bus.connect(server.url, lattice=lattice, name="c", credentials=few) as caller_bus,
        CallServer(server_bus, "Allowed", "i1", echo),
        CallServer(server_bus, "Forbidden", "i1", echo),
        Caller(caller_bus, None, "app") as caller,
    ):
        assert await caller.call("Allowed", TAIL, b"yes", linked=True) == b"yes"
        async with asyncio.timeout(5):
            with pytest.raises(errors.PermissionDenied, match="Forbidden"):
                await caller.call("Forbidden", TAIL, b"no", timeout_ms=60_000, linked=True)
            with pytest.raises(errors.PermissionDenied, match="serving mine"):
                await CallServer(caller_bus, "mine", "i1", echo).start()


async def test_closing_a_server_tells_its_callers(caller_bus: Bus, server_bus: Bus) -> None:
    async def hang(call: IncomingCall) -> bytes:
        await asyncio.Event().wait()
        return b""

    server = CallServer(server_bus, "kv", "i1", hang)
    await server.start()
    async with Caller(caller_bus, None, "app") as caller:
        call = asyncio.create_task(caller.call("kv", TAIL, b"", timeout_ms=60_000, linked=True))
        await eventually(lambda: server.inflight == 1)
        await server.close()
        await server.close()
        async with asyncio.timeout(5):
            with pytest.raises(errors.CallCancelled):
                await call


async def test_closing_a_caller_fails_what_waits(caller_bus: Bus, server_bus: Bus) -> None:
    async def hang(call: IncomingCall) -> bytes:
        await asyncio.Event().wait()
        return b""

    async with CallServer(server_bus, "kv", "i1", hang) as server:
        caller = Caller(caller_bus, None, "app")
        call = asyncio.create_task(caller.call("kv", TAIL, b"", timeout_ms=60_000, linked=True))
        await eventually(lambda: server.inflight == 1)
        await caller.close()
        await caller.close()
        with pytest.raises(errors.ConnectionLost):
            await call


async def test_a_thousand_calls_at_once_each_get_their_own_answer(caller_bus: Bus, server_bus: Bus) -> None:
    async with CallServer(server_bus, "kv", "i1", echo), Caller(caller_bus, None, "app") as caller:
        payloads = [str(n).encode() for n in range(1000)]
        results = await asyncio.gather(*(caller.call("kv", TAIL, p, linked=True) for p in payloads))
    assert results == payloads


@pytest.mark.parametrize("timeout_ms", [0, -1, float("nan"), float("inf"), 10**12])
async def test_a_timeout_that_cannot_be_is_an_invalid_argument(caller_bus: Bus, timeout_ms: float) -> None:
    async with Caller(caller_bus, None, "app") as caller:
        with pytest.raises(errors.InvalidArgument, match="timeout_ms"):
            await caller.call("kv", TAIL, b"", timeout_ms=timeout_ms, linked=True)
