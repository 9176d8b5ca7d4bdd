"""Must hold 9, first half: what is missing is told at once, by its own kind, over processes.

Every call has a time-out of a minute and the test less: a failure by time-out cannot pass.
"""

from __future__ import annotations

import asyncio

import guests
import pytest
from whole_lattice import ECHO, FRONT, WholeLattice, link_spec
from words_provider import Words

from lath import wit
from lath.errors import LinkNotFound, NotConnected, NotFound
from lath_control.client import Client

MISSING_VERSION = "test:words/echo@2.0.0"


@pytest.mark.timeout(50)
async def test_each_missing_thing_has_its_own_kind_for_a_client(one_host: WholeLattice) -> None:
    lattice = one_host
    await lattice.component("echo", guests.echo())
    await lattice.provider("words")
    wit.register(Words.wit)  # a client that calls a provider with an interface of its own knows its types
    for target in ("echo", "words"):
        cases = {
            "target": await lattice.failure("nobody", ECHO, "x"),
            "interface": await lattice.failure(target, "test:words/nope@1.0.0", "x"),
            "version": await lattice.failure(target, MISSING_VERSION, "x"),
            "function": await lattice.failure(target, ECHO, "x", function="sing"),
        }
        assert {what: error.kind for what, error in cases.items()} == dict.fromkeys(cases, "not_found")
        assert "nobody" in cases["target"].message
        for what, named in (("interface", "test:words/nope@1.0.0"), ("version", MISSING_VERSION)):
            assert named in cases[what].message and ECHO in cases[what].message  # both are named
        assert "sing" in cases["function"].message and "say" in cases["function"].message
    with pytest.raises(LinkNotFound, match="nowhere"):
        await lattice.client.links.delete("nowhere", "test", "words")
    with pytest.raises(NotFound, match="missing"):
        await lattice.client.links.put(link_spec("a", "b", config="missing"))


@pytest.mark.timeout(50)
async def test_each_missing_thing_has_its_own_kind_for_a_guest(two_hosts: WholeLattice) -> None:
    """The guest's import has no place for an error, so that its caller reads the kind in the trap's text."""
    lattice, client = two_hosts, two_hosts.client
    await lattice.component("front", guests.relay())
    await lattice.component("labelled", guests.relay(label="far"))
    await lattice.component("asks-version", guests.relay(imported=MISSING_VERSION))
    await lattice.component("asks-function", guests.relay(function="sing"))
    await lattice.component("echo", guests.echo(), host=1)

    assert "link_not_found" in await said(lattice, "front")
    await lattice.link("labelled", "echo")  # a link, but not by the name that the import has
    missing = await said(lattice, "labelled")
    assert "link_not_found" in missing and "far" in missing
    await client.links.put(link_spec("front", "nobody"))
    assert "unavailable" in await said_once_linked(lattice, "front")
    for source, named in (("asks-version", "2.0.0"), ("asks-function", "sing")):
        await client.links.put(link_spec(source, "echo"))
        told = await said_once_linked(lattice, source)
        assert "not_found: " in told and named in told


async def said(lattice: WholeLattice, source: str) -> str:
    return (await lattice.failure(source, FRONT, "x")).message


async def said_once_linked(lattice: WholeLattice, source: str) -> str:
    """What is said once the put has reached the host: before that, there is no link."""
    async with asyncio.timeout(20):
        while "link_not_found" in (text := await said(lattice, source)):
            pass
    return text


async def test_a_lattice_that_is_not_there_is_told_by_its_address() -> None:
    with pytest.raises(NotConnected, match=r"127\.0\.0\.1:9"):
        async with Client("nats://127.0.0.1:9", lattice="default", connect_timeout_ms=300):
            pass
