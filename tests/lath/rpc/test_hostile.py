"""Whatever arrives, the server answers with a kind, or drops what cannot be answered, and goes on."""

from __future__ import annotations

import asyncio

import pytest

from lath.bus import Bus
from lath.names import InterfaceName
from lath.rpc import Caller, CallServer, IncomingCall
from lath.subjects import HEADER_BULK, HEADER_CALL, HEADER_ERROR, call_any, call_instance, call_tail
from lath.testing import eventually

TAIL = call_tail("app", "default", InterfaceName("wasi", "keyvalue", "store"), "get")
HEADER = "5000,call1,,,"


async def echo(call: IncomingCall) -> bytes:
    return call.payload


async def still_serves(caller_bus: Bus) -> None:
    async with Caller(caller_bus, None, "app") as caller:
        assert await caller.call("kv", TAIL, b"still here", linked=True) == b"still here"


@pytest.mark.parametrize(
    ("tail", "headers", "kind"),
    [
        ("app.default.wasi.keyvalue.store", {HEADER_CALL: HEADER}, "invalid_argument"),
        ("a.b.c.d.e.f.g.h.i.j", {HEADER_CALL: HEADER}, "invalid_argument"),
        ("app.default.wasi.keyvalue.store.9~~", {HEADER_CALL: HEADER}, "invalid_argument"),
        (TAIL, None, "invalid_argument"),
        (TAIL, {"Other": "x"}, "invalid_argument"),
        (TAIL, {HEADER_CALL: ""}, "invalid_argument"),
        (TAIL, {HEADER_CALL: "1,2,3"}, "invalid_argument"),
        (TAIL, {HEADER_CALL: "-5,call1,,,"}, "invalid_argument"),
        (TAIL, {HEADER_CALL: "٣,call1,,,"}, "invalid_argument"),
        (TAIL, {HEADER_CALL: "5000,,,,"}, "invalid_argument"),
        (TAIL, {HEADER_CALL: "5000,a b,,,"}, "invalid_argument"),
        (TAIL, {HEADER_CALL: "5000,call1,x,,"}, "invalid_argument"),
        (TAIL, {HEADER_CALL: "5000,call1,,<>,"}, "invalid_argument"),
        (TAIL, {HEADER_CALL: "9" * 100_000}, "invalid_argument"),
        (TAIL, {HEADER_CALL: HEADER + "x" * 3000}, "invalid_argument"),
        (TAIL, {HEADER_CALL: HEADER, HEADER_BULK: "huge"}, "invalid_argument"),
        (TAIL, {HEADER_CALL: HEADER, HEADER_BULK: "0"}, "invalid_argument"),
        (TAIL, {HEADER_CALL: HEADER, HEADER_BULK: str(2**40)}, "invalid_argument"),
        (TAIL, {HEADER_CALL: HEADER, HEADER_BULK: "-1"}, "invalid_argument"),
        (TAIL, {HEADER_CALL: "0,call1,,,"}, "deadline_exceeded"),
    ],
)
async def test_a_malformed_call_is_answered_by_kind_and_the_server_goes_on(
    caller_bus: Bus, server_bus: Bus, tail: str, headers: dict[str, str] | None, kind: str
) -> None:
    async def slow_echo(call: IncomingCall) -> bytes:
        if call.header.ms_left == 0:
            await asyncio.Event().wait()
        return call.payload

    async with CallServer(server_bus, "kv", "i1", slow_echo) as server:
        for prefix in (
            f"lath.rpc.{caller_bus.lattice}.kv",
            f"lath.rpci.{caller_bus.lattice}.kv.i1",
        ):
            reply = await caller_bus.request(
                f"{prefix}.{tail}", b"\xff\x00garbage", headers=headers, timeout_ms=5_000
            )
            assert reply.headers is not None
            assert reply.headers[HEADER_ERROR] == kind
            assert reply.headers["Nats-Service-Error-Code"] in ("400", "504")
        await still_serves(caller_bus)
        await eventually(lambda: server.inflight == 0)


