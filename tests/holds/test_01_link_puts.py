"""Must hold 1: concurrent link puts lose none, and of racers for one link name one wins."""

from __future__ import annotations

import asyncio
import json

from whole_lattice import Process, WholeLattice, link_spec

KV = "wasi:keyvalue/store"
FIELDS = {"wit_namespace": "wasi", "wit_package": "keyvalue", "interfaces": ["store"], "name": "default"}


async def test_a_thousand_concurrent_puts_through_clients_and_hosts_are_all_kept(
    two_hosts: WholeLattice,
) -> None:
    lattice = two_hosts

    async def through_a_host(source: str) -> None:
        reply = await lattice.ask("link", "put", source_id=source, target="kv", **FIELDS)
        assert reply.success, reply.message

    by_client = [f"client-{i}" for i in range(500)]
    by_hosts = [f"host-{i}" for i in range(500)]
    await asyncio.gather(
        *(lattice.client.links.put(link_spec(source, "kv", KV)) for source in by_client),
        *(through_a_host(source) for source in by_hosts),
    )
    listing = await lattice.client.links.list()
    assert {link.source_id for link in listing.links.values()} == {*by_client, *by_hosts}
    assert len({link.revision for link in listing.links.values()}) == 1_000
    assert listing.unreadable == {}
    told = (await lattice.ask("link", "get")).response
    assert {link["source_id"] for link in told} == {*by_client, *by_hosts}


async def test_of_twelve_racers_in_four_processes_one_wins_and_the_others_are_told_who(
    one_host: WholeLattice,
) -> None:
    lattice = one_host
    racers = await asyncio.gather(
        *(
            lattice.program(
                "link_racer.py", lattice.server.url, lattice.lattice, *(f"kv-{p}-{i}" for i in range(3))
            )
            for p in range(4)
        )
    )

    async def line(process: Process) -> bytes:
        assert process.stdout is not None
        return await process.stdout.readline()

    async with asyncio.timeout(60):
        assert [await line(each) for each in racers] == [b"ready\n"] * 4
        for each in racers:
            assert each.stdin is not None
            each.stdin.write(b"go\n")
        outcomes = [json.loads(await line(each)) for each in racers for _ in range(3)]
    won = [outcome["target"] for outcome in outcomes if "kind" not in outcome]
    assert len(won) == 1
    lost = [outcome for outcome in outcomes if outcome["target"] not in won]
    assert {outcome["kind"] for outcome in lost} == {"conflict"}
    assert all(f"linked to {won[0]} " in outcome["message"] for outcome in lost)
    assert [link.target for link in (await lattice.client.links.list()).links.values()] == won
