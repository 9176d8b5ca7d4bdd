"""One PostgreSQL server for the modules that need not end it, and the provider on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from postgres_databases import config_of, make_database
from postgres_server import PostgresServer, postgres_server
from pytest_asyncio import fixture

from lath.bus import Bus
from lath.testing.postgres_contract import Database
from lath.testing.provider import ProviderTest
from lath_providers.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def database_name(postgres: PostgresServer) -> str:
    """An empty database."""
    return make_database(postgres)


@fixture
async def provider(bus: Bus) -> AsyncIterator[ProviderTest]:
    async with ProviderTest(bus, Postgres()) as test:
        yield test


class Linking:
    """Links to one database."""

    def __init__(self, provider: ProviderTest, server: PostgresServer, name: str) -> None:
        self.provider = provider
        self.server = server
        self.name = name

    async def __call__(self, **config: str) -> Database:
        """The database by two links with a config."""
        values = config_of(self.server, self.name, **config)
        queries = await self.provider.link(namespace="wasmcloud", package="postgres", config=values)
        transactions = await self.provider.link(namespace="lath", package="postgres", config=values)
        return Database(queries, transactions)


@pytest.fixture
def linking(provider: ProviderTest, postgres: PostgresServer, database_name: str) -> Linking:
    return Linking(provider, postgres, database_name)


@fixture
async def database(linking: Linking) -> Database:
    return await linking()