@pytest.mark.parametrize("reply", ["", "wasmbus.ctl.v1.default.host.stop.x", "$KV.lath-links-d.a"])
async def test_a_call_that_asks_for_its_answer_elsewhere_does_not_run(
    caller_bus: Bus, server_bus: Bus, reply: str
) -> None:
    ran: list[str] = []
    answered: list[str] = []

    async def note(call: IncomingCall) -> bytes:
        ran.append(call.header.call_id)
        return b""

    async with CallServer(server_bus, "kv", "i1", note) as server:
        if reply:
            subscription = await caller_bus.nc.subscribe(reply)
        for subject in (
            call_any(caller_bus.lattice, "kv", TAIL),
            call_instance(caller_bus.lattice, "kv", "i1", TAIL),
        ):
            await caller_bus.publish(subject, b"", headers={HEADER_CALL: HEADER}, reply=reply)
        await eventually(lambda: server.stats.refused == 2)
        async with Caller(caller_bus, None, "app") as caller:
            await caller.call("kv", TAIL, b"", linked=True)
        if reply:
            await caller_bus.flush()
            answered += [reply] * subscription.pending_msgs
    assert len(ran) == 1
    assert answered == []


async def test_a_cancel_reaches_only_the_call_of_its_own_source(caller_bus: Bus, server_bus: Bus) -> None:
    async def hang(call: IncomingCall) -> bytes:
        await asyncio.Event().wait()
        return b""

    lattice = caller_bus.lattice
    async with CallServer(server_bus, "kv", "i1", hang) as server:
        subject = call_instance(lattice, "kv", "i1", TAIL)
        call = asyncio.create_task(
            caller_bus.request(subject, headers={HEADER_CALL: HEADER}, timeout_ms=10_000)
        )
        await eventually(lambda: server.inflight == 1)
        theirs = f"{subject.replace('.app.', '.other.').rpartition('.')[0]}._cancel"
        ours = f"{subject.rpartition('.')[0]}._cancel"
        await caller_bus.request(theirs, headers={HEADER_CALL: HEADER}, timeout_ms=5_000)
        other_call = {HEADER_CALL: "5000,call2,,,"}
        await caller_bus.request(ours, headers=other_call, timeout_ms=5_000)
        assert server.inflight == 1
        assert not call.done()
        await caller_bus.request(ours, headers={HEADER_CALL: HEADER}, timeout_ms=5_000)
        reply = await call
        assert reply.headers is not None
        assert reply.headers[HEADER_ERROR] == "cancelled"
        await eventually(lambda: server.inflight == 0)


async def test_a_cancel_in_the_same_breath_as_its_call_leaves_nothing_behind(
    caller_bus: Bus, server_bus: Bus
) -> None:
    async with CallServer(server_bus, "kv", "i1", echo) as server:
        subject = call_instance(caller_bus.lattice, "kv", "i1", TAIL)
        answers = await caller_bus.nc.subscribe("_INBOX.spec")
        for n in range(100):
            headers = {HEADER_CALL: f"5000,call{n},,,"}
            await caller_bus.publish(subject, b"", headers=headers, reply="_INBOX.spec")
            await caller_bus.publish(f"{subject.rpartition('.')[0]}._cancel", b"", headers=headers)
        await eventually(lambda: answers.pending_msgs == 100)
        assert server.inflight == 0
        await still_serves(caller_bus)


async def test_a_call_id_in_use_is_refused(caller_bus: Bus, server_bus: Bus) -> None:
    free = asyncio.Event()

    async def wait(call: IncomingCall) -> bytes:
        await free.wait()
        return b"first"

    subject = call_instance(caller_bus.lattice, "kv", "i1", TAIL)
    async with CallServer(server_bus, "kv", "i1", wait) as server:
        first = asyncio.create_task(
            caller_bus.request(subject, headers={HEADER_CALL: HEADER}, timeout_ms=5_000)
        )
        await eventually(lambda: server.inflight == 1)
        second = await caller_bus.request(subject, headers={HEADER_CALL: HEADER}, timeout_ms=5_000)
        assert second.headers is not None
        assert second.headers[HEADER_ERROR] == "invalid_argument"
        free.set()
        assert (await first).data == b"first"


async def test_answers_that_nobody_waits_for_are_ignored(caller_bus: Bus, server_bus: Bus) -> None:
    async def answer_twice(call: IncomingCall) -> bytes:
        return call.payload

    async with CallServer(server_bus, "kv", "i1", answer_twice), Caller(caller_bus, None, "app") as caller:
        await caller.call("kv", TAIL, b"", linked=True)
        inbox = caller.replies.subject("")
        for token in ("unknown", "a.b", "*"):
            await server_bus.nc.publish(f"{inbox}{token}", b"forged")
        await server_bus.flush()
        assert await caller.call("kv", TAIL, b"x", linked=True) == b"x"
