"""A link's connections: lent clean, cancelled with their calls, made when needed, and never left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from postgres_databases import activity, beside, config_of, connections
from postgres_server import PostgresServer

from lath.codec import Variant
from lath.errors import ConnectionLost, DeadlineExceeded, LathError, LinkFailed, NotFound
from lath.model import LinkSelector
from lath.provider import OpError
from lath.testing import eventually
from lath.testing.postgres_contract import QUERY, Database, Opened, int8, refused, text
from lath.testing.provider import ProviderTest
from lath_providers.postgres.session import Session, Statement

from .conftest import Linking

ALL = LinkSelector()
SLEEP = "SELECT pg_sleep(60)"


async def sleepers(server: PostgresServer, name: str) -> int:
    """How many statements sleep on the server."""
    return sum(
        1 for state, statement in await activity(server, name) if state == "active" and statement == SLEEP
    )


async def test_a_call_that_runs_into_its_deadline_ends_its_statement_on_the_server(
    linking: Linking, postgres: PostgresServer
) -> None:
    database = await linking()
    with pytest.raises(DeadlineExceeded):
        await database.queries.within(300).call(QUERY, "query", SLEEP, [])
    await eventually(lambda: _none_sleep(postgres, linking.name))
    assert await database.query("SELECT 1 AS n") == [{"n": Variant("int4", 1)}]


async def test_a_call_that_is_cancelled_ends_its_statement_on_the_server(
    linking: Linking, postgres: PostgresServer
) -> None:
    database = await linking(pool_max="1")
    call = asyncio.ensure_future(database.query(SLEEP))

    async def sleeps() -> bool:
        return await sleepers(postgres, linking.name) == 1

    await eventually(sleeps)
    call.cancel()
    await asyncio.wait({call})
    await eventually(lambda: _none_sleep(postgres, linking.name))
    assert await database.query("SELECT 1 AS n") == [{"n": Variant("int4", 1)}]


async def test_a_transaction_whose_call_was_cancelled_is_rolled_back(linking: Linking) -> None:
    database = await linking()
    await database.batch("CREATE TABLE kept (id bigint)")
    transaction = await database.begin()
    await transaction.exec("INSERT INTO kept VALUES (1)")
    hurried = Opened(database.transactions.within(300), transaction.handle)

    async def gone() -> bool:
        try:
            await hurried.query(SLEEP)
        except DeadlineExceeded:
            return False
        except NotFound:
            return True
        raise AssertionError("it slept for a minute")

    await eventually(gone)
    assert await database.count("kept") == 0


async def test_the_server_ends_a_statement_that_takes_longer_than_the_link_allows(linking: Linking) -> None:
    database = await linking(statement_timeout_ms="100")
    error = await refused(database.query(SLEEP))
    assert error.case == "unexpected"
    assert error.payload.startswith("57014: ")


async def test_what_a_call_sets_is_gone_in_the_next(linking: Linking) -> None:
    database = await linking(pool_max="1")
    await database.batch("CREATE ROLE nobody_special")
    for change in (
        "SET search_path TO pg_catalog",
        "SET ROLE nobody_special",
        "SELECT set_config('my.secret', 'mine', false) AS n",
        "CREATE TEMP TABLE mine (id int)",
        "SELECT pg_advisory_lock(7) AS n",
    ):
        await database.query(change)
        (row,) = await database.query(
            "SELECT current_user::text AS role, current_setting('search_path') AS path,"
            " coalesce(current_setting('my.secret', true), '') AS secret,"
            " to_regclass('pg_temp.mine')::text AS mine,"
            " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory') AS locks"
        )
        assert row == {
            "role": text("lath"), "path": text('"$user", public'), "secret": text(""),
            "mine": Variant("null"), "locks": int8(0),
        }, change  # fmt: skip


@pytest.mark.parametrize("script", ["BEGIN", "CREATE TABLE t (id int); BEGIN; INSERT INTO t VALUES (1)"])
async def test_a_transaction_that_is_left_open_is_an_error_and_rolled_back(
    database: Database, script: str
) -> None:
    call = database.batch if ";" in script else database.query
    error = await refused(call(script))
    assert error.case == "unexpected"
    assert "lath:postgres/transactions" in error.payload
    await database.query("SELECT 1 AS n")


async def test_a_statement_goes_on_after_its_table_changed(linking: Linking) -> None:
    database = await linking(pool_max="1")
    await database.batch("CREATE TABLE kept (id bigint); INSERT INTO kept VALUES (1)")
    assert await database.query("SELECT * FROM kept") == [{"id": int8(1)}]
    await database.batch("ALTER TABLE kept ADD COLUMN words text")
    assert await database.query("SELECT * FROM kept") == [{"id": int8(1), "words": Variant("null")}]
    await database.batch("DEALLOCATE ALL")
    assert await database.query("SELECT * FROM kept") == [{"id": int8(1), "words": Variant("null")}]


async def test_an_extension_that_a_component_makes_is_there_at_once(linking: Linking) -> None:
    database = await linking(pool_max="1")
    await database.query("SELECT 1 AS n")
    await database.batch("CREATE EXTENSION hstore; CREATE TYPE mood AS ENUM ('sad', 'happy')")
    given = Variant("hstore", [("a", None), ("b", "1")])
    assert await database.query("SELECT $1::hstore AS h", given) == [{"h": given}]
    assert await database.query("SELECT $1::mood AS m", text("sad")) == [{"m": text("sad")}]
    error = await refused(database.query("SELECT $1::mood AS m", text("angry")))
    assert error.case == "invalid-params"
    assert error.payload.startswith("22P02: ")


async def test_no_more_connections_are_made_than_the_link_allows(
    linking: Linking, postgres: PostgresServer
) -> None:
    database = await linking(pool_max="3", pool_wait_ms="20000")
    await asyncio.gather(*(database.query("SELECT pg_sleep(0.01)") for _ in range(30)))
    assert await connections(postgres, linking.name) <= 3


async def test_a_call_that_finds_no_free_connection_is_told_so(linking: Linking) -> None:
    database = await linking(pool_max="1", pool_wait_ms="50")
    transaction = await database.begin()
    error = await refused(database.begin())
    assert error == Variant(
        "unexpected", "all 1 connections of the link are in use, and none became free within 50 ms"
    )
    await transaction.rollback()
    again = await database.begin()
    await again.commit()


async def test_unused_connections_are_closed(linking: Linking, postgres: PostgresServer) -> None:
    database = await linking(idle_ms="50")
    await database.query("SELECT 1 AS n")

    async def none() -> bool:
        return await connections(postgres, linking.name) == 0

    await eventually(none)
    await database.query("SELECT 1 AS n")


async def test_a_link_that_is_not_called_holds_no_connection_and_names_those_that_it_makes(
    linking: Linking, postgres: PostgresServer
) -> None:
    database = await linking()

    async def named(*names: str) -> bool:
        async with beside(postgres) as connection:
            rows = await connection.fetch(
                "SELECT application_name AS name FROM pg_stat_activity"
                " WHERE datname = $1 AND backend_type = 'client backend'",
                linking.name,
            )
        return sorted(row["name"] for row in rows) == list(names)

    await eventually(lambda: named())
    await database.query("SELECT 1 AS n")
    assert await named("lath app default")


class LateEnd:
    """Passes connections to a server on, and keeps to itself that the server has ended one."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._ways: set[asyncio.Task[None]] = set()
        self.ended = asyncio.Event()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Its port."""
        listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield listener.sockets[0].getsockname()[1]
        finally:
            listener.close()
            for way in self._ways:
                way.cancel()
            await asyncio.gather(*self._ways, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server.port)
        self._ways.add(asyncio.create_task(self._pass_on(reader, to_server)))
        self._ways.add(asyncio.create_task(self._pass_on(from_server, writer, self.ended)))

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ended: asyncio.Event | None = None
    ) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
            if ended is not None:
                ended.set()
                await asyncio.Event().wait()
        finally:
            writer.transport.abort()


async def test_a_connection_that_is_ended_between_two_statements_fails_its_call_and_the_link_heals(
    linking: Linking, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server said last has been read by then, and the connection's end has not."""
    relay = LateEnd(postgres)
    prepare = Session.prepare

    async def end(pid: int) -> None:
        async with beside(postgres) as connection:
            await connection.execute("SELECT pg_terminate_backend($1)", pid)

    async def ended_then(session: Session, sql: str) -> Statement:
        statement = await prepare(session, sql)
        await asyncio.create_task(end(session.connection.get_server_pid()))  # not as a part of the call
        await relay.ended.wait()
        for _ in range(10):
            await asyncio.sleep(0)  # turns in which what was passed on is read
        return statement

    async with relay.serving() as port:
        database = await linking(port=str(port))
        await database.query("SELECT 1 AS n")
        with monkeypatch.context() as patch:
            patch.setattr(Session, "prepare", ended_then)
            with pytest.raises((ConnectionLost, LinkFailed)):
                await database.query("SELECT 2 AS n")

        async def works() -> bool:
            with suppress(LathError, OpError):
                return await database.query("SELECT 3 AS n") == [{"n": Variant("int4", 3)}]
            return False

        await eventually(works)


