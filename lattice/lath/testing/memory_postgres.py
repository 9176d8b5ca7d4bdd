"""wasmcloud:postgres on SQLite in memory, for tests: of components, and of the contract itself.

It speaks SQLite's SQL, and has four types: numbers of 64 bits are `int8`, doubles `float8`, text `text`, and
bytes `bytea`. Link config: `database`: links that name one share it; by default each link has one of its own.
A transaction has its database for itself, and everybody else waits.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict

from lath.codec import Record, Resource, Variant
from lath.provider import Call, Link, OpError, Provider, operation

T = TypeVar("T")

QUERY = "wasmcloud:postgres/query@0.1.1-draft"
PREPARED = "wasmcloud:postgres/prepared@0.1.1-draft"
TRANSACTIONS = "lath:postgres/transactions@1.0.0"

NULL: Final = Variant("null")
TOKEN_PREFIX: Final = "sql:"
_PARAMETER: Final = re.compile(r"'(?:[^']|'')*'|\$(\d+)")
"""A literal, which is passed over, or a parameter."""
_INTEGERS: Final = frozenset({"int8", "big-int", "int4", "integer", "int", "int2", "small-int"})


class MemoryPostgresConfig(BaseModel):
    """See the module."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: str = ""


class MemoryDatabase:
    """A database, in a thread of its own."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="memory-postgres")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        self._connection = await self._do(
            lambda: sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        )

    async def close(self) -> None:
        if self._connection is not None:
            await self._do(self._connection.close)
        self._thread.shutdown(wait=False)

    async def run(self, sql: str, params: Sequence[Variant]) -> tuple[list[list[Record]], int]:
        """The rows of a statement, and how many it affected.

        Raises:
            OpError: With a `query-error`.
        """
        given = [_to_sqlite(param) for param in params]
        wanted = max((int(found[1]) for found in _PARAMETER.finditer(sql) if found[1]), default=0)
        if len(given) != wanted:
            raise OpError(Variant("invalid-params", f"{wanted} parameters are wanted, {len(given)} given"))

        def execute() -> tuple[list[list[Record]], int]:
            assert self._connection is not None
            cursor = self._connection.execute(sql, {str(n): value for n, value in enumerate(given, 1)})
            names = [each[0] for each in cursor.description or ()]
            rows = [
                [
                    Record(column_name=name, value=_of_sqlite(value))
                    for name, value in zip(names, row, strict=True)
                ]
                for row in cursor.fetchall()
            ]
            return rows, max(cursor.rowcount, 0)

        return await self._told(execute)

    async def script(self, sql: str) -> None:
        """Runs any number of statements, all or none."""

        def execute() -> None:
            assert self._connection is not None
            try:
                self._connection.executescript(f"BEGIN; {sql}\n; COMMIT")
            finally:
                self._connection.rollback()

        await self._told(execute)

    async def command(self, sql: str) -> None:
        """Runs a statement that has neither parameters nor rows."""

        def execute() -> None:
            assert self._connection is not None
            self._connection.execute(sql)

        await self._told(execute)

    async def check(self, sql: str) -> None:
        """Compiles a statement without running it."""
        wanted = {found[1]: None for found in _PARAMETER.finditer(sql) if found[1]}

        def execute() -> None:
            assert self._connection is not None
            self._connection.execute(f"EXPLAIN {sql}", wanted)

        await self._told(execute)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """A transaction, committed at the end; undone where the block raises."""
        async with self.turn:
            await self.command("BEGIN")
            try:
                yield
                await self.command("COMMIT")
            except BaseException:
                await self.command("ROLLBACK")
                raise

    async def _told(self, work: Callable[[], T]) -> T:
        try:
            return await self._do(work)
        except sqlite3.IntegrityError as error:
            raise OpError(Variant("unexpected", f"23000: {error}")) from error
        except (sqlite3.OperationalError, sqlite3.ProgrammingError) as error:
            raise OpError(Variant("invalid-query", f"42000: {error}")) from error

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _to_sqlite(value: Variant) -> Any:
    if value.case == "null":
        return None
    if value.case in _INTEGERS or value.case in ("text", "bytea"):
        return value.payload
    if value.case == "float8":
        mantissa, exponent, sign = value.payload
        return sign * mantissa * 2.0**exponent
    raise OpError(Variant("invalid-params", f"{value.case} has no place in memory"))


def _of_sqlite(value: Any) -> Variant:
    match value:
        case None:
            return NULL
        case int():
            return Variant("int8", value)
        case float():
            return Variant("float8", _parts(value))
        case str():
            return Variant("text", value)
        case _:
            return Variant("bytea", value)


def _parts(number: float) -> tuple[int, int, int]:
    (bits,) = struct.unpack(">Q", struct.pack(">d", number))
    exponent = bits >> 52 & 0x7FF
    fraction = bits & (1 << 52) - 1
    mantissa = fraction | 1 << 52 if exponent else fraction << 1
    return mantissa, exponent - 1075, -1 if bits >> 63 else 1


class MemoryTransaction:
    """A transaction that is open: it has its database until it ends."""

    def __init__(self, database: MemoryDatabase) -> None:
        self.database = database
        self.failed = False
        self.ended = False

    async def run(self, sql: str, params: Sequence[Variant]) -> tuple[list[list[Record]], int]:
        if self.failed:
            raise OpError(Variant("unexpected", "25P02: a statement of the transaction has failed"))
        try:
            return await self.database.run(sql, params)
        except BaseException:
            self.failed = True
            raise

    async def end(self, how: str = "ROLLBACK") -> None:
        """Ends it, once."""
        if self.ended:
            return
        self.ended = True
        await self.database.command("ROLLBACK" if self.failed else how)
        self.database.turn.release()


class MemoryPostgres(Provider):
    """wasmcloud:postgres in memory. What was stored outlives links, not the provider."""

    def __init__(self) -> None:
        self._databases: dict[str, MemoryDatabase] = {}
        self._open: dict[str, list[tuple[MemoryTransaction, Resource]]] = {}

    async def open_link(self, link: Link) -> MemoryDatabase:
        name = link.config_as(MemoryPostgresConfig).database or link.key
        if name not in self._databases:
            database = self._databases[name] = MemoryDatabase()
            await database.open()
        return self._databases[name]

    async def close_link(self, link: Link, database: MemoryDatabase) -> None:
        for transaction, handle in self._open.pop(link.key, []):
            self.context.pins.unpin(handle)
            await transaction.end()

    async def stop(self) -> None:
        for database in self._databases.values():
            await database.close()

    # --- wasmcloud:postgres --------------------------------------------------------------------------

    @operation(QUERY)
    async def query(
        self, call: Call[MemoryDatabase], query: str, params: list[Variant]
    ) -> list[list[Record]]:
        async with call.held.turn:
            rows, _ = await call.held.run(query, params)
            return rows

    @operation(QUERY)
    async def query_batch(self, call: Call[MemoryDatabase], query: str) -> None:
        async with call.held.turn:
            await call.held.script(query)

    @operation(PREPARED)
    async def prepare(self, call: Call[MemoryDatabase], statement: str) -> str:
        try:
            async with call.held.turn:
                await call.held.check(statement)
        except OpError as error:
            raise OpError(Variant("unexpected", error.payload.payload)) from error
        return TOKEN_PREFIX + statement

    @operation(PREPARED)
    async def exec(self, call: Call[MemoryDatabase], stmt_token: str, params: list[Variant]) -> int:
        if not stmt_token.startswith(TOKEN_PREFIX):
            raise OpError(Variant("unknown-prepared-query"))
        try:
            async with call.held.turn:
                _, count = await call.held.run(stmt_token.removeprefix(TOKEN_PREFIX), params)
                return count
        except OpError as error:
            raise OpError(Variant("query-error", error.payload)) from error

    # --- lath:postgres -------------------------------------------------------------------------------

    @operation(TRANSACTIONS)
    async def run(
        self, call: Call[MemoryDatabase], statements: list[Any], options: Any
    ) -> list[list[list[Record]]]:
        results = []
        async with call.held.alone():
            for number, statement in enumerate(statements, 1):
                try:
                    rows, _ = await call.held.run(statement["query"], statement["params"])
                except OpError as error:
                    told = error.payload
                    raise OpError(Variant(told.case, f"statement {number}: {told.payload}")) from error
                results.append(rows)
        return results

    @operation(TRANSACTIONS)
    async def begin(self, call: Call[MemoryDatabase], options: Any) -> Resource:
        await call.held.turn.acquire()
        try:
            await call.held.command("BEGIN")
        except BaseException:
            call.held.turn.release()
            raise
        transaction = MemoryTransaction(call.held)
        handle = self.context.pins.pin(transaction, transaction.end)
        self._open.setdefault(call.link.key, []).append((transaction, handle))
        return handle

    @operation(TRANSACTIONS, "[method]transaction.query")
    async def query_within(
        self, call: Call[MemoryDatabase], transaction: Resource, query: str, params: list[Variant]
    ) -> list[list[Record]]:
        rows, _ = await self._found(transaction).run(query, params)
        return rows

    @operation(TRANSACTIONS, "[method]transaction.exec")
    async def exec_within(
        self, call: Call[MemoryDatabase], transaction: Resource, query: str, params: list[Variant]
    ) -> int:
        _, count = await self._found(transaction).run(query, params)
        return count

    @operation(TRANSACTIONS, "[method]transaction.commit")
    async def commit(self, call: Call[MemoryDatabase], transaction: Resource) -> None:
        found = self._found(transaction)
        self.context.pins.unpin(transaction)
        await found.end("COMMIT")
        if found.failed:
            raise OpError(Variant("unexpected", "25P02: a statement of the transaction had failed"))

    @operation(TRANSACTIONS, "[method]transaction.rollback")
    async def rollback(self, call: Call[MemoryDatabase], transaction: Resource) -> None:
        found = self._found(transaction)
        self.context.pins.unpin(transaction)
        await found.end()

    def _found(self, handle: Resource) -> MemoryTransaction:
        return self.context.pins.find(handle, MemoryTransaction)


if __name__ == "__main__":
    MemoryPostgres.main()
