"""`Postgres`: wasmcloud:postgres and lath:postgres (transactions) on PostgreSQL, with a pool per link."""

from __future__ import annotations

from typing import Any, Final

from lath.codec import Record, Resource, Variant
from lath.provider import Call, Link, OpError, Provider, operation
from lath_providers.postgres import transactions
from lath_providers.postgres.backend import Backend, Probes
from lath_providers.postgres.config import PostgresConfig
from lath_providers.postgres.transactions import Transaction

QUERY = "wasmcloud:postgres/query@0.1.1-draft"
PREPARED = "wasmcloud:postgres/prepared@0.1.1-draft"
TRANSACTIONS = "lath:postgres/transactions@1.0.0"

TOKEN_PREFIX: Final = "sql:"
"""A token is this and the statement itself, so that any instance can run it, on any connection."""
CHECK: Final = "SELECT 1"


class Postgres(Provider):
    """wasmcloud:postgres on PostgreSQL. Link config: `url` and more, see `PostgresConfig`."""

    def __init__(self) -> None:
        self._probes = Probes()

    async def stop(self) -> None:
        await self._probes.close()

    async def open_link(self, link: Link) -> Backend:
        config = link.config_as(PostgresConfig)
        return Backend(link, config, await self._probes.ask(config))

    async def close_link(self, link: Link, backend: Backend) -> None:
        await backend.close()

    async def check_link(self, link: Link, backend: Backend) -> None:
        async with backend.session() as session:
            await session.command(CHECK)

    # --- wasmcloud:postgres/query --------------------------------------------------------------------

    @operation(QUERY)
    async def query(self, call: Call[Backend], query: str, params: list[Variant]) -> list[list[Record]]:
        async with call.held.session() as session:
            return await session.query(query, params)

    @operation(QUERY)
    async def query_batch(self, call: Call[Backend], query: str) -> None:
        async with call.held.session() as session:
            await session.batch(query)

    # --- wasmcloud:postgres/prepared -----------------------------------------------------------------

    @operation(PREPARED)
    async def prepare(self, call: Call[Backend], statement: str) -> str:
        try:
            async with call.held.session() as session:
                await session.prepare(statement)
        except OpError as error:
            raise OpError(Variant("unexpected", error.payload.payload)) from error
        return TOKEN_PREFIX + statement

    @operation(PREPARED)
    async def exec(self, call: Call[Backend], stmt_token: str, params: list[Variant]) -> int:
        if not stmt_token.startswith(TOKEN_PREFIX):
            raise OpError(Variant("unknown-prepared-query"))
        try:
            async with call.held.session() as session:
                return await session.execute(stmt_token.removeprefix(TOKEN_PREFIX), params)
        except OpError as error:
            raise OpError(Variant("query-error", error.payload)) from error

    # --- lath:postgres/transactions ------------------------------------------------------------------

    @operation(TRANSACTIONS)
    async def run(self, call: Call[Backend], statements: list[Any], options: Any) -> list[list[list[Record]]]:
        async with call.held.session() as session:
            return await transactions.run(session, statements, options)

    @operation(TRANSACTIONS)
    async def begin(self, call: Call[Backend], options: Any) -> Resource:
        return (await Transaction.begin(call.held, options, self.context.pins)).handle

    @operation(TRANSACTIONS, "[method]transaction.query")
    async def query_within(
        self, call: Call[Backend], transaction: Resource, query: str, params: list[Variant]
    ) -> list[list[Record]]:
        return await self._found(transaction).query(query, params)

    @operation(TRANSACTIONS, "[method]transaction.exec")
    async def exec_within(
        self, call: Call[Backend], transaction: Resource, query: str, params: list[Variant]
    ) -> int:
        return await self._found(transaction).execute(query, params)

    @operation(TRANSACTIONS, "[method]transaction.commit")
    async def commit(self, call: Call[Backend], transaction: Resource) -> None:
        await self._found(transaction).commit()

    @operation(TRANSACTIONS, "[method]transaction.rollback")
    async def rollback(self, call: Call[Backend], transaction: Resource) -> None:
        await self._found(transaction).rollback()

    def _found(self, handle: Resource) -> Transaction:
        return self.context.pins.find(handle, Transaction)
