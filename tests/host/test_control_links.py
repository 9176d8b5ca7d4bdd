"""The control interface: links, config, and the link verbs."""

from __future__ import annotations

import asyncio

import guests

from lath.testing import eventually
from lath_host.testing import InProcessLattice

KV = {"wit_namespace": "wasi", "wit_package": "keyvalue", "interfaces": ["store"]}
ECHO = "test:words/echo@1.0.0"
FRONT = "test:words/front@1.0.0"


async def test_a_link_is_put_listed_and_deleted(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    assert (await lattice.ask("config", "put", "store", url="mem://")).success
    async with lattice.events() as events:
        put = await lattice.ask("link", "put", source_id="app", target="kv", target_config=["store"], **KV)
        assert put.success, put.message
        event = await events.wait("linkdef_set", source_id="app")
        assert event.data["target"] == "kv" and event.data["target_config"] == ["store"]
        listed = await lattice.ask("link", "get")
        assert listed.response == [
            {"source_id": "app", "target": "kv", "name": "default", "source_config": [],
             "target_config": ["store"], **KV}
        ]  # fmt: skip
        deleted = await lattice.ask(
            "link", "del", source_id="app", wit_namespace="wasi", wit_package="keyvalue"
        )
        assert deleted.success
        event = await events.wait("linkdef_deleted", source_id="app")
        assert event.data["target"] == "kv" and event.data["interfaces"] == ["store"]
    assert (await lattice.ask("link", "get")).response == []


async def test_a_link_whose_config_does_not_exist_is_refused_naming_it(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    async with lattice.events() as events:
        reply = await lattice.ask("link", "put", source_id="a", target="b", source_config=["nope"], **KV)
        assert not reply.success and "nope" in reply.message
        assert "nope" in (await events.wait("linkdef_set_failed", source_id="a")).data["error"]


async def test_an_overlapping_link_to_another_target_is_refused_naming_the_one_that_is_there(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    assert (await lattice.ask("link", "put", source_id="a", target="b", **KV)).success
    reply = await lattice.ask("link", "put", source_id="a", target="c", **KV)
    assert not reply.success and reply.message.startswith("conflict: ") and "linked to b" in reply.message
    assert (await lattice.ask("link", "put", source_id="a", target="c", name="second", **KV)).success


async def test_concurrent_link_puts_through_the_control_interface_are_all_kept(
    lattice_in_process: InProcessLattice,
) -> None:
    """Weakness 8: of ten concurrent puts one survived."""
    lattice = lattice_in_process
    await lattice.add_hosts(1)
    replies = await asyncio.gather(
        *(lattice.ask("link", "put", source_id=f"app{i}", target="kv", **KV) for i in range(50))
    )
    assert all(reply.success for reply in replies)
    listed = (await lattice.ask("link", "get")).response
    assert {link["source_id"] for link in listed} == {f"app{i}" for i in range(50)}


async def test_a_delete_removes_exactly_the_named_link(lattice_in_process: InProcessLattice) -> None:
    """Weakness 9: a delete that lacks the target removed the wrong link."""
    lattice = lattice_in_process
    for name in ("default", "second"):
        assert (await lattice.ask("link", "put", source_id="a", target="kv", name=name, **KV)).success
    assert (await lattice.ask("link", "put", source_id="b", target="kv", **KV)).success
    await lattice.ask(
        "link", "del", source_id="a", name="second", wit_namespace="wasi", wit_package="keyvalue"
    )
    left = (await lattice.ask("link", "get")).response
    assert [(link["source_id"], link["name"]) for link in left] == [("a", "default"), ("b", "default")]
    gone = await lattice.ask("link", "del", source_id="z", wit_namespace="wasi", wit_package="keyvalue")
    assert gone.success
    assert len((await lattice.ask("link", "get")).response) == 2


async def test_config_is_put_read_and_deleted(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    missing = await lattice.ask("config", "get", "app")
    assert missing.success and missing.response is None
    async with lattice.events() as events:
        assert (await lattice.ask("config", "put", "app", greeting="hi", name="x")).success
        assert (await lattice.ask("config", "get", "app")).response == {"greeting": "hi", "name": "x"}
        assert (await lattice.ask("config", "del", "app")).success
        await events.wait("config_deleted", config_name="app")
    assert (await lattice.ask("config", "get", "app")).response is None
    assert (await lattice.ask("config", "del", "app")).success


async def test_config_that_is_no_flat_map_of_strings_is_refused(lattice_in_process: InProcessLattice) -> None:
    for body in (b'{"a": 1}', b'{"a": {"b": "c"}}', b"[1]"):
        reply = await lattice_in_process.ask_raw(body, "config", "put", "app")
        assert not reply.success


async def test_config_that_links_name_is_not_deleted_from_under_them(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await lattice.ask("config", "put", "store", url="mem://")
    await lattice.ask("link", "put", source_id="a", target="b", source_config=["store"], **KV)
    reply = await lattice.ask("config", "del", "store")
    assert not reply.success and "a.b.wasi.keyvalue.default" in reply.message


async def test_a_link_between_components_is_live_by_the_word_of_both_hosts(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    (other,) = await lattice.add_hosts(1)
    await lattice.start_component("echo", guests.echo(), host=other)
    await lattice.start_component("front", guests.relay())
    await lattice.link("front", "echo", ECHO)
    reply = await lattice.ask("link", "ping", selector={"source_id": "front"}, timeout_ms=3000)
    assert reply.success, reply.message
    (link,) = reply.response["links"]
    assert link["verdict"] == "live", link
    roles = {(p["id"], p["role"]) for p in link["participants"]}
    assert roles == {(lattice.hosts[0].id, "source"), (other.id, "target")}
    assert reply.response["silent"] == []


async def test_a_link_for_what_its_target_does_not_export_is_failed_saying_so(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await lattice.start_component("echo", guests.echo())
    await lattice.link("front", "echo", "test:words/other")
    reply = await lattice.ask("link", "ping", timeout_ms=3000)
    (link,) = reply.response["links"]
    assert link["verdict"] == "failed"
    assert "does not export test:words/other" in link["participants"][0]["error"]


async def test_a_link_to_a_component_that_hands_out_its_own_resources_is_live(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    event = await lattice.start_component("maker", guests.things())
    assert event.name == "component_scaled", event.data
    await lattice.link("front", "maker", "test:words/things")
    (link,) = (await lattice.ask("link", "ping", timeout_ms=3000)).response["links"]
    assert link["verdict"] == "live"


async def test_a_purged_link_that_is_held_refuses_calls_until_it_is_pulled(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await lattice.start_component("echo", guests.echo())
    await lattice.start_component("front", guests.relay())
    await lattice.link("front", "echo", ECHO)
    purged = await lattice.ask("link", "purge", selector={"source_id": "front"}, hold=True)
    assert purged.success and purged.response["failed"] == {}
    error = await lattice.failure("front", FRONT, "say", "hello")
    assert "purged" in str(error.message) and "link_failed" in error.message
    (link,) = (await lattice.ask("link", "ping")).response["links"]
    assert link["verdict"] == "purged"
    assert (await lattice.ask("link", "pull")).success
    assert await lattice.call("front", FRONT, "say", "hello") == "hello"
    assert (await lattice.ask("link", "vping")).response["links"][0]["verdict"] == "live"


async def test_a_deleted_link_ends_the_calls_by_it_at_once(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    await lattice.start_component("echo", guests.echo())
    await lattice.start_component("front", guests.relay())
    link = await lattice.link("front", "echo", ECHO)
    assert await lattice.call("front", FRONT, "say", "hello") == "hello"
    await lattice.ask("link", "del", source_id="front", wit_namespace="test", wit_package="words")
    await eventually(lambda: link.key not in lattice.hosts[0].services.routes._view.links)
    assert "link_not_found" in (await lattice.failure("front", FRONT, "say", "hello")).message
