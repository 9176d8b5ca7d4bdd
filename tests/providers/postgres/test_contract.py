"""wasmcloud:postgres on a real PostgreSQL passes the contract."""

from __future__ import annotations

import pytest
from postgres_databases import config_of, make_schema
from postgres_server import PostgresServer

from lath.provider import Provider
from lath.testing.postgres_contract import PostgresContract
from lath_providers.postgres import Postgres


class TestPostgres(PostgresContract):
    @pytest.fixture(autouse=True)
    def on(self, postgres: PostgresServer) -> None:
        self.server = postgres

    def make_provider(self) -> Provider:
        return Postgres()

    def link_config(self) -> dict[str, str]:
        return config_of(self.server, "postgres", search_path=make_schema(self.server))
