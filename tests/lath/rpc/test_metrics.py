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
