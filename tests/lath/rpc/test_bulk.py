"""Large payloads: chunks on the second connection, bounded, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import weakref
from pathlib import Path

import pytest

from lath import errors
from lath.bus import Bus, Credentials
from lath.names import InterfaceName
from lath.rpc import INLINE_BYTES_MAX, PAYLOAD_BYTES_MAX, Caller, CallServer, IncomingCall, bulk
from lath.rpc.bulk import BulkPort
from lath.server import Server
from lath.subjects import HEADER_BULK, HEADER_CALL, HEADER_ERROR, call_any, call_tail
from lath.testing import eventually

TAIL = call_tail("app", "default", InterfaceName("wasi", "blobstore", "container"), "write")
MIB = 1024 * 1024


async def echo(call: IncomingCall) -> bytes:
    return call.payload


async def idle(*buses: Bus) -> None:
    for bus in buses:
        port = await BulkPort.of(bus)
        await eventually(lambda port=port: port.idle, what="an idle bulk port")  # type: ignore[misc]


@pytest.mark.parametrize("size", [INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1, 3 * MIB + 17, PAYLOAD_BYTES_MAX])
async def test_a_large_payload_goes_there_and_back(caller_bus: Bus, server_bus: Bus, size: int) -> None:
    payload = os.urandom(MIB) * (size // MIB) + os.urandom(size % MIB)
    async with CallServer(server_bus, "blob", "i1", echo), Caller(caller_bus, None, "app") as caller:
        result = await caller.call("blob", TAIL, payload, timeout_ms=60_000, linked=True)
    assert len(result) == size
    assert result == payload
    await idle(caller_bus, server_bus)


async def test_above_the_limit_nothing_is_sent(caller_bus: Bus, server_bus: Bus) -> None:
    ran: list[int] = []

    async def note(call: IncomingCall) -> bytes:
        ran.append(len(call.payload))
        return bytes(PAYLOAD_BYTES_MAX + 1)

    async with CallServer(server_bus, "blob", "i1", note), Caller(caller_bus, None, "app") as caller:
        with pytest.raises(errors.PayloadTooLarge, match=str(PAYLOAD_BYTES_MAX)):
            await caller.call("blob", TAIL, bytes(PAYLOAD_BYTES_MAX + 1), linked=True)
        assert ran == []
        with pytest.raises(errors.LimitExceeded, match="result"):
            await caller.call("blob", TAIL, b"", linked=True)


async def test_a_large_result_and_an_error_of_a_large_call_arrive(caller_bus: Bus, server_bus: Bus) -> None:
    async def handle(call: IncomingCall) -> bytes:
        if call.payload:
            raise errors.Conflict(f"{len(call.payload)} bytes are there already")
        return bytes(2 * MIB)

    async with CallServer(server_bus, "blob", "i1", handle), Caller(caller_bus, None, "app") as caller:
        assert await caller.call("blob", TAIL, b"", linked=True) == bytes(2 * MIB)
        with pytest.raises(errors.Conflict, match=f"{2 * MIB} bytes"):
            await caller.call("blob", TAIL, bytes(2 * MIB), linked=True)
        with pytest.raises(errors.Unavailable):
            await caller.call("nobody", TAIL, bytes(2 * MIB), linked=True)
    await idle(caller_bus, server_bus)


async def test_sixteen_large_calls_at_once_keep_the_connection_and_the_memory_bounded(
    caller_bus: Bus, server_bus: Bus
) -> None:
    sizes: list[int] = []
    lost: list[str] = []
    for bus in (caller_bus, server_bus):
        bus.on_disconnect(lambda: lost.append("main"))
    payload = bytes(16 * MIB)

    async def count(call: IncomingCall) -> bytes:
        sizes.append(len(call.payload))
        return b"ok"

    async with CallServer(server_bus, "blob", "i1", count), Caller(caller_bus, None, "app") as caller:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        large = [
            asyncio.create_task(caller.call("blob", TAIL, payload, timeout_ms=100_000, linked=True))
            for _ in range(16)
        ]
        small = 0
        while not all(task.done() for task in large):
            async with asyncio.timeout(5):
                await caller.call("blob", TAIL, b"small", linked=True)
            small += 1
        assert await asyncio.gather(*large) == [b"ok"] * 16
        grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert sizes.count(16 * MIB) == 16
    assert small > 16
    assert lost == []
    # 16 × 16 MiB passed through both ends in this one process; at most 128 MiB are assembled at once.
    assert grown_mib < 256
    await idle(caller_bus, server_bus)


async def test_a_caller_that_is_cancelled_while_its_payload_is_pulled_leaves_nothing(
    caller_bus: Bus, server_bus: Bus
) -> None:
    ran: list[int] = []

    async def note(call: IncomingCall) -> bytes:
        ran.append(len(call.payload))
        return b""

    async with (
        CallServer(server_bus, "blob", "i1", note) as server,
        Caller(caller_bus, None, "app") as caller,
    ):
        call = asyncio.create_task(
            caller.call("blob", TAIL, bytes(PAYLOAD_BYTES_MAX), timeout_ms=60_000, linked=True)
        )
        await eventually(lambda: server.inflight == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await eventually(lambda: server.inflight == 0)
    assert ran == []
    await idle(caller_bus, server_bus)


async def test_an_announcer_that_never_sends_is_given_up(
    caller_bus: Bus, server_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "STALL_S", 0.2)
    async with CallServer(server_bus, "blob", "i1", echo) as server:
        reply = await caller_bus.nc.subscribe("_INBOX.silent")
        await caller_bus.publish(
            call_any(caller_bus.lattice, "blob", TAIL),
            headers={HEADER_CALL: "60000,call1,,,", HEADER_BULK: str(10 * MIB)},
            reply="_INBOX.silent",
        )
        pulls = [await reply.next_msg(timeout=5) for _ in range(4)]
        assert [pull.headers[HEADER_BULK] for pull in pulls if pull.headers] == [
            f"{n * 256 * 1024},{256 * 1024}" for n in range(4)
        ]
        answer = await reply.next_msg(timeout=5)
        assert answer.headers is not None
        assert answer.headers[HEADER_ERROR] == "unavailable"
        await eventually(lambda: server.inflight == 0)
    await idle(server_bus)


async def test_a_truncated_chunk_fails_the_call_that_it_belongs_to(caller_bus: Bus, server_bus: Bus) -> None:
    async with CallServer(server_bus, "blob", "i1", echo) as server:
        reply = await caller_bus.nc.subscribe("_INBOX.short")
        await caller_bus.publish(
            call_any(caller_bus.lattice, "blob", TAIL),
            headers={HEADER_CALL: "60000,call1,,,", HEADER_BULK: str(MIB)},
            reply="_INBOX.short",
        )
        pull = await reply.next_msg(timeout=5)
        await caller_bus.publish(pull.reply, b"short")
        while not (answer := await reply.next_msg(timeout=5)).headers or HEADER_ERROR not in answer.headers:
            pass
        assert answer.headers[HEADER_ERROR] == "invalid_argument"
        await eventually(lambda: server.inflight == 0)
    await idle(server_bus)


async def test_who_cannot_connect_a_second_time_says_whether_a_large_call_has_run(
    caller_bus: Bus, server_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused() -> None:
        raise errors.NotConnected("no second connection")

    made = 0

    async def large(call: IncomingCall) -> bytes:
        nonlocal made
        made += 1
        return bytes(MIB)

    async with CallServer(server_bus, "blob", "i1", large), Caller(caller_bus, None, "app") as caller:
        with monkeypatch.context() as patched:
            patched.setattr(server_bus, "bulk", refused)
            with pytest.raises(errors.ConnectionLost, match="the result could not be sent"):
                await caller.call("blob", TAIL, b"", linked=True)
            with pytest.raises(errors.Unavailable, match="could not be pulled"):
                await caller.call("blob", TAIL, bytes(MIB), linked=True)
        assert made == 1
        monkeypatch.setattr(caller_bus, "bulk", refused)
        with pytest.raises(errors.ConnectionLost, match="had answered, but no second connection"):
            await caller.call("blob", TAIL, b"", linked=True)


async def test_a_result_that_nobody_fetches_is_given_up(
    caller_bus: Bus, server_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "STALL_S", 0.2)

    async def large(call: IncomingCall) -> bytes:
        return bytes(10 * MIB)

    async with CallServer(server_bus, "blob", "i1", large) as server:
        reply = await caller_bus.request(
            call_any(caller_bus.lattice, "blob", TAIL),
            headers={HEADER_CALL: "60000,call1,,,"},
            timeout_ms=5_000,
        )
        assert reply.headers is not None
        assert reply.headers[HEADER_BULK] == str(10 * MIB)
        for bad in ("x,y", "0,0", f"0,{10 * MIB}", f"{10 * MIB},1", "-1,5"):
            refusal = await caller_bus.request(reply.reply, headers={HEADER_BULK: bad}, timeout_ms=5_000)
            assert refusal.headers is not None
            assert refusal.headers[HEADER_ERROR] == "invalid_argument"
        await eventually(lambda: server.inflight == 0)
        gone = await caller_bus.request(reply.reply, headers={HEADER_BULK: "0,10"}, timeout_ms=5_000)
        assert gone.headers is not None
        assert gone.headers[HEADER_ERROR] == "cancelled"
    await idle(server_bus)


async def test_allow_responses_is_all_that_large_payloads_need(tmp_path: Path, lattice: str) -> None:
    def user(name: str, publish: list[str], subscribe: list[str]) -> dict[str, object]:
        return {
            "user": name,
            "password": "x",
            "permissions": {
                "publish": publish,
                "subscribe": [f"_INBOX_{name}.>", *subscribe],
                "allow_responses": {"max": 1000, "expires": "1m"},
            },
        }

    users = [
        user("app", ["lath.rpc.*.*.app.>", "lath.rpci.*.*.*.app.>"], []),
        user("blob", ["lath.rpc.*.*.blob.>"], ["lath.rpc.*.blob.>", "lath.rpci.*.blob.>"]),
    ]

    async def connect(server: Server, name: str) -> Bus:
        credentials = Credentials(user=name, password="x", inbox_prefix=f"_INBOX_{name}")
        return await Bus.connect(server.url, lattice=lattice, name=name, credentials=credentials)

    payload = os.urandom(5 * MIB)
    async with (
        Server(store_dir=tmp_path, config={"authorization": {"users": users}}) as server,
        await connect(server, "app") as caller_bus,
        await connect(server, "blob") as server_bus,
        CallServer(server_bus, "blob", "i1", echo),
        Caller(caller_bus, None, "app") as caller,
    ):
        assert await caller.call("blob", TAIL, payload, linked=True) == payload


async def test_a_server_restart_amid_large_calls_fails_them_at_once_and_the_next_one_works(
    nats_server: Server, lattice: str
) -> None:
    began = asyncio.Event()

    async def wait_then_echo(call: IncomingCall) -> bytes:
        if not began.is_set():
            began.set()
            await asyncio.Event().wait()
        return call.payload

    payload = os.urandom(2 * MIB)
    async with (
        await Bus.connect(nats_server.url, lattice=lattice, name="s") as server_bus,
        await Bus.connect(nats_server.url, lattice=lattice, name="c") as caller_bus,
        CallServer(server_bus, "blob", "i1", wait_then_echo),
        Caller(caller_bus, None, "app") as caller,
    ):
        call = asyncio.create_task(caller.call("blob", TAIL, payload, timeout_ms=60_000, linked=True))
        async with asyncio.timeout(10):
            await began.wait()
            await nats_server.stop()
            with pytest.raises(errors.ConnectionLost):
                await call
        await nats_server.restart()
        bulk_clients = [await caller_bus.bulk(), await server_bus.bulk()]
        await eventually(lambda: caller_bus.connected and server_bus.connected)
        await eventually(lambda: all(client.is_connected for client in bulk_clients))
        for bus in (server_bus, caller_bus):
            await bus.flush()
        assert await caller.call("blob", TAIL, payload, timeout_ms=10_000, linked=True) == payload
        await idle(caller_bus, server_bus)


async def test_a_closed_bus_is_forgotten(shared_nats_server: Server, lattice: str) -> None:
    async def use() -> weakref.ref[Bus]:
        async with (
            await Bus.connect(shared_nats_server.url, lattice=lattice, name="both") as bus,
            CallServer(bus, "blob", "i1", echo),
            Caller(bus, None, "app") as caller,
        ):
            await caller.call("blob", TAIL, bytes(2 * MIB), linked=True)
            return weakref.ref(bus)

    forgotten = await use()

    def gone() -> bool:
        gc.collect()
        return forgotten() is None

    await eventually(gone)
