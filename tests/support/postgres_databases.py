"""Databases on a PostgreSQL server of the tests, empty ones, and what the server says of them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from postgres_server import PostgresServer


def make_database(server: PostgresServer) -> str:
    """Makes an empty database, and returns its name. Blocks."""
    name = f"test_{secrets.token_hex(6)}"
    connection = server.connect()
    try:
        connection.run(f"CREATE DATABASE {name}")
    finally:
        connection.close()
    return name


def make_schema(server: PostgresServer) -> str:
    """Makes an empty schema in the database `postgres`, which is quicker, and returns its name. Blocks."""
    name = f"test_{secrets.token_hex(6)}"
    connection = server.connect()
    try:
        connection.run(f"CREATE SCHEMA {name}")
    finally:
        connection.close()
    return name


def config_of(server: PostgresServer, database: str, **more: str) -> dict[str, str]:
    """The config of a link to a database."""
    return {
        "host": "127.0.0.1", "port": str(server.port), "user": server.user, "password": server.password,
        "database": database, **more,
    }  # fmt: skip


@asynccontextmanager
async def beside(
    server: PostgresServer, database: str = "postgres"
) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection from outside the lattice."""
    connection = await asyncpg.connect(
        host="127.0.0.1", port=server.port, user=server.user, password=server.password, database=database
    )
    try:
        yield connection
    finally:
        await connection.close()


async def activity(server: PostgresServer, database: str) -> list[tuple[str, str]]:
    """State and statement of each client's connection to a database; the server has some of its own."""
    async with beside(server) as connection:
        rows = await connection.fetch(
            "SELECT coalesce(state, '') AS state, query FROM pg_stat_activity"
            " WHERE datname = $1 AND backend_type = 'client backend'",
            database,
        )
    return [(row["state"], row["query"]) for row in rows]


async def connections(server: PostgresServer, database: str) -> int:
    """How many there are to a database."""
    return len(await activity(server, database))


def scripted(server: PostgresServer, database: str, script: str) -> None:
    """Runs a script in a database. Blocks."""

    async def run() -> None:
        async with beside(server, database) as connection:
            await connection.execute(script)

    asyncio.run(run())
