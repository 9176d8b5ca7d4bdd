"""The control interface: hosts, labels, what is unknown, and what is malformed."""

from __future__ import annotations

import asyncio
import json

import pytest
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from lath import subjects
from lath.model import HostInfo, HostInventory, parse
from lath.testing import eventually
from lath_host.testing import InProcessLattice


async def test_every_host_answers_a_ping_with_the_documented_fields(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await lattice.add_hosts(2, labels={"zone": "b"})
    replies = await lattice.ask_all("host", "ping", count=3)
    assert {reply.response["id"] for reply in replies} == {host.id for host in lattice.hosts}
    told = next(reply.response for reply in replies if reply.response["id"] == lattice.hosts[1].id)
    assert told["labels"]["zone"] == "b" and told["lattice"] == lattice.bus.lattice
    info = parse(HostInfo, told, "host")
    assert info.version.count(".") == 2 and info.uptime_human.endswith("s")


async def test_the_inventory_has_the_documented_fields(lattice_in_process: InProcessLattice) -> None:
    host = lattice_in_process.hosts[0]
    reply = await lattice_in_process.ask("host", "get", host.id)
    assert reply.success
    inventory = parse(HostInventory, reply.response, "inventory")
    assert inventory.host_id == host.id and inventory.components == () == inventory.providers
    assert inventory.incarnations is not None and len(inventory.incarnations) == 1
    assert {"gc", "tail-call"} <= set(inventory.wasm_features or ())


async def test_a_host_that_is_not_there_is_said_so_at_once(lattice_in_process: InProcessLattice) -> None:
    reply = await lattice_in_process.ask("host", "get", "NNOBODY")
    assert not reply.success and "NNOBODY" in reply.message
    assert reply.message.startswith("not_found: ")


@pytest.mark.parametrize(
    "tokens",
    [("nonsense",), ("host", "dance"), ("host", "get"), ("component", "scale"), ("config", "put"),
     ("host", "get", "a", "b"), ("link", "put", "x")],
)  # fmt: skip
async def test_an_unknown_subject_is_refused_by_one_host(
    lattice_in_process: InProcessLattice, tokens: tuple[str, ...]
) -> None:
    await lattice_in_process.add_hosts(1)
    reply = await lattice_in_process.ask(*tokens)
    assert not reply.success and ".".join(tokens) in reply.message


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff\xfe", b'"text"', b"null", b'{"key": 1}', b"{}"])
async def test_malformed_json_is_refused_with_a_message(
    lattice_in_process: InProcessLattice, body: bytes
) -> None:
    lattice = lattice_in_process
    host = lattice.hosts[0].id
    for tokens in (
        ("label", "put", host), ("component", "scale", host), ("component", "update", host),
        ("provider", "start", host), ("provider", "stop", host), ("link", "put"), ("link", "del"),
    ):  # fmt: skip
        reply = await lattice.ask_raw(body, *tokens)
        assert not reply.success, tokens
        assert reply.message.startswith("invalid_argument: ") and len(reply.message) < 1000


HOSTILE = ["", ".", "a.b", "a b", "*", ">", "x" * 1_000_000, "host", "_client", "ä", "a\nb", "$SYS"]


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_name_is_refused_in_every_request(
    lattice_in_process: InProcessLattice, name: str
) -> None:
    lattice = lattice_in_process
    host = lattice.hosts[0].id
    link = {"source_id": "a", "target": "b", "wit_namespace": "wasi", "wit_package": "keyvalue"}
    requests: list[tuple[tuple[str, ...], dict[str, object]]] = [
        (("component", "scale", host),
         {"component_ref": "file:///x.wasm", "component_id": name, "count": 1, "host_id": host}),
        (("component", "update", host),
         {"component_id": name, "new_component_ref": "file:///x.wasm", "host_id": host}),
        (("component", "describe", host), {"component_id": name}),
        (("provider", "start", host),
         {"provider_id": name, "provider_ref": "python:x", "host_id": host}),
        (("provider", "stop", host), {"provider_id": name, "host_id": host}),
        (("link", "put"), {**link, "interfaces": ["store"], "source_id": name}),
        (("link", "put"), {**link, "interfaces": ["store"], "target": name}),
        (("link", "del"), {**link, "source_id": name}),
        (("component", "auction"), {"component_ref": "file:///x.wasm", "component_id": name}),
    ]  # fmt: skip
    for tokens, fields in requests:
        reply = await lattice.ask(*tokens, **fields)
        assert not reply.success, (tokens, fields)
        assert len(reply.message) < 1000
    for field in ("name", "wit_namespace", "wit_package"):
        if name not in ("host", "_client"):
            reply = await lattice.ask("link", "put", **{**link, "interfaces": ["store"], field: name})
            assert not reply.success, field


async def test_a_body_that_names_another_host_than_its_subject_is_refused(
    lattice_in_process: InProcessLattice,
) -> None:
    host = lattice_in_process.hosts[0].id
    reply = await lattice_in_process.ask(
        "component", "scale", host,
        component_ref="file:///x.wasm", component_id="a", count=1, host_id="NOTHER",
    )  # fmt: skip
    assert not reply.success and "NOTHER" in reply.message


async def test_labels_are_put_and_deleted_and_tell_of_it(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    host = lattice.hosts[0].id
    async with lattice.events() as events:
        assert (await lattice.ask("label", "put", host, key="zone", value="a")).success
        event = await events.wait("labels_changed", host_id=host)
        assert event.data["labels"]["zone"] == "a"
        assert (await lattice.ask("label", "del", host, key="zone")).success
    inventory = await lattice.ask("host", "get", host)
    assert "zone" not in inventory.response["labels"]


async def test_a_label_of_the_machine_cannot_be_put(lattice_in_process: InProcessLattice) -> None:
    host = lattice_in_process.hosts[0].id
    reply = await lattice_in_process.ask("label", "put", host, key="hostcore.os", value="plan9")
    assert not reply.success and "hostcore.os" in reply.message


async def test_claims_are_an_empty_list_and_registries_are_refused(
    lattice_in_process: InProcessLattice,
) -> None:
    reply = await lattice_in_process.ask("claims", "get")
    assert reply.success and reply.response == []
    reply = await lattice_in_process.ask("registry", "put", registry={"registryType": "oci"})
    assert not reply.success and "OCI" in reply.message


async def test_a_stopped_host_answers_sends_host_stopped_and_is_gone_from_presence(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    (other,) = await lattice.add_hosts(1)
    await eventually(lambda: len(lattice.presence.hosts()) == 2)
    async with lattice.events() as events:
        reply = await lattice.ask("host", "stop", other.id, host_id=other.id, timeout=1000)
        assert reply.success
        await events.wait("host_stopped")
        assert events.seen[-1].source == other.id
    async with asyncio.timeout(10):
        await other.wait_stopped()
    await eventually(lambda: [host.target for host in lattice.presence.hosts()] == [lattice.hosts[0].id])


async def test_a_host_tells_that_it_started_and_sends_its_inventory_from_time_to_time(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    async with lattice.events() as events:
        (host,) = await lattice.add_hosts(1, heartbeat_s=0.05)
        started = await events.wait("host_started")
        assert started.source == host.id
        assert set(started.data) == {"friendly_name", "labels", "uptime_seconds", "version"}
        beat = await events.wait("host_heartbeat", host_id=host.id)
        assert beat.data["components"] == [] == beat.data["providers"]


async def test_an_event_is_a_cloud_event(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    seen: list[dict[str, object]] = []

    async def receive(msg: object) -> None:
        seen.append(json.loads(msg.data))  # type: ignore[attr-defined]

    await lattice.bus.subscribe(subjects.wasmbus_event(lattice.bus.lattice, "config_set"), receive)
    await lattice.bus.flush()
    assert (await lattice.ask("config", "put", "app", greeting="hi")).success
    (event,) = await eventually(lambda: seen)
    assert event["specversion"] == "1.0" and event["type"] == "com.wasmcloud.lattice.config_set"
    assert event["source"] == lattice.hosts[0].id and event["data"] == {"config_name": "app"}
    assert event["datacontenttype"] == "application/json"


async def test_a_consumer_that_is_aimed_at_the_control_interface_stops_no_host(
    lattice_in_process: InProcessLattice,
) -> None:
    """Its heartbeats are empty messages on the very subject; what it delivers looks like a body."""
    lattice = lattice_in_process
    host = lattice.hosts[0]
    subject = subjects.ctl(lattice.bus.lattice, "host", "stop", host.id)
    delivered: list[Msg] = []

    async def receive(msg: Msg) -> None:
        delivered.append(msg)

    await lattice.bus.nc.subscribe(subject, cb=receive)
    await lattice.ask("config", "put", "app", host_id=host.id)
    await lattice.bus.nc.jetstream().add_consumer(
        subjects.stream("config", lattice.bus.lattice),
        ConsumerConfig(
            deliver_subject=subject, ack_policy=AckPolicy.NONE, idle_heartbeat=0.2, flow_control=True
        ),
    )
    await eventually(lambda: any(msg.data for msg in delivered), what="a stored message")
    await eventually(lambda: any(not msg.data for msg in delivered), what="a heartbeat")
    await lattice.bus.publish(subject, b"", reply="$JS.ACK.stream.consumer.1.1.1.1.0")
    await lattice.bus.publish(subject, b"")
    assert (await lattice.ask("host", "get", host.id)).success


async def test_a_host_that_has_just_started_answers_for_itself(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    for _ in range(5):
        (host,) = await lattice.add_hosts(1)
        assert (await lattice.ask("host", "get", host.id)).success
