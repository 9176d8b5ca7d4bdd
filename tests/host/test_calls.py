"""Calls into components: from a client, from components beside them, and across hosts."""

from __future__ import annotations

import asyncio
import json

import guests
import pytest
from nats.aio.msg import Msg

from lath import subjects
from lath.codec import pack
from lath.errors import InvalidArgument, LinkFailed, LinkNotFound
from lath.model import LinkSelector
from lath.names import InterfaceName
from lath.rpc import CallHeader
from lath.testing import eventually
from lath_host.testing import InProcessLattice

ECHO = "test:words/echo@1.0.0"
FRONT = "test:words/front@1.0.0"


async def test_a_client_calls_a_component_over_the_bus(lattice_in_process: InProcessLattice) -> None:
    event = await lattice_in_process.start_component("echo", guests.echo(tag="e:"))
    assert event.name == "component_scaled", event.data
    assert await lattice_in_process.call("echo", ECHO, "say", "hello") == "e:hello"


async def test_a_component_calls_another_on_the_same_host_by_its_link(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await lattice.start_component("echo", guests.echo(tag="e:"))
    await lattice.start_component("front", guests.relay())
    await lattice.link("front", "echo", ECHO)
    assert await lattice.call("front", FRONT, "say", "hello") == "e:hello"


async def test_a_component_calls_another_on_another_host_by_its_link(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    (other,) = await lattice.add_hosts(1)
    await lattice.start_component("echo", guests.echo(tag="e:"), host=other)
    await lattice.start_component("front", guests.relay())
    await lattice.link("front", "echo", ECHO)
    assert await lattice.call("front", FRONT, "say", "hello") == "e:hello"


async def test_a_missing_target_says_so_at_once(lattice_in_process: InProcessLattice) -> None:
    error = await lattice_in_process.failure("nobody", ECHO, "say", "x", timeout_ms=60_000)
    assert error.kind == "not_found" and "nobody" in error.message


@pytest.mark.parametrize(
    ("interface", "function", "said"),
    [
        ("test:words/nope@1.0.0", "say", ["test:words/nope@1.0.0", ECHO]),
        ("test:words/echo@2.0.0", "say", ["test:words/echo@2.0.0", ECHO]),
        (ECHO, "sing", ["sing", "say"]),
    ],
)
async def test_what_is_not_exported_is_refused_naming_both(
    lattice_in_process: InProcessLattice, interface: str, function: str, said: list[str]
) -> None:
    lattice = lattice_in_process
    await lattice.start_component("echo", guests.echo())
    error = await lattice.failure("echo", interface, function, "x", timeout_ms=60_000)
    assert error.kind == "not_found"
    assert all(word in error.message for word in said), error.message


async def test_a_compatible_version_is_served(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    await lattice.start_component("echo", guests.echo("test:words/echo@1.4.0"))
    assert await lattice.call("echo", "test:words/echo@1.2.0", "say", "x") == "x"
    assert await lattice.call("echo", "test:words/echo", "say", "x") == "x"


async def test_a_missing_link_fails_the_call_at_once(lattice_in_process: InProcessLattice) -> None:
    """Weakness 10: a missing or misnamed link hung the call."""
    lattice = lattice_in_process
    await lattice.start_component("echo", guests.echo())
    await lattice.start_component("front", guests.relay())
    error = await lattice.failure("front", FRONT, "say", "x", timeout_ms=60_000)
    assert error.kind == "trap" and "link_not_found" in error.message
    assert "front" in error.message and "test:words/echo" in error.message
    await lattice.link("front", "echo", ECHO, name="misnamed")
    error = await lattice.failure("front", FRONT, "say", "x", timeout_ms=60_000)
    assert "link_not_found" in error.message


async def test_a_link_to_nobody_fails_the_call_at_once(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    await lattice.start_component("front", guests.relay())
    await lattice.link("front", "nobody", ECHO)
    error = await lattice.failure("front", FRONT, "say", "x", timeout_ms=60_000)
    assert error.kind == "trap" and "unavailable" in error.message and "nobody" in error.message


@pytest.mark.parametrize("where", ["the same host", "another host"])
async def test_a_label_chooses_its_link(lattice_in_process: InProcessLattice, where: str) -> None:
    lattice = lattice_in_process
    host = lattice.hosts[0] if where == "the same host" else (await lattice.add_hosts(1))[0]
    await lattice.start_component("first", guests.echo(tag="1:"), host=host)
    await lattice.start_component("second", guests.echo(tag="2:"), host=host)
    await lattice.start_component("front", guests.relay(label="other"))
    await lattice.link("front", "first", ECHO)
    await lattice.link("front", "second", ECHO, name="other")
    assert await lattice.call("front", FRONT, "say", "x") == "2:x"


@pytest.mark.parametrize("where", ["the same host", "another host"])
async def test_the_callees_error_is_the_cause_that_its_callers_caller_reads(
    lattice_in_process: InProcessLattice, where: str
) -> None:
    lattice = lattice_in_process
    host = lattice.hosts[0] if where == "the same host" else (await lattice.add_hosts(1))[0]
    await lattice.start_component("echo", guests.echo(), host=host)
    await lattice.start_component("front", guests.relay(function="trap"))
    await lattice.link("front", "echo", ECHO)
    error = await lattice.failure("front", FRONT, "say", "x")
    assert error.kind == "trap" and "echo" in error.message


@pytest.mark.parametrize("where", ["the same host", "another host"])
async def test_a_deadline_passes_on_to_what_a_call_calls(
    lattice_in_process: InProcessLattice, where: str
) -> None:
    lattice = lattice_in_process
    host = lattice.hosts[0] if where == "the same host" else (await lattice.add_hosts(1))[0]
    await lattice.start_component("echo", guests.echo(), host=host)
    await lattice.start_component("front", guests.relay(function="loop"))
    await lattice.link("front", "echo", ECHO)
    error = await lattice.failure("front", FRONT, "say", "x", timeout_ms=500)
    assert "deadline_exceeded" in str(error)
    echo = host.services.components.get("echo")
    await eventually(lambda: (echo.describe().stats or {})["running"] == 0)


async def test_who_names_no_link_in_a_call_must_be_an_operators_client(
    lattice_in_process: InProcessLattice,
) -> None:
    """A source that has no link to the target gets nowhere, whatever it writes into the subject."""
    lattice = lattice_in_process
    await lattice.start_component("echo", guests.echo())
    name = InterfaceName.parse(ECHO)
    for source, link in (("stranger", "default"), ("stranger", "_"), ("_client", "default")):
        tail = subjects.call_tail(source, link, name, "say")
        with pytest.raises(LinkNotFound):
            await lattice.caller.call("echo", tail, pack(["x"]), linked=True)


@pytest.mark.parametrize("where", ["the same host", "another host"])
@pytest.mark.parametrize("size", [0, 1, 600_000, 4 * 1024 * 1024])
async def test_payloads_pass_whole_both_ways(
    lattice_in_process: InProcessLattice, where: str, size: int
) -> None:
    lattice = lattice_in_process
    host = lattice.hosts[0] if where == "the same host" else (await lattice.add_hosts(1))[0]
    await lattice.start_component("echo", guests.echo(), host=host)
    await lattice.start_component("front", guests.relay())
    await lattice.link("front", "echo", ECHO)
    text = ("lath é " * (size // 7 + 1))[:size]
    assert await lattice.call("front", FRONT, "say", text) == text


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xc1", b"\x91", b"\xa1x", b"\x91\x01", b"\x92\xa1x\xa1y", b"\x90", b"\x91\xa1\xff", b"\x91\xc0",
     b"\x91\xa1x\x00", b"\x91" * 500, b"\xdd\xff\xff\xff\xff", b"\x91\xd4\x05\x00"],
)  # fmt: skip
async def test_malformed_parameters_are_refused_and_leave_the_host_serving(
    lattice_in_process: InProcessLattice, payload: bytes
) -> None:
    lattice = lattice_in_process
    await lattice.start_component("echo", guests.echo())
    tail = subjects.call_tail("_client", "_", InterfaceName.parse(ECHO), "say")
    with pytest.raises(InvalidArgument):
        await lattice.caller.call("echo", tail, payload, linked=False)
    assert await lattice.call("echo", ECHO, "say", "x") == "x"


async def test_many_large_calls_at_once_all_come_through(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    (other,) = await lattice.add_hosts(1)
    await lattice.start_component("echo", guests.echo(), host=other)
    await lattice.start_component("front", guests.relay())
    await lattice.link("front", "echo", ECHO)
    texts = [chr(97 + i) * 3_000_000 for i in range(12)]
    answers = await asyncio.gather(*(lattice.call("front", FRONT, "say", text) for text in texts))
    assert answers == texts
    assert lattice.bus.connected


async def test_hosts_and_components_show_in_nats_micro(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    await lattice.start_component("echo", guests.echo())
    for name in ("lath-host", "echo"):
        reply = await lattice.bus.request(f"$SRV.PING.{name}", timeout_ms=5000)
        assert json.loads(reply.data)["name"] == name


@pytest.mark.parametrize("where", ["the same host", "another host"])
async def test_a_call_by_a_link_that_its_target_purged_fails_at_once(
    lattice_in_process: InProcessLattice, where: str
) -> None:
    lattice = lattice_in_process
    host = lattice.hosts[0] if where == "the same host" else (await lattice.add_hosts(1))[0]
    await lattice.start_component("echo", guests.echo(), host=host)
    await lattice.start_component("front", guests.relay())
    link = await lattice.link("front", "echo", ECHO)
    routes = host.services.routes
    await routes.purge(LinkSelector(key=link.key), hold=True)
    error = await lattice.failure("front", FRONT, "say", "x", timeout_ms=60_000)
    assert "link_failed" in error.message and "purged" in error.message
    path = ("front", "test", "words", "default", "echo")
    with pytest.raises(LinkFailed):
        await routes.admit(path, "echo", link.revision, deadline=asyncio.get_running_loop().time() + 1e6)
    await routes.pull(LinkSelector())
    await routes.admit(path, "echo", link.revision, deadline=0)


async def test_a_call_by_a_deleted_link_is_refused_by_the_target_without_waiting(
    lattice_in_process: InProcessLattice,
) -> None:
    """The caller may still route by it; the target's mirror is past that revision, so no wait would help."""
    lattice = lattice_in_process
    await lattice.start_component("echo", guests.echo())
    link = await lattice.link("front", "echo", ECHO)
    routes = lattice.hosts[0].services.routes
    await lattice.links.delete("front", "test", "words", "default")
    await eventually(lambda: not routes._view.links)
    path = ("front", "test", "words", "default", "echo")
    task = asyncio.ensure_future(routes.admit(path, "echo", link.revision, deadline=1e9))
    await asyncio.wait([task], timeout=1)
    with pytest.raises(LinkNotFound):
        task.result()


async def test_a_call_by_a_link_that_the_target_has_yet_to_see_waits_for_it(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await lattice.start_component("echo", guests.echo())
    routes = lattice.hosts[0].services.routes
    first = await lattice.link("other", "echo", ECHO)
    coming = first.revision.model_copy(update={"sequence": first.revision.sequence + 1})
    path = ("front", "test", "words", "default", "echo")
    deadline = asyncio.get_running_loop().time() + 60
    waiting = asyncio.ensure_future(routes.admit(path, "echo", coming, deadline))
    assert (await lattice.link("front", "echo", ECHO)).revision == coming
    async with asyncio.timeout(10):
        await waiting


async def test_a_call_that_goes_on_carries_time_left_revision_and_versions(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    (other,) = await lattice.add_hosts(1)
    await lattice.start_component("echo", guests.echo(), host=other)
    await lattice.start_component("front", guests.relay())
    link = await lattice.link("front", "echo", ECHO)
    (instance,) = await eventually(lambda: lattice.presence.instances("echo"))
    seen: list[CallHeader] = []

    async def spy(msg: Msg) -> None:
        assert msg.headers is not None
        seen.append(CallHeader.parse(msg.headers[subjects.HEADER_CALL]))

    pattern = subjects.call_instance_pattern(lattice.bus.lattice, "echo", instance.instance_id)
    await lattice.bus.subscribe(pattern, spy)
    await lattice.bus.flush()
    tail = subjects.call_tail("_client", "_", InterfaceName.parse(FRONT), "say")
    await lattice.caller.call(
        "front", tail, pack(["x"]), timeout_ms=5_000, linked=False, app_version="shop:v7"
    )
    (header,) = await eventually(lambda: seen)
    assert header.revision == link.revision
    assert (header.interface_version, header.app_version) == ("1.0.0", "shop:v7")
    assert 0 < header.ms_left <= 5_000
