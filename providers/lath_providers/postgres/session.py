"""A connection to PostgreSQL: statements prepared once, values converted, and left clean."""

from __future__ import annotations

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import asyncpg
from asyncpg.connect_utils import SessionAttribute
from asyncpg.prepared_stmt import PreparedStatement

from lath.codec import Record, Variant
from lath_providers.postgres.config import PostgresConfig
from lath_providers.postgres.values import Values

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

T = TypeVar("T")

CLEAN: Final = (
    "CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); SET SESSION AUTHORIZATION DEFAULT; RESET ALL; "
    "DISCARD TEMP; DISCARD SEQUENCES"
)
"""Takes back what a component may have changed in a session; not its prepared statements, which are kept."""
NOTHING: Final = "\n;SELECT"
"""Ends a script, since asyncpg fails at one that is empty."""
ENUM_ARRAYS: Final = (
    "SELECT a.oid::text FROM pg_catalog.pg_type a JOIN pg_catalog.pg_type e ON e.oid = a.typelem"
    " WHERE e.typtype = 'e' AND a.oid = ANY(pg_catalog.string_to_array($1::text, ',')::pg_catalog.oid[])"
)
"""Of some types, by their numbers, those that are arrays of an enum."""
MONEY_DIGITS: Final = "SELECT scale(1::money::numeric)"
_STALE: Final = (
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
    asyncpg.InvalidSQLStatementNameError,
)
"""What a prepared statement meets whose tables were changed, or that somebody deallocated. It has not run."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A prepared statement, with what converts its values."""

    prepared: PreparedStatement[asyncpg.Record]
    parameters: Callable[[Sequence[Variant]], list[Any]]
    rows: Callable[[Sequence[Any]], list[list[Record]]]


class Session:
    """A connection.

    Attributes:
        connection: asyncpg's.
    """

    def __init__(self, connection: Connection, values: Values, statements_max: int) -> None:
        self.connection = connection
        self._values = values
        self._statements_max = statements_max
        self._statements: OrderedDict[str, Statement] = OrderedDict()
        self._interrupted = False

    @staticmethod
    async def connect(
        config: PostgresConfig, tls: ssl.SSLContext | None, application_name: str, values: Values
    ) -> Session:
        """Connects. What asyncpg would take from the environment is given, so that nothing of it counts.

        Raises:
            Exception: What asyncpg raises.
        """
        place = config.place
        settings = {"application_name": application_name}
        if config.statement_timeout_ms:
            settings["statement_timeout"] = str(config.statement_timeout_ms)
        if config.search_path:
            settings["search_path"] = config.search_path
        connection: Connection = await asyncpg.connect(
            host=place.host, port=place.port, user=place.user, password=place.password,
            database=place.database, ssl=tls or False,
            timeout=config.connect_ms / 1000, server_settings=settings,
            statement_cache_size=config.statement_cache, target_session_attrs=SessionAttribute.any,
        )  # fmt: skip
        try:
            await values.register(connection)
        except BaseException:
            connection.terminate()
            raise
        return Session(connection, values, config.statement_cache)

    @property
    def closed(self) -> bool:
        return self.connection.is_closed()

    @property
    def in_transaction(self) -> bool:
        return self.connection.is_in_transaction()

    async def query(self, sql: str, params: Sequence[Variant]) -> list[list[Record]]:
        """Runs a statement, and returns its rows.

        Raises:
            Misfit: The parameters do not fit.
            Unsupported: It has a type that has no values.
            Exception: What asyncpg raises.
        """

        async def run(statement: Statement) -> list[list[Record]]:
            return statement.rows(await statement.prepared.fetch(*statement.parameters(params)))

        return await self._prepared(sql, run)

    async def execute(self, sql: str, params: Sequence[Variant]) -> int:
        """Likewise, and returns how many rows it affected."""

        async def run(statement: Statement) -> int:
            await statement.prepared.fetch(*statement.parameters(params))
            return affected(statement.prepared.get_statusmsg() or "")

        return await self._prepared(sql, run)

    async def batch(self, script: str) -> None:
        """Runs any number of statements, none too."""
        await self.command(script + NOTHING)

    async def command(self, sql: str) -> str:
        """Runs a statement without parameters, and returns its tag."""
        with self._minding_interruption():
            return await self.connection.execute(sql)

    async def prepare(self, sql: str) -> Statement:
        """A statement, prepared now or before."""
        statement = self._statements.get(sql)
        if statement is None:
            prepared = await self.connection.prepare(sql)
            await self._learn(prepared)
            statement = Statement(
                prepared,
                self._values.parameters(prepared.get_parameters()),
                self._values.rows(prepared.get_attributes()),
            )
            self._statements[sql] = statement
            while len(self._statements) > self._statements_max:
                self._statements.popitem(last=False)
        else:
            self._statements.move_to_end(sql)
        return statement

    async def _learn(self, prepared: PreparedStatement[asyncpg.Record]) -> None:
        columns = (column.type for column in prepared.get_attributes())
        arrays = self._values.unknown_arrays([*prepared.get_parameters(), *columns])
        if arrays:
            rows = await self.connection.fetch(ENUM_ARRAYS, ",".join(map(str, arrays)))
            self._values.learn(arrays, {int(row[0]) for row in rows})

    async def _prepared(self, sql: str, run: Callable[[Statement], Awaitable[T]]) -> T:
        """Runs a statement; one that is stale is prepared anew, once, outside of transactions."""
        known = sql in self._statements
        with self._minding_interruption():
            try:
                return await run(await self.prepare(sql))
            except _STALE:
                self._statements.pop(sql, None)
                if not known or self.in_transaction:
                    raise
            return await run(await self.prepare(sql))

    @contextmanager
    def _minding_interruption(self) -> Iterator[None]:
        try:
            yield
        except asyncio.CancelledError:
            self._interrupted = True  # asyncpg has the server cancel the statement
            raise

    async def clean(self) -> None:
        """Waits for what is being cancelled, rolls back, and takes back what was set."""
        if self._interrupted or self.in_transaction:  # after a cancel nothing is known yet of the transaction
            await self.connection.execute("ROLLBACK")
            self._interrupted = False
        await self.connection.execute(CLEAN)

    async def close(self, timeout_s: float) -> None:
        """Says good-bye, or hangs up."""
        try:
            await self.connection.close(timeout=timeout_s)
        except Exception:
            self.connection.terminate()

    def terminate(self) -> None:
        """Hangs up."""
        self.connection.terminate()


def affected(status: str) -> int:
    """The rows that a command's tag counts: `INSERT 0 5`, `UPDATE 5`; 0 where it counts none."""
    last = status.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0
