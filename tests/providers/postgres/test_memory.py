"""wasmcloud:postgres in memory passes the contract."""

from __future__ import annotations

import secrets

from lath.provider import Provider
from lath.testing.memory_postgres import MemoryPostgres
from lath.testing.postgres_contract import PostgresContract


class TestMemoryPostgres(PostgresContract):
    def make_provider(self) -> Provider:
        return MemoryPostgres()

    def link_config(self) -> dict[str, str]:
        return {"database": secrets.token_hex(4)}
