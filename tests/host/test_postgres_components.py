"""A component asks two databases, by link name and by label, and has transactions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from msgpack import unpackb
from postgres_components import shop
from postgres_databases import activity, beside, config_of, make_database
from postgres_server import PostgresServer, postgres_server
from pytest_asyncio import fixture

from lath import subjects
from lath.codec.wire import pack
from lath.config import ConfigStore
from lath.names import CLIENT_SOURCE, NO_LINK
from lath.testing import eventually
from lath.testing.provider import ProviderTest
from lath_host.testing import InProcessLattice
from lath_providers.postgres import Postgres

QUERY = "wasmcloud:postgres/query@0.1.1-draft"
TRANSACTIONS = "lath:postgres/transactions@1.0.0"

MIDNIGHT = {"hour": 0, "min": 0, "sec": 0, "micro": 0}

pytestmark = pytest.mark.xdist_group("postgres-components")


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


class Shop:
    """The component, and its two databases."""

    def __init__(self, lattice: InProcessLattice, names: dict[str, str]) -> None:
        self.lattice = lattice
        self.names = names

    async def call(self, function: str, *params: Any) -> Any:
        tail = subjects.call_tail(CLIENT_SOURCE, NO_LINK, None, function)
        return unpackb(await self.lattice.caller.call("shop", tail, pack(list(params)), linked=False))


@fixture
async def component(lattice_in_process: InProcessLattice, postgres: PostgresServer) -> AsyncIterator[Shop]:
    lattice = lattice_in_process
    names = {name: make_database(postgres) for name in ("default", "archive")}
    async with ProviderTest(lattice.bus, Postgres(), provider_id="postgres") as provider:
        for name, database in names.items():
            await ConfigStore(lattice.bus).put(name, config_of(postgres, database))
            link = await lattice.link("shop", "postgres", QUERY, name=name, target_config=(name,))
            await provider.settled(link)
        link = await lattice.link("shop", "postgres", TRANSACTIONS, target_config=("default",))
        await provider.settled(link)
        event = await lattice.start_component("shop", shop())
        assert event.name == "component_scaled", event.data
        yield Shop(lattice, names)


async def test_two_databases_are_two_links_of_one_component(component: Shop) -> None:
    for function, name in (("ask", "default"), ("ask-archive", "archive")):
        answer = await component.call(function, "SELECT current_database()::text AS name", [])
        assert answer == {"ok": [[{"column-name": "name", "value": {"text": component.names[name]}}]]}


async def test_values_of_all_shapes_cross_into_a_guest_and_back(component: Shop) -> None:
    values = [
        {"int8": -5}, {"float8": [6755399441055744, -52, 1]}, {"text": "ключ"}, {"bytea": b"\0\xff"},
        {"date": {"ymd": [-43, 3, 15]}}, {"point": [[1, 0, 1], [1, 1, 1]]}, {"null": None},
        {"timestamp": {"date": {"positive-infinity": None}, "time": MIDNIGHT}},
    ]  # fmt: skip
    kinds = ("int8", "float8", "text", "bytea", "date", "point", "uuid", "timestamp")
    columns = ", ".join(f"${number}::{kind} AS {kind}" for number, kind in enumerate(kinds, 1))
    answer = await component.call("ask", f"SELECT {columns}", values)
    found = {each["column-name"]: each["value"] for each in answer["ok"][0]}
    expected = dict(zip(kinds, values, strict=True))
    expected["point"] = {"point": [[2**52, -52, 1], [2**52, -51, 1]]}
    assert found == expected


async def test_an_error_reaches_the_guest_in_the_words_of_the_standard(component: Shop) -> None:
    answer = await component.call("ask", "SELEKT 1", [])
    assert answer["err"]["invalid-query"].startswith("42601: ")


async def test_a_failure_of_the_link_reaches_the_guest_as_unexpected(component: Shop) -> None:
    await component.lattice.links.delete("shop", "wasmcloud", "postgres", "archive")

    async def told() -> bool:
        answer = await component.call("ask-archive", "SELECT 1", [])
        return "link_not_found" in answer.get("err", {}).get("unexpected", "")

    await eventually(told)


async def test_what_a_guest_commits_stands_and_what_it_drops_is_rolled_back(
    component: Shop, postgres: PostgresServer
) -> None:
    await component.call("ask", "CREATE TABLE kept (id bigint)", [])
    insert = "INSERT INTO kept VALUES ($1), ($1)"
    assert await component.call("attempt", insert, [{"int8": 1}], True) == {"ok": 2}
    assert await component.call("attempt", insert, [{"int8": 2}], False) == {"ok": 2}

    async def none_open() -> bool:
        states = [state for state, _ in await activity(postgres, component.names["default"])]
        return not any("transaction" in state for state in states)

    await eventually(none_open)
    async with beside(postgres, component.names["default"]) as connection:
        assert [row["id"] for row in await connection.fetch("SELECT id FROM kept")] == [1, 1]