async def test_a_connection_that_the_server_ends_fails_its_call_and_the_link_heals(
    linking: Linking, postgres: PostgresServer, provider: ProviderTest
) -> None:
    database = await linking()
    call = asyncio.ensure_future(database.query(SLEEP))

    async def ended() -> Any:
        async with beside(postgres) as connection:
            return await connection.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = $1 AND datname = $2",
                SLEEP, linking.name,
            )  # fmt: skip

    await eventually(ended)
    with pytest.raises(Exception, match=r"57P01|closed"):
        await call

    async def works() -> bool:
        try:
            await database.query("SELECT 1 AS n")
        except Exception:
            return False
        return True

    await eventually(works)


async def test_neither_reasons_nor_values_nor_logs_tell_a_password(
    provider: ProviderTest, postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "s3cr3t-w0rd"
    for config in (
        {"url": f"postgres://lath:{secret}@127.0.0.1:{postgres.port}/postgres"},
        {"url": f"postgres://lath:{secret}@127.0.0.1:1/postgres"},
        {"url": f"postgres://lath:{secret}@127.0.0.1:notaport/postgres"},
        {"url": f"mysql://lath:{secret}@127.0.0.1/postgres"},
        {"url": f"postgres://lath:{secret}@127.0.0.1/postgres?sslmode=off"},
        {**config_of(postgres, "nowhere"), "password": secret},
        {**config_of(postgres, "nowhere"), "password": secret, "pool_max": "none"},
    ):
        link = await provider.put(namespace="wasmcloud", package="postgres", config=config)
        held = await provider.settled(link)
        assert held.state == "failed"
        assert secret not in str(held)
        assert secret not in str(provider.instance.values(link.key))
    assert secret not in caplog.text


def _none_sleep(server: PostgresServer, name: str) -> Any:
    async def none() -> bool:
        return await sleepers(server, name) == 0

    return none()
