"""Must hold 7: after a held purge nothing of a link is left, counted at the backend; pull restores."""

from __future__ import annotations

import guests
from whole_lattice import FRONT, WholeLattice, link_spec

from lath.model import LinkSelector
from lath.testing import eventually

KV = "wasi:keyvalue/store"


async def test_a_held_purge_closes_every_connection_of_the_link_and_calls_fail_at_once(
    two_hosts: WholeLattice,
) -> None:
    """Two instances of keyvalue-nats in processes; the backend's own count is nats-server's `/connz`."""
    lattice, client = two_hosts, two_hosts.client
    for host in (0, 1):
        await lattice.provider("kv", "python:lath_providers.keyvalue_nats", host=host)
    for name in ("one", "two"):
        await lattice.link("app", "kv", KV, name=name)

    async def connections() -> dict[str, int]:
        names = [each.get("name", "") for each in (await lattice.server.connz())["connections"]]
        return {name: names.count(f"lath-kv app {name}") for name in ("one", "two")}

    assert await connections() == {"one": 2, "two": 2}
    report = await client.links.purge(LinkSelector(name="one"), hold=True)
    assert report.complete
    assert await connections() == {"one": 0, "two": 2}
    assert await lattice.verdicts() == {"app one": "purged", "app two": "live"}
    report = await client.links.pull(LinkSelector(name="one"))
    assert report.complete
    assert await connections() == {"one": 2, "two": 2}
    assert await lattice.verdicts() == {"app one": "live", "app two": "live"}


async def test_while_a_link_is_held_purged_a_component_is_told_so_at_once(one_host: WholeLattice) -> None:
    lattice, client = one_host, one_host.client
    await lattice.component("front", guests.relay())
    await lattice.provider_alone("words")
    await lattice.link("front", "words")
    assert await lattice.call("front", FRONT, "x") == "p:x"
    assert (await client.links.purge(hold=True)).complete
    for _ in range(5):  # the time-out is a minute: only a failure at once lets the test end in time
        error = await lattice.failure("front", FRONT, "x")
        assert "link_failed" in error.message and "purged" in error.message
    stored = await client.links.put(link_spec("front", "words"))  # putting it again does not lift the hold
    assert stored.name == "default"
    assert "purged" in (await lattice.failure("front", FRONT, "x")).message
    assert (await client.links.pull()).complete

    async def answered() -> bool:
        return bool(await lattice.call("front", FRONT, "x") == "p:x")

    await eventually(answered)
