"""NATS micro sees every instance that serves calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lath.bus import Bus
from lath.errors import InvalidArgument, Trap
from lath.names import InterfaceName
from lath.rpc import Caller, CallServer, IncomingCall, Micro, Service
from lath.subjects import call_tail, parse_micro

TAIL = call_tail("app", "default", InterfaceName("wasi", "keyvalue", "store"), "get")


async def ask(bus: Bus, subject: str) -> list[dict[str, Any]]:
    """Every answer: the bus delivers ours after all that were sent before it."""
    inbox = bus.new_inbox()
    answers = await bus.nc.subscribe(inbox)
    await bus.publish(subject, reply=inbox)
    found = []
    msg = await answers.next_msg(timeout=5)
    while True:
        found.append(json.loads(msg.data))
        if not answers.pending_msgs:
            break
        msg = await answers.next_msg(timeout=5)
    await answers.unsubscribe()
    return found


async def test_micro_lists_who_serves_and_counts_their_calls(caller_bus: Bus, server_bus: Bus) -> None:
    async def sometimes(call: IncomingCall) -> bytes:
        if call.payload:
            raise Trap("unreachable")
        return b""

    name = f"kv-{server_bus.lattice}"
    async with (
        CallServer(server_bus, name, "i1", sometimes, metadata={"host": "h1"}),
        Caller(caller_bus, None, "app") as caller,
    ):
        await caller.call(name, TAIL, b"", linked=True)
        with pytest.raises(Trap):
            await caller.call(name, TAIL, b"x", linked=True)
        (ping,) = await ask(caller_bus, f"$SRV.PING.{name}")
        (info,) = await ask(caller_bus, f"$SRV.INFO.{name}.i1")
        (stats,) = await ask(caller_bus, f"$SRV.STATS.{name}.i1")
        assert name in [answer["name"] for answer in await ask(caller_bus, "$SRV.PING")]
    assert ping["type"] == "io.nats.micro.v1.ping_response"
    assert (ping["name"], ping["id"], ping["metadata"]["host"]) == (name, "i1", "h1")
    assert info["endpoints"][0]["queue_group"] == name
    (endpoint,) = stats["endpoints"]
    assert (endpoint["num_requests"], endpoint["num_errors"], endpoint["last_error"]) == (2, 1, "trap")
    assert endpoint["average_processing_time"] * 2 <= endpoint["processing_time"] + 1
    assert Micro.of(server_bus).services == {}


async def test_a_service_without_calls_is_shown_too(caller_bus: Bus, server_bus: Bus) -> None:
    name = f"host-{server_bus.lattice}"
    remove = await Micro.of(server_bus).add(Service(name=name, id="h1", version="dev"))
    await server_bus.flush()
    (ping,) = await ask(caller_bus, f"$SRV.PING.{name}")
    assert ping["version"] == "0.0.0"
    remove()


@pytest.mark.parametrize("subject", ["$SRV", "$SRV.OTHER", "$SRV.PING.a.b.c", "SRV.PING"])
def test_what_is_no_micro_request_is_said_so(subject: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_micro(subject)
