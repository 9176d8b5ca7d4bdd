"""wasmcloud:postgres on a real PostgreSQL passes the contract."""

from __future__ import annotations

import re

import pytest
from postgres_databases import config_of, make_schema
from postgres_server import PostgresServer

from lath.provider import Provider
from lath.testing.postgres_contract import PostgresContract
from lath.testing.provider import ProviderTest
from lath_providers.postgres import Postgres


class TestPostgres(PostgresContract):
    @pytest.fixture(autouse=True)
    def on(self, postgres: PostgresServer) -> None:
        self.server = postgres

    def make_provider(self) -> Provider:
        return Postgres()

    def link_config(self) -> dict[str, str]:
        return config_of(self.server, "postgres", search_path=make_schema(self.server))

    @pytest.mark.parametrize(
        ("config", "field"),
        [
            ({"host": ""}, "host"),
            ({"url": "mysql://user@127.0.0.1/db"}, "url"),
            ({"user": ""}, "user"),
            ({"port": "99999"}, "port"),
            ({"tls": "perhaps"}, "tls"),
            ({"tls_ca": "x", "tls_ca_path": "/ca.pem"}, "tls_ca_path"),
            ({"pool_max": "0"}, "pool_max"),
            ({"pool_wait_ms": "soon"}, "pool_wait_ms"),
            ({"statement_cache": "-1"}, "statement_cache"),
        ],
    )
    async def test_a_wrong_value_fails_the_link_naming_the_field(
        self, running: ProviderTest, config: dict[str, str], field: str
    ) -> None:
        held = await running.settled(await running.put(config={**self.link_config(), **config}))
        assert held.state == "failed"
        assert re.search(rf"\b{field}: ", held.error or ""), held.error
