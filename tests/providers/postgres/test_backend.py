"""wasmcloud:postgres when PostgreSQL is down, slow, full or gone."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from postgres_backend import PostgresBackend
from postgres_databases import beside, config_of
from postgres_server import Cluster
from pytest_asyncio import fixture

from lath.provider import Provider
from lath.testing.backend_contract import BackendContract
from lath.testing.postgres_contract import QUERY, READ_WRITE, TRANSACTIONS, int8
from lath.testing.provider import Linked
from lath_providers.postgres import Postgres

TABLE = "DROP TABLE IF EXISTS numbers; CREATE TABLE numbers (number bigint)"
INSERT = "INSERT INTO numbers VALUES ($1)"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    try:
        cluster.make()
        yield cluster
    finally:
        cluster.remove()


class TestPostgresBackend(BackendContract):
    names = itertools.count(1)
    """A config that is new each time, since one that stays the same changes nothing."""

    @fixture
    async def backend(self, cluster: Cluster) -> AsyncIterator[PostgresBackend]:
        self.server = cluster.server
        backend = PostgresBackend(cluster)
        await backend.start()
        async with beside(self.server) as connection:
            await connection.execute(TABLE)
        yield backend
        await backend.stop()

    def make_provider(self) -> Provider:
        return Postgres()

    def link_config(self) -> dict[str, str]:
        return config_of(self.server, "postgres", application_name=f"lath {next(self.names)}")

    def small_pool(self) -> dict[str, str]:
        return {"pool_max": "3", "pool_wait_ms": "20000"}

    def wrong_credentials(self) -> dict[str, str]:
        return {**self.link_config(), "password": self.wrong_secret}

    async def exercise(self, linked: Linked) -> None:
        await run(linked, "SELECT 1")

    async def write(self, linked: Linked, number: int) -> None:
        await run(linked, INSERT, number)

    async def written(self, linked: Linked) -> set[int]:
        return {row[0].value.payload for row in await run(linked, "SELECT number FROM numbers")}


async def run(linked: Linked, sql: str, *numbers: int) -> Any:
    """The rows of a statement, by whichever of the provider's two packages the link is of."""
    params = [int8(number) for number in numbers]
    if linked.link.wit_namespace == "wasmcloud":
        return await linked.call(QUERY, "query", sql, params)
    (rows,) = await linked.call(TRANSACTIONS, "run", [{"query": sql, "params": params}], READ_WRITE)
    return rows
