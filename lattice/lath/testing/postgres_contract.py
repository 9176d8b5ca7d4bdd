"""What every provider of wasmcloud:postgres and lath:postgres must do: a suite of tests to subclass.

    class TestMine(PostgresContract):
        def make_provider(self) -> Provider:
            return Mine()

        def link_config(self) -> dict[str, str]:
            return {"url": self.url_of_an_empty_database}

It asks only what SQL databases have in common: numbers of 64 bits, doubles, text and bytes, in tables. Each
test runs the provider on a real bus and calls it by links and through the codec, as a host does.
pytest-asyncio has to be in its automatic mode.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import Any, Final

import pytest
from pytest_asyncio import fixture

from lath import subjects
from lath.bus import Bus
from lath.codec import ComponentHandle, Resource, Variant
from lath.codec.handles import pack_tokens
from lath.errors import InvalidArgument, LathError, LinkNotFound, NotFound
from lath.provider import OpError
from lath.testing import eventually
from lath.testing.contract import ProviderContract
from lath.testing.provider import Linked, ProviderTest

QUERY: Final = "wasmcloud:postgres/query"
PREPARED: Final = "wasmcloud:postgres/prepared"
TRANSACTIONS: Final = "lath:postgres/transactions"
READ_WRITE: Final = {"isolation": "serializable", "read-only": False}
NULL: Final = Variant("null")
GONE_S: Final = 15.0
"""How long a test waits for a transaction to end."""
INJECTION: Final = "'; DROP TABLE kept; --"
HOSTILE_TEXTS: Final = (
    "", " ", "'", "''", '"', "\\", "\\'", INJECTION, "$1", "%s", "ключ", "🔑", "e\u0301", "a\nb",
    "x" * 64 * 1024,
)  # fmt: skip
"""Strings that must stay what they are."""


def int8(number: int) -> Variant:
    return Variant("int8", number)


def text(words: str) -> Variant:
    return Variant("text", words)


class Database:
    """A database in a component's hands, by two links: one for queries, one for transactions.

    Attributes:
        queries: The link to `wasmcloud:postgres`.
        transactions: The link to `lath:postgres`.
    """

    def __init__(self, queries: Linked, transactions: Linked) -> None:
        self.queries = queries
        self.transactions = transactions

    async def query(self, sql: str, *params: Variant) -> list[dict[str, Any]]:
        """The rows of a statement, each as a dict of its columns."""
        rows = await self.queries.call(QUERY, "query", sql, list(params))
        return [{entry.column_name: entry.value for entry in row} for row in rows]

    async def batch(self, script: str) -> None:
        await self.queries.call(QUERY, "query-batch", script)

    async def prepare(self, sql: str) -> str:
        token: str = await self.queries.call(PREPARED, "prepare", sql)
        return token

    async def exec(self, token: str, *params: Variant) -> int:
        count: int = await self.queries.call(PREPARED, "exec", token, list(params))
        return count

    async def begin(self, **options: Any) -> Opened:
        handle = await self.transactions.call(TRANSACTIONS, "begin", {**READ_WRITE, **options})
        return Opened(self.transactions, handle)

    async def run(self, *statements: tuple[str, list[Variant]]) -> list[Any]:
        given = [{"query": sql, "params": params} for sql, params in statements]
        results: list[Any] = await self.transactions.call(TRANSACTIONS, "run", given, READ_WRITE)
        return results

    async def count(self, table: str) -> int:
        """The rows of a table."""
        ((value,),) = [row.values() for row in await self.query(f"SELECT count(*) AS n FROM {table}")]
        number: int = value.payload
        return number


class Opened:
    """A transaction that is open."""

    def __init__(self, linked: Linked, handle: Resource) -> None:
        self.linked = linked
        self.handle = handle

    async def query(self, sql: str, *params: Variant) -> list[dict[str, Any]]:
        rows = await self._method("query", sql, list(params))
        return [{entry.column_name: entry.value for entry in row} for row in rows]

    async def exec(self, sql: str, *params: Variant) -> int:
        count: int = await self._method("exec", sql, list(params))
        return count

    async def until_gone(self) -> None:
        """Waits until the provider knows nothing of it any more."""
        async with asyncio.timeout(GONE_S):
            with contextlib.suppress(NotFound):
                while True:
                    await self.query("SELECT 1 AS n")

    async def commit(self) -> None:
        await self._method("commit")

    async def rollback(self) -> None:
        await self._method("rollback")

    async def dropped(self, bus: Bus) -> None:
        """Tells, as a host does, that nobody holds the handle any more."""
        at = ComponentHandle.parse(self.handle.data)
        source = self.linked.link.source_id
        subject = subjects.handle_notice(
            bus.lattice, at.component, at.instance, source, subjects.RELEASE_FUNCTION
        )
        await bus.nc.publish(subject, pack_tokens([at.token]))

    async def _method(self, name: str, *args: Any) -> Any:
        return await self.linked.call(TRANSACTIONS, f"[method]transaction.{name}", self.handle, *args)


async def refused(call: Any) -> Variant:
    """The error that a call answers."""
    with pytest.raises(OpError) as caught:
        await call
    error: Variant = caught.value.payload
    return error


class PostgresContract(ProviderContract):
    """The suite. A subclass says what is tested, and may add tests of its own with the same fixtures."""

    def link_config(self) -> dict[str, str]:
        """The target config of a link to an empty database; to another one each time it is called."""
        raise TypeError(f"{type(self).__name__} defines no link_config(self)")

    @fixture
    async def database(self, running: ProviderTest) -> Database:
        """An empty database, with a table `kept (id bigint primary key, words text)`."""
        database = await self.open(running)
        await database.batch("CREATE TABLE kept (id bigint PRIMARY KEY, words text)")
        return database

    async def open(self, running: ProviderTest, name: str = "default") -> Database:
        config = self.link_config()
        queries = await running.link(name=name, namespace="wasmcloud", package="postgres", config=config)
        transactions = await running.link(
            source=f"{queries.link.source_id}", name=name, namespace="lath", package="postgres", config=config
        )
        return Database(queries, transactions)

    # --- queries -------------------------------------------------------------------------------------

    async def test_rows_come_with_their_columns_in_order(self, database: Database) -> None:
        await database.query("INSERT INTO kept VALUES ($1, $2), ($3, $4)", int8(1), text("a"), int8(2), NULL)
        rows = await database.queries.call(QUERY, "query", "SELECT words, id FROM kept ORDER BY id", [])
        shown = [[(entry.column_name, entry.value) for entry in row] for row in rows]
        assert shown == [
            [("words", text("a")), ("id", int8(1))],
            [("words", NULL), ("id", int8(2))],
        ]

    async def test_a_statement_without_rows_returns_none(self, database: Database) -> None:
        assert await database.query("SELECT id FROM kept") == []
        assert await database.query("INSERT INTO kept VALUES (1, 'a')") == []

    async def test_numbers_text_and_bytes_come_back_as_they_were(self, database: Database) -> None:
        await database.batch("CREATE TABLE things (number bigint, real double precision, data bytea)")
        values = (int8(-(2**63)), Variant("float8", (0x18000000000000, -51, -1)), Variant("bytea", b"\0\xff"))
        await database.query("INSERT INTO things VALUES ($1, $2, $3)", *values)
        (row,) = await database.query("SELECT number, real, data FROM things")
        assert tuple(row.values()) == values

    async def test_hostile_text_stays_what_it_is(self, database: Database) -> None:
        for number, words in enumerate(HOSTILE_TEXTS):
            await database.query("INSERT INTO kept VALUES ($1, $2)", int8(number), text(words))
        rows = await database.query("SELECT words FROM kept ORDER BY id")
        assert [row["words"].payload for row in rows] == list(HOSTILE_TEXTS)
        (found,) = await database.query("SELECT count(*) AS n FROM kept WHERE words = $1", text(INJECTION))
        assert found["n"].payload == 1

    async def test_a_malformed_statement_is_an_invalid_query(self, database: Database) -> None:
        error = await refused(database.query("SELEKT 1"))
        assert error.case == "invalid-query"
        assert "SELEKT" in error.payload
        assert (await refused(database.query("SELECT id FROM nowhere"))).case == "invalid-query"

    async def test_several_statements_in_one_query_are_refused_and_none_runs(
        self, database: Database
    ) -> None:
        script = "INSERT INTO kept VALUES (1, 'a'); DELETE FROM kept"
        assert (await refused(database.query(script))).case == "invalid-query"
        assert await database.count("kept") == 0

    async def test_missing_and_surplus_parameters_are_invalid(self, database: Database) -> None:
        for params in ([], [int8(1)], [int8(1), text("a"), text("b")]):
            error = await refused(database.query("INSERT INTO kept VALUES ($1, $2)", *params))
            assert error.case == "invalid-params"
        assert await database.count("kept") == 0

    async def test_a_duplicate_key_is_an_error_in_words_and_changes_nothing(self, database: Database) -> None:
        await database.query("INSERT INTO kept VALUES (1, 'a')")
        error = await refused(database.query("INSERT INTO kept VALUES (1, 'b')"))
        assert error.case == "unexpected"
        assert "kept" in error.payload
        assert await database.query("SELECT words FROM kept") == [{"words": text("a")}]

    async def test_a_batch_runs_all_its_statements(self, database: Database) -> None:
        await database.batch("INSERT INTO kept VALUES (1, 'a'); INSERT INTO kept VALUES (2, 'b;'); ")
        assert await database.count("kept") == 2
        await database.batch("")
        assert (await refused(database.batch("SELEKT 1"))).case == "invalid-query"

    async def test_calls_at_once_all_happen(self, database: Database) -> None:
        insert = "INSERT INTO kept VALUES ($1, $2)"
        await asyncio.gather(*(database.query(insert, int8(n), text("x")) for n in range(40)))
        assert await database.count("kept") == 40

    # --- prepared statements -------------------------------------------------------------------------

    async def test_a_prepared_statement_runs_as_often_as_asked(self, database: Database) -> None:
        insert = await database.prepare("INSERT INTO kept VALUES ($1, $2)")
        assert [await database.exec(insert, int8(n), text("a")) for n in range(3)] == [1, 1, 1]
        update = await database.prepare("UPDATE kept SET words = $1")
        assert await database.exec(update, text("b")) == 3
        assert await database.exec(await database.prepare("DELETE FROM kept")) == 3

    async def test_what_cannot_be_prepared_says_why(self, database: Database) -> None:
        error = await refused(database.prepare("SELEKT 1"))
        assert error.case == "unexpected"
        assert "SELEKT" in error.payload

    async def test_a_token_that_nobody_gave_is_unknown(self, database: Database) -> None:
        assert await refused(database.exec("made up")) == Variant("unknown-prepared-query")

    async def test_the_errors_of_a_prepared_statement_are_those_of_a_query(self, database: Database) -> None:
        insert = await database.prepare("INSERT INTO kept VALUES ($1, $2)")
        error = await refused(database.exec(insert, int8(1)))
        assert (error.case, error.payload.case) == ("query-error", "invalid-params")

    # --- transactions --------------------------------------------------------------------------------

    async def test_what_is_committed_stands(self, database: Database) -> None:
        transaction = await database.begin()
        assert await transaction.exec("INSERT INTO kept VALUES ($1, $2)", int8(1), text("a")) == 1
        assert await transaction.query("SELECT words FROM kept") == [{"words": text("a")}]
        await transaction.commit()
        assert await database.count("kept") == 1

    async def test_what_is_rolled_back_has_not_happened(self, database: Database) -> None:
        transaction = await database.begin()
        await transaction.exec("INSERT INTO kept VALUES (1, 'a')")
        await transaction.rollback()
        assert await database.count("kept") == 0

    async def test_a_transaction_that_is_dropped_is_rolled_back(self, database: Database, bus: Bus) -> None:
        transaction = await database.begin()
        await transaction.exec("INSERT INTO kept VALUES (1, 'a')")
        await transaction.dropped(bus)

        await transaction.until_gone()
        assert await database.count("kept") == 0
        await database.query("INSERT INTO kept VALUES (1, 'b')")  # nothing is locked any more

    async def test_a_transaction_that_has_ended_is_not_found(self, database: Database) -> None:
        for end in ("commit", "rollback"):
            transaction = await database.begin()
            await getattr(transaction, end)()
            for call in (transaction.query("SELECT 1 AS n"), transaction.commit(), transaction.rollback()):
                with pytest.raises(NotFound):
                    await call

    async def test_a_failed_statement_lets_nothing_be_committed(self, database: Database) -> None:
        await database.query("INSERT INTO kept VALUES (1, 'a')")
        transaction = await database.begin()
        await transaction.exec("INSERT INTO kept VALUES (2, 'b')")
        assert "kept" in (await refused(transaction.exec("INSERT INTO kept VALUES (1, 'c')"))).payload
        assert (await refused(transaction.commit())).case == "unexpected"
        assert await database.count("kept") == 1

    async def test_statements_that_run_together_happen_together(self, database: Database) -> None:
        rows = await database.run(
            ("INSERT INTO kept VALUES ($1, $2)", [int8(1), text("a")]),
            ("SELECT words FROM kept", []),
        )
        assert [len(each) for each in rows] == [0, 1]
        assert rows[1][0][0].value == text("a")
        error = await refused(
            database.run(
                ("INSERT INTO kept VALUES ($1, $2)", [int8(2), text("b")]),
                ("INSERT INTO kept VALUES ($1, $2)", [int8(1), text("c")]),
            )
        )
        assert error.case == "unexpected"
        assert error.payload.startswith("statement 2: ")
        assert await database.count("kept") == 1
        assert await database.run() == []

    async def test_a_transaction_goes_with_its_link(self, database: Database, running: ProviderTest) -> None:
        transaction = await database.begin()
        await transaction.exec("INSERT INTO kept VALUES (1, 'a')")
        await running.delete(database.transactions.link)
        with pytest.raises(LathError):
            await transaction.commit()
        await eventually(lambda: len(running.instance.table) == 1)
        assert await database.count("kept") == 0

    async def test_a_forged_handle_is_refused(self, database: Database) -> None:
        real = ComponentHandle.parse((await database.begin()).handle.data)
        forged = (
            Resource(b""),
            Resource(bytes(real._replace(token=secrets.token_bytes(16)).to_wire().data), 2),
        )
        for handle in forged:
            with pytest.raises((InvalidArgument, NotFound)):
                await Opened(database.transactions, handle).query("SELECT 1 AS n")

    # --- links ---------------------------------------------------------------------------------------

    async def test_an_active_link_passes_its_check(self, running: ProviderTest, database: Database) -> None:
        assert await running.instance.check(database.queries.link.key) >= 0

    async def test_two_named_links_of_one_source_keep_apart(self, running: ProviderTest) -> None:
        one, other = await self.open(running, "one"), await self.open(running, "other")
        await one.batch("CREATE TABLE here (id bigint)")
        assert (await refused(other.query("SELECT id FROM here"))).case == "invalid-query"

    async def test_unknown_config_fails_the_link_naming_it(self, running: ProviderTest) -> None:
        link = await running.put(
            namespace="wasmcloud", package="postgres", config={**self.link_config(), "colour": "blue"}
        )
        held = await running.settled(link)
        assert held.state == "failed"
        assert "colour" in (held.error or "")

    async def test_what_no_link_allows_is_refused(self, running: ProviderTest) -> None:
        narrow = await running.link(
            namespace="wasmcloud", package="postgres", interfaces=("query",), config=self.link_config()
        )
        with pytest.raises(LinkNotFound):
            await narrow.call(PREPARED, "prepare", "SELECT 1 AS n")
