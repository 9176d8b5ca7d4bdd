"""Components that handle messages and send others, on hosts, through the messaging providers."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from messaging_components import FORWARD
from nats.aio.msg import Msg

from lath import telemetry
from lath.bus import Bus, jetstream
from lath.config import ConfigStore
from lath.model import LinkSpec
from lath.provider import ProviderInstance
from lath.telemetry import TraceContext
from lath.testing import eventually
from lath.testing.messaging import Inbox
from lath_host.testing import HostProcess, InProcessLattice

MakeProcess = Callable[..., Awaitable[HostProcess]]
PROVIDERS = ("builtin:messaging-nats", "python:lath_providers.messaging_nats")
HANDLER = "wasmcloud:messaging/handler@0.2.0"
TRACE = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")


async def start_provider(lattice: InProcessLattice, ref: str, host_id: str, **fields: Any) -> None:
    async with lattice.events() as events:
        reply = await lattice.ask(
            "provider", "start", host_id, provider_id="messages", provider_ref=ref, host_id=host_id, **fields
        )
        assert reply.success, reply.message
        event = await events.wait("provider_started", "provider_start_failed", provider_id="messages")
        assert event.name == "provider_started", event.data


async def linked(lattice: InProcessLattice, **taking: str) -> None:
    """Links the component `forward` both ways, and waits until both links are live."""
    configs = ConfigStore(lattice.bus)
    await configs.put("sends", {"acknowledged_publish": "done"} if "stream" in taking else {})
    await configs.put("takes", taking)
    both = (
        LinkSpec(source_id="forward", target="messages", wit_namespace="wasmcloud", wit_package="messaging",
                 interfaces=("consumer",), target_config=("sends",)),
        LinkSpec(source_id="messages", target="forward", wit_namespace="wasmcloud", wit_package="messaging",
                 interfaces=("handler",), source_config=("takes",)),
    )  # fmt: skip
    for spec in both:
        await lattice.links.put(spec)
    await eventually(lambda: all_live(lattice, 2), 30)


async def all_live(lattice: InProcessLattice, links: int) -> bool:
    report = (await lattice.ask("link", "ping", timeout_ms=3000)).response
    assert [link["verdict"] for link in report["links"]] == ["live"] * links, report
    return True


async def make_stream(bus: Bus, name: str, subject: str) -> None:
    await jetstream.call(bus, f"STREAM.CREATE.{name}", {"name": name, "subjects": [subject]})


async def in_stream(bus: Bus, name: str) -> list[bytes]:
    """The bodies that a stream keeps, sorted."""
    state = (await jetstream.call(bus, f"STREAM.INFO.{name}"))["state"]
    found = []
    for sequence in range(state["first_seq"], state["last_seq"] + 1):
        reply = await jetstream.call(bus, f"STREAM.MSG.GET.{name}", {"seq": sequence})
        found.append(jetstream.stored_message(reply).data)
    return sorted(found)


@pytest.mark.parametrize("ref", PROVIDERS)
async def test_a_component_answers_requests_and_passes_messages_on_in_one_trace(
    lattice_in_process: InProcessLattice, ref: str
) -> None:
    lattice = lattice_in_process
    await start_provider(lattice, ref, lattice.hosts[0].id)
    await lattice.start_component("forward", FORWARD)
    await linked(lattice, subscriptions="orders.*")
    assert (await lattice.bus.request("orders.ask", b"ping", timeout_ms=10_000)).data == b"ping"
    done: asyncio.Queue[Msg] = asyncio.Queue()
    await lattice.bus.subscribe("done", done.put)
    await lattice.bus.flush()
    headers: dict[str, str] = {}
    with telemetry.use(TRACE):
        telemetry.inject(headers)
    await lattice.bus.publish("orders.new", b"an order", headers=headers)
    async with asyncio.timeout(10):
        passed_on = await done.get()
    assert passed_on.data == b"an order"
    trace = telemetry.extract(passed_on.headers)
    assert trace is not None
    assert trace.trace_id == TRACE.trace_id


async def test_in_memory_a_component_reaches_what_is_linked_to_the_same_instance(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await start_provider(lattice, "builtin:messaging-memory", lattice.hosts[0].id)
    await lattice.start_component("forward", FORWARD)
    await linked(lattice, subscriptions="orders")
    await ConfigStore(lattice.bus).put("inbox-takes", {"subscriptions": "done"})
    inbox = Inbox()
    async with ProviderInstance(inbox, lattice.bus, provider_id="inbox"):
        await lattice.link(
            "messages", "inbox", "wasmcloud:messaging/handler", name="inbox", source_config=["inbox-takes"]
        )
        await eventually(lambda: all_live(lattice, 3), 30)
        message = {"subject": "orders", "body": b"1", "reply-to": None}
        result = await lattice.call("forward", HANDLER, "handle-message", message)
        assert result == {"ok": None}
        await inbox.has(b"1")


async def test_a_host_that_is_killed_loses_no_message(
    lattice_in_process: InProcessLattice, process: MakeProcess
) -> None:
    lattice = lattice_in_process
    bus = lattice.bus
    await make_stream(bus, "ORDERS", "orders")
    await make_stream(bus, "DONE", "done")
    bodies = sorted(b"%d" % number for number in range(300))
    for body in bodies:
        await jetstream.publish(bus, "orders", body)

    async def run_on(host: HostProcess) -> None:
        await start_provider(lattice, PROVIDERS[0], host.id)
        await lattice.start_component("forward", FORWARD, host=host.id)

    async def begun() -> bool:
        return (await jetstream.call(bus, "STREAM.INFO.DONE"))["state"]["messages"] >= 20

    async def all_done() -> bool:
        return set(await in_stream(bus, "DONE")) == set(bodies)

    doomed = await process("--name", "doomed")
    await run_on(doomed)
    await linked(lattice, stream="ORDERS", subscriptions="orders", ack_wait_ms="500", concurrency_max="4")
    await eventually(begun, 30)
    doomed.signal(signal.SIGKILL)
    await doomed.exited()
    await run_on(await process("--name", "next"))
    await eventually(all_done, 60)
