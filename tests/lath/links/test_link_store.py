"""Links: one target for each source, package, name and interface, whoever races."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from lath.bus import BucketStore, Bus
from lath.config import ConfigStore
from lath.errors import Conflict, InvalidArgument, NotFound
from lath.links import LinkStore
from lath.model import LinkSelector, LinkSpec


def spec(
    source: str = "app",
    target: str = "kv",
    *,
    name: str = "default",
    interfaces: Sequence[str] = ("store",),
    source_config: Sequence[str] = (),
    target_config: Sequence[str] = (),
) -> LinkSpec:
    return LinkSpec(
        source_id=source,
        target=target,
        name=name,
        wit_namespace="wasi",
        wit_package="keyvalue",
        interfaces=tuple(interfaces),
        source_config=tuple(source_config),
        target_config=tuple(target_config),
    )


async def test_a_put_link_is_listed_with_its_revision(bus: Bus) -> None:
    store = LinkStore(bus)
    link = await store.put(spec())
    listing = await store.list()
    assert listing.links == {"app.kv.wasi.keyvalue.default": link}
    assert link.revision.incarnation == await BucketStore(bus, "links").incarnation()
    assert await store.get(link.key) == link


async def test_a_thousand_concurrent_puts_are_all_stored(bus: Bus) -> None:
    store = LinkStore(bus)
    specs = [spec(f"app-{i}", f"kv-{i % 7}") for i in range(1000)]
    links = await asyncio.gather(*(store.put(s) for s in specs))
    assert len({link.revision.sequence for link in links}) == 1000
    assert (await store.list()).links == {link.key: link for link in links}


async def test_ten_concurrent_puts_beside_each_other_in_one_slot_are_all_stored(bus: Bus) -> None:
    store = LinkStore(bus)
    specs = [spec("app", f"kv-{i}", interfaces=[f"part-{'abcdefghij'[i]}"]) for i in range(10)]
    links = await asyncio.gather(*(store.put(s) for s in specs))
    assert (await store.list()).links == {link.key: link for link in links}


async def test_ten_concurrent_puts_of_the_same_link_converge(bus: Bus) -> None:
    store = LinkStore(bus)
    links = await asyncio.gather(*(store.put(spec()) for _ in range(10)))
    last = max(links, key=lambda link: link.revision)
    assert (await store.list()).links == {last.key: last}


async def test_of_writers_racing_for_one_slot_one_wins_and_the_others_name_it(bus: Bus) -> None:
    store = LinkStore(bus)
    for turn in range(5):
        outcomes = await asyncio.gather(
            *(store.put(spec(f"app-{turn}", f"kv-{i}")) for i in range(12)), return_exceptions=True
        )
        won = [o for o in outcomes if not isinstance(o, BaseException)]
        lost = [o for o in outcomes if isinstance(o, Conflict)]
        assert (len(won), len(lost)) == (1, 11)
        assert all(f"linked to {won[0].target} for wasi:keyvalue/store" in o.message for o in lost)


async def test_another_target_is_allowed_for_other_interfaces_only(bus: Bus) -> None:
    store = LinkStore(bus)
    await store.put(spec(target="one", interfaces=["store", "atomics"]))
    await store.put(spec(target="two", interfaces=["batch"]))
    with pytest.raises(Conflict, match="linked to one for wasi:keyvalue/atomics"):
        await store.put(spec(target="two", interfaces=["atomics", "batch"]))
    await store.put(spec(target="two", name="other", interfaces=["atomics"]))
    assert len((await store.list()).links) == 3


async def test_putting_a_link_again_replaces_it(bus: Bus) -> None:
    store = LinkStore(bus)
    first = await store.put(spec(interfaces=["store"]))
    second = await store.put(spec(interfaces=["batch"]))
    assert second.revision > first.revision
    assert (await store.list()).links == {second.key: second}
    await store.put(spec(target="two", interfaces=["store"]))


async def test_configs_are_resolved_into_the_link_a_later_one_winning(bus: Bus) -> None:
    configs, store = ConfigStore(bus), LinkStore(bus)
    a = await configs.put("a", {"url": "one", "size": "1"})
    b = await configs.put("b", {"url": "two"})
    link = await store.put(spec(source_config=["b", "a"], target_config=["a", "b"]))
    assert link.source_config_values == {"url": "one", "size": "1"}
    assert link.target_config_values == {"url": "two", "size": "1"}
    assert link.config_revisions == {"a": a, "b": b}


async def test_a_missing_config_is_named(bus: Bus) -> None:
    with pytest.raises(NotFound, match="config absent does not exist"):
        await LinkStore(bus).put(spec(target_config=["absent"]))
    assert not (await LinkStore(bus).list()).links


async def test_deleting_removes_exactly_the_named_link(bus: Bus) -> None:
    store = LinkStore(bus)
    gone = await store.put(spec())
    kept = [await store.put(spec(name="other")), await store.put(spec("app2"))]
    assert await store.delete("app", "wasi", "keyvalue", "default") == gone
    assert await store.delete("app", "wasi", "keyvalue", "default") is None
    assert set((await store.list()).links) == {link.key for link in kept}
    again = await store.put(spec(target="two"))
    assert again.revision > gone.revision


async def test_deleting_one_of_several_needs_the_target(bus: Bus) -> None:
    store = LinkStore(bus)
    await store.put(spec(target="one", interfaces=["store"]))
    two = await store.put(spec(target="two", interfaces=["batch"]))
    with pytest.raises(Conflict, match=r"app\.one\.wasi\.keyvalue\.default, app\.two\.wasi"):
        await store.delete("app", "wasi", "keyvalue", "default")
    assert await store.delete("app", "wasi", "keyvalue", "default", target="absent") is None
    await store.delete("app", "wasi", "keyvalue", "default", target="one")
    assert set((await store.list()).links) == {two.key}


async def test_unparsable_values_do_not_break_listing_putting_or_deleting(bus: Bus) -> None:
    store, bucket = LinkStore(bus), BucketStore(bus, "links")
    good = await store.put(spec())
    await bucket.put("app.bad.wasi.keyvalue.default", b"\xff{")
    await bucket.put("x.y.wasi.keyvalue.default", good.model_dump_json().encode())
    await bucket.put("odd", b"")
    listing = await store.list()
    assert set(listing.links) == {good.key}
    assert set(listing.unreadable) == {"app.bad.wasi.keyvalue.default", "x.y.wasi.keyvalue.default", "odd"}
    assert "is that of" in listing.unreadable["x.y.wasi.keyvalue.default"]
    with pytest.raises(InvalidArgument):
        await store.get("app.bad.wasi.keyvalue.default")
    again = await store.put(spec())
    assert again.revision > good.revision
    assert await store.delete("app", "wasi", "keyvalue", "default", target="bad") is None
    assert "app.bad.wasi.keyvalue.default" not in (await store.list()).unreadable


async def test_a_selector_lists_what_it_matches(bus: Bus) -> None:
    store = LinkStore(bus)
    for source, target in (("a", "b"), ("b", "c"), ("c", "a")):
        await store.put(spec(source, target))

    async def ends(**fields: str) -> set[str]:
        return {
            link.source_id + link.target for link in (await store.list(LinkSelector(**fields))).links.values()
        }

    assert await ends() == {"ab", "bc", "ca"}
    assert await ends(source_id="a") == {"ab"}
    assert await ends(target="a") == {"ca"}
    assert await ends(participant="a") == {"ab", "ca"}
    assert await ends(key="b.c.wasi.keyvalue.default") == {"bc"}
    assert await ends(name="other") == set()


async def test_putting_a_config_stores_the_links_that_name_it_again(bus: Bus) -> None:
    configs, store = ConfigStore(bus), LinkStore(bus)
    await configs.put("c", {"url": "one"})
    before = await store.put(spec(target_config=["c"]))
    untouched = await store.put(spec("other"))
    revision = await configs.put("c", {"url": "two"})
    links = (await store.list()).links
    assert links[before.key].target_config_values == {"url": "two"}
    assert links[before.key].config_revisions == {"c": revision}
    assert links[before.key].revision > before.revision
    assert links[untouched.key] == untouched


async def test_refreshing_changes_only_what_is_stale(bus: Bus) -> None:
    configs, store = ConfigStore(bus), LinkStore(bus)
    await configs.put("c", {"url": "one"})
    link = await store.put(spec(target_config=["c"]))
    assert await store.refresh(link.key) == link
    assert await store.refresh("no.such.wasi.keyvalue.default") is None
    await BucketStore(bus, "config").put("c", b'{"url": "two"}')
    fresh = await store.refresh(link.key)
    assert fresh is not None and fresh.target_config_values == {"url": "two"}


async def test_a_config_that_links_name_is_deleted_only_by_force(bus: Bus) -> None:
    configs, store = ConfigStore(bus), LinkStore(bus)
    await configs.put("c", {"url": "one"})
    link = await store.put(spec(target_config=["c"]))
    with pytest.raises(Conflict, match=link.key):
        await configs.delete("c")
    assert await configs.delete("c", force=True)
    assert not await configs.delete("c", force=True)
    assert await configs.get("c") is None
    assert await store.refresh(link.key) == link


async def test_an_unreadable_config_is_told_apart(bus: Bus) -> None:
    configs = ConfigStore(bus)
    await configs.put("good", {"a": "b"})
    await BucketStore(bus, "config").put("bad", b"[1]")
    listing = await configs.list()
    assert listing.configs == {"good": {"a": "b"}}
    assert "bad" in listing.unreadable
    with pytest.raises(InvalidArgument):
        await configs.put("good", {"a": 1})  # type: ignore[dict-item]
    with pytest.raises(InvalidArgument):
        await configs.put("no.dots", {})
