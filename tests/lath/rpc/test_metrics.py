"""Calls are counted on both sides, and spans go over OTLP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from otlp_receiver import OtlpReceiver

from lath import telemetry
from lath.bus import Bus
from lath.errors import LinkNotFound
from lath.names import InterfaceName
from lath.rpc import Caller, CallServer, IncomingCall
from lath.subjects import call_tail
from lath.telemetry.metrics import CALL_KEYS_MAX

TAIL = call_tail("app", "default", InterfaceName("wasi", "keyvalue", "store"), "get")


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    with OtlpReceiver.running() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        telemetry.setup("spec")
        yield running
        telemetry.shutdown()


async def test_calls_are_counted_and_traced_on_both_sides(
    receiver: OtlpReceiver, caller_bus: Bus, server_bus: Bus
) -> None:
    async def handle(call: IncomingCall) -> bytes:
        if call.payload:
            raise LinkNotFound("no link from app to kv")
        return b""

    async with (
        CallServer(server_bus, "kv", "i1", handle) as server,
        Caller(caller_bus, None, "app") as caller,
    ):
        await asyncio.gather(*(caller.call("kv", TAIL, b"", linked=True) for _ in range(10)))
        with pytest.raises(LinkNotFound):
            await caller.call("kv", TAIL, b"x", linked=True)
        await server.drain(linger_ms=0)
    await asyncio.to_thread(telemetry.shutdown)
    assert receiver.calls() == {
        ("client", "ok"): 10,
        ("server", "ok"): 10,
        ("client", "link_not_found"): 1,
        ("server", "link_not_found"): 1,
    }
    spans = [s for t in receiver.traces() for r in t.resource_spans for sc in r.scope_spans for s in sc.spans]
    assert len(spans) == 22
    assert {span.name for span in spans} == {"wasi:keyvalue/store.get"}
    clients = {span.span_id for span in spans if span.kind == span.SPAN_KIND_CLIENT}
    assert {span.parent_span_id for span in spans if span.kind == span.SPAN_KIND_SERVER} == clients
    assert sum(span.status.code == span.status.STATUS_CODE_ERROR for span in spans) == 2


async def test_calls_are_told_apart_by_function_link_and_kind_and_agree_with_what_nats_micro_shows(
    receiver: OtlpReceiver, caller_bus: Bus, server_bus: Bus
) -> None:
    async def handle(call: IncomingCall) -> bytes:
        if call.payload:
            raise LinkNotFound("no link from app to kv")
        return b""

    store = InterfaceName("wasi", "keyvalue", "store")
    async with (
        CallServer(server_bus, "kv", "i1", handle) as server,
        Caller(caller_bus, None, "app") as caller,
    ):
        for link, function, payload, times in (
            ("one", "get", b"", 3), ("two", "get", b"", 2), ("one", "set", b"", 1), ("one", "get", b"x", 2)
        ):  # fmt: skip
            for _ in range(times):
                tail = call_tail("app", link, store, function)
                try:
                    await caller.call("kv", tail, payload, linked=True)
                except LinkNotFound:
                    assert payload
        await server.drain(linger_ms=0)
        shown = server.stats
    await asyncio.to_thread(telemetry.shutdown)
    points = [
        (point, count) for point, count in receiver.points("lath.calls") if point["lath.side"] == "server"
    ]
    same = {
        "rpc.system": "lath", "rpc.service": "wasi:keyvalue/store",
        "lath.side": "server", "lath.target": "kv", "lath.source": "app",
    }  # fmt: skip
    told = [
        ({**same, "rpc.method": "get", "lath.link": "one", "lath.kind": "ok"}, 3),
        ({**same, "rpc.method": "get", "lath.link": "two", "lath.kind": "ok"}, 2),
        ({**same, "rpc.method": "set", "lath.link": "one", "lath.kind": "ok"}, 1),
        (
            {
                **same, "rpc.method": "get", "lath.link": "one", "lath.kind": "link_not_found",
                "error.type": "link_not_found",
            },
            2,
        ),
    ]  # fmt: skip
    assert points == told
    assert shown.requests == sum(count for _, count in points)
    assert shown.errors == sum(count for point, count in points if "error.type" in point)


async def test_calls_in_flight_are_told_by_operation_and_link(
    receiver: OtlpReceiver, caller_bus: Bus, server_bus: Bus
) -> None:
    arrived, may_end = asyncio.Semaphore(0), asyncio.Event()

    async def handle(call: IncomingCall) -> bytes:
        arrived.release()
        await may_end.wait()
        return b""

    async with CallServer(server_bus, "kv", "i1", handle), Caller(caller_bus, None, "app") as caller:
        calls = [asyncio.create_task(caller.call("kv", TAIL, b"", linked=True)) for _ in range(3)]
        for _ in calls:
            await arrived.acquire()
        await asyncio.to_thread(telemetry.shutdown)
        may_end.set()
        await asyncio.gather(*calls)
    assert receiver.points("lath.calls.active") == [
        (
            {
                "rpc.system": "lath", "rpc.service": "wasi:keyvalue/store", "rpc.method": "get",
                "lath.side": "server", "lath.target": "kv", "lath.source": "app", "lath.link": "default",
            },
            3,
        )
    ]  # fmt: skip


def test_however_many_links_and_functions_there_are_the_sets_of_attributes_are_bounded(
    receiver: OtlpReceiver,
) -> None:
    for number in range(CALL_KEYS_MAX + 500):
        telemetry.record_call("server", "kv", "a:b/c", "d", "ok", 1.0, "app", f"link-{number}")
    telemetry.record_call("server", "kv", "a:b/c", "d", "trap", 1.0, "app", "link-again")
    telemetry.shutdown()
    points = receiver.points("lath.calls")
    rest = {"rpc.system": "lath", "lath.side": "server", "lath.target": "kv", "otel.metric.overflow": True}
    assert [(point, count) for point, count in points if "lath.link" not in point] == [
        ({**rest, "lath.kind": "ok"}, 500),
        ({**rest, "lath.kind": "trap", "error.type": "trap"}, 1),
    ]
    assert len(points) == CALL_KEYS_MAX + 2
