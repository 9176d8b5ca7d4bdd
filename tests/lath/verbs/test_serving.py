"""What a participant answers to link verbs, whoever asks and however badly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from link_participants import MemoryHolder, make_link
from nats.aio.msg import Msg

from lath import subjects
from lath.bus import Bus
from lath.model import DETAILS_MAX, PAGE_BYTES_MAX, PingReply, Revision, VerbAck
from lath.server import Server
from lath.testing import eventually
from lath.verbs import VerbServer, digest_of, serve


@pytest.fixture
async def plain_bus(shared_nats_server: Server, lattice: str) -> AsyncIterator[Bus]:
    async with await Bus.connect(shared_nats_server.url, lattice=lattice, name="test") as bus:
        yield bus


@pytest.fixture
def holder() -> MemoryHolder:
    return MemoryHolder("provider", "kv", instance_id="i1")


@pytest.fixture
async def server(plain_bus: Bus, holder: MemoryHolder) -> AsyncIterator[VerbServer]:
    server = VerbServer(plain_bus, holder)
    await server.start()
    yield server
    await server.close()


async def ask(bus: Bus, verb: subjects.LinkVerb, request: object = None, *address: str) -> Msg:
    data = request if isinstance(request, bytes) else json.dumps(request or {}).encode()
    return await bus.request(subjects.link_verb(bus.lattice, verb, *address), data, timeout_ms=10_000)


async def ping(bus: Bus, request: object = None, *address: str) -> PingReply:
    msg = await ask(bus, "ping", request, *address)
    assert not msg.headers, msg.headers
    return PingReply.model_validate_json(msg.data)


async def refused(bus: Bus, verb: subjects.LinkVerb, request: object) -> tuple[str, str]:
    """The kind and the text of the error that a request is answered with."""
    msg = await ask(bus, verb, request)
    assert msg.headers is not None, msg.data
    said = VerbAck.model_validate_json(msg.data)
    assert (said.id, said.instance_id) == ("kv", "i1")
    return msg.headers["Lath-Error"], said.error or ""


@pytest.mark.usefixtures("server")
async def test_a_small_holder_tells_of_each_link(plain_bus: Bus, holder: MemoryHolder) -> None:
    await holder.hold(make_link("app", "kv", sequence=3))
    await holder.hold(make_link("web", "kv"), "failed", "no route")
    reply = await ping(plain_bus)
    assert (reply.count, reply.active, reply.next_after) == (2, 1, None)
    assert [link.state for link in reply.links] == ["active", "failed"]
    assert reply.digest == digest_of((key, link.revision) for key, link in holder.links.items())


@pytest.mark.usefixtures("server")
async def test_it_listens_to_all_to_its_id_and_to_itself(plain_bus: Bus) -> None:
    for address in ((), ("kv",), ("kv", "i1")):
        assert (await ping(plain_bus, None, *address)).instance_id == "i1"


async def test_a_host_listens_for_its_components_as_they_come_and_go(plain_bus: Bus) -> None:
    holder = MemoryHolder("host", "h1", serves=["app"])
    server = VerbServer(plain_bus, holder)
    await server.start()
    assert (await ping(plain_bus, None, "app")).serves == ("app",)
    holder.serves = ("web",)
    await server.update()
    assert (await ping(plain_bus, None, "web")).instance_id == "h1"
    with pytest.raises(Exception, match="nobody listens"):
        await ping(plain_bus, None, "app")
    await server.close()
    await server.close()


@pytest.mark.usefixtures("server")
async def test_ten_thousand_links_come_in_pages_of_a_bounded_size(
    plain_bus: Bus, holder: MemoryHolder
) -> None:
    for index in range(10_000):
        await holder.hold(make_link("app", "kv", f"link-{index}"))
    await holder.hold(make_link("app", "kv", "broken"), "failed", "no route")
    summary = await ask(plain_bus, "ping")
    assert len(summary.data) < 4096
    reply = PingReply.model_validate_json(summary.data)
    assert (reply.count, reply.active, reply.next_after) == (10_001, 10_000, "")
    assert [link.state for link in reply.links] == ["failed"]
    found: list[str] = []
    while reply.next_after is not None:
        msg = await ask(plain_bus, "ping", {"after": reply.next_after})
        assert len(msg.data) < PAGE_BYTES_MAX + 16 * 1024
        reply = PingReply.model_validate_json(msg.data)
        found.extend(link.key for link in reply.links)
    assert found == sorted(holder.links)


@pytest.mark.usefixtures("server")
async def test_only_vping_tells_values(plain_bus: Bus, holder: MemoryHolder) -> None:
    link = make_link("app", "kv").model_copy(update={"target_config_values": {"url": "redis://x"}})
    await holder.hold(link)
    assert (await ping(plain_bus)).links[0].values is None
    told = PingReply.model_validate_json((await ask(plain_bus, "vping")).data)
    assert told.links[0].values == {"url": "redis://x"}


@pytest.mark.usefixtures("server")
async def test_a_deep_ping_checks_every_active_link_with_bounded_concurrency(
    plain_bus: Bus, holder: MemoryHolder
) -> None:
    for index in range(DETAILS_MAX):
        await holder.hold(make_link("app", "kv", f"link-{index:03}"))
    await holder.hold(make_link("app", "kv", "link-purged"), "purged")
    holder.check_errors["app.kv.wasi.keyvalue.link-007"] = RuntimeError("backend is down")
    reply = await ping(plain_bus, {"deep": True})
    assert holder.checks == DETAILS_MAX
    assert 1 < holder.checks_running_max <= serve.CHECKS_AT_ONCE_MAX
    assert (reply.count, reply.active) == (DETAILS_MAX + 1, DETAILS_MAX - 1)
    assert {link.key.rpartition("-")[2]: link.error for link in reply.links} == {
        "007": "RuntimeError: backend is down",
        "purged": None,
    }


@pytest.mark.usefixtures("server")
async def test_a_check_tells_its_round_trip(plain_bus: Bus, holder: MemoryHolder) -> None:
    await holder.hold(make_link("app", "kv"))
    assert (await ping(plain_bus, {"deep": True})).links[0].check_ms == 0.25


@pytest.mark.usefixtures("server")
async def test_a_check_that_does_not_end_counts_as_failed_within_the_time_out(
    plain_bus: Bus, holder: MemoryHolder
) -> None:
    holder.gate = asyncio.Event()
    await holder.hold(make_link("app", "kv"))
    reply = await ping(plain_bus, {"deep": True, "timeout_ms": 50})
    assert reply.links[0].state == "failed"
    assert reply.links[0].error == "the check did not end within 50 ms"


@pytest.mark.usefixtures("server")
async def test_a_slow_check_or_purge_holds_up_no_other_verb(plain_bus: Bus, holder: MemoryHolder) -> None:
    holder.gate = asyncio.Event()
    await holder.hold(make_link("app", "kv"))
    async with asyncio.TaskGroup() as group:
        slow = [
            group.create_task(ask(plain_bus, "ping", {"deep": True, "timeout_ms": 9_000})),
            group.create_task(ask(plain_bus, "purge", {"timeout_ms": 9_000})),
            group.create_task(ask(plain_bus, "pull", {"timeout_ms": 9_000})),
        ]
        await eventually(lambda: holder.checks == 1)
        assert (await ping(plain_bus)).count == 1
        assert not any(task.done() for task in slow)
        holder.gate.set()


@pytest.mark.usefixtures("server")
async def test_a_purge_past_its_time_is_told_so_and_goes_on(plain_bus: Bus, holder: MemoryHolder) -> None:
    holder.gate = asyncio.Event()
    await holder.hold(make_link("app", "kv"))
    kind, text = await refused(plain_bus, "purge", {"hold": True, "timeout_ms": 20})
    assert kind == "deadline_exceeded"
    assert "goes on" in text
    holder.gate.set()
    await eventually(lambda: [link.state for link in holder.links.values()] == ["purged"])


@pytest.mark.usefixtures("server")
async def test_purge_and_pull_are_acknowledged_once_done(plain_bus: Bus, holder: MemoryHolder) -> None:
    await holder.hold(make_link("app", "kv"))
    await holder.hold(make_link("web", "kv"))
    purged = VerbAck.model_validate_json(
        (await ask(plain_bus, "purge", {"hold": True, "selector": {"source_id": "app"}})).data
    )
    assert (purged.count, [link.state for link in purged.links]) == (1, ["purged"])
    pulled = VerbAck.model_validate_json((await ask(plain_bus, "pull")).data)
    assert (pulled.count, {link.state for link in pulled.links}) == (2, {"active"})


KEY = make_link("app", "kv").key


@pytest.mark.usefixtures("server")
async def test_an_answer_waits_until_the_link_is_settled(plain_bus: Bus, holder: MemoryHolder) -> None:
    await holder.hold(make_link("app", "kv", sequence=1))
    request = {"await_key": KEY, "await_revision": "7:2", "timeout_ms": 9_000}
    async with asyncio.TaskGroup() as group:
        answer = group.create_task(ping(plain_bus, request))
        assert (await ping(plain_bus)).count == 1
        assert not answer.done()
        await holder.hold(make_link("app", "kv", sequence=2))
    assert answer.result().links[0].revision == Revision(incarnation=7, sequence=2)


@pytest.mark.usefixtures("server")
async def test_waiting_for_a_link_ends_with_the_time_out_and_tells_how_it_stands(
    plain_bus: Bus, holder: MemoryHolder
) -> None:
    await holder.hold(make_link("app", "kv"), "opening")
    reply = await ping(plain_bus, {"await_key": KEY, "await_revision": "7:1", "timeout_ms": 20})
    assert [link.state for link in reply.links] == ["opening"]


@pytest.mark.usefixtures("server")
async def test_too_many_waiting_requests_are_refused_and_pings_go_on(
    plain_bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "WAITS_MAX", 0)
    kind, _ = await refused(plain_bus, "ping", {"await_key": KEY, "await_revision": "7:1"})
    assert kind == "overloaded"
    assert (await ping(plain_bus)).count == 0


HOSTILE = [
    b"\xff\xfe not json",
    b"[]",
    b"[" * 10_000,
    b'{"selector": {"source_id": "' + b"a" * 70_000 + b'"}}',
    {"selector": {"source_id": "*"}},
    {"selector": {"source_id": "a.b"}},
    {"selector": {"key": "a.>"}},
    {"selector": {"key": "a.b.c.d.e.f"}},
    {"selector": {"key": "*.*.*.*.*"}},
    {"selector": {"key": "x" * 60_000}},
    {"selector": {"nobody": "knows this"}},
    {"selector": []},
    {"timeout_ms": 0},
    {"timeout_ms": 10**9},
]


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("verb", subjects.LINK_VERBS)
async def test_hostile_requests_are_refused_and_the_verb_is_served_on(
    plain_bus: Bus, verb: subjects.LinkVerb
) -> None:
    for request in HOSTILE:
        kind, text = await refused(plain_bus, verb, request)
        assert kind == "invalid_argument", request
        assert len(text) < 2_000
    assert not (await ask(plain_bus, verb)).headers


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    "request_",
    [
        {"await_key": "x", "await_revision": "7:1"},
        {"await_key": KEY},
        {"await_key": KEY, "await_revision": "7"},
    ],
)
async def test_a_malformed_wait_is_refused(plain_bus: Bus, request_: object) -> None:
    assert (await refused(plain_bus, "ping", request_))[0] == "invalid_argument"


@pytest.mark.usefixtures("server")
async def test_a_defect_of_the_holder_is_answered_and_the_verb_is_served_on(
    plain_bus: Bus, holder: MemoryHolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(selector: object) -> list[object]:
        raise ZeroDivisionError("oops")

    with monkeypatch.context() as patch:
        patch.setattr(holder, "held", broken)
        assert await refused(plain_bus, "ping", {}) == (
            "internal",
            "internal: ping failed: ZeroDivisionError: oops",
        )
    assert (await ping(plain_bus)).count == 0


@pytest.mark.usefixtures("server")
async def test_what_a_consumer_delivers_is_refused(plain_bus: Bus, holder: MemoryHolder) -> None:
    await holder.hold(make_link("app", "kv"))
    purge = subjects.link_verb(plain_bus.lattice, "purge")
    await plain_bus.publish(purge, b'{"hold": true}', reply="$JS.ACK.KV_links.c.1.1.1.1.1")
    await plain_bus.publish(purge, b'{"hold": true}')  # nobody to answer to
    await plain_bus.flush()
    assert (await ping(plain_bus)).active == 1


async def test_closing_ends_what_runs_and_may_happen_twice(plain_bus: Bus, holder: MemoryHolder) -> None:
    server = VerbServer(plain_bus, holder)
    await server.start()
    holder.gate = asyncio.Event()
    await holder.hold(make_link("app", "kv"))
    await plain_bus.publish(subjects.link_verb(plain_bus.lattice, "ping"), b'{"deep": true}', reply="nobody")
    await eventually(lambda: holder.checks == 1)
    await server.close()
    await server.close()
    assert holder._running == 0
