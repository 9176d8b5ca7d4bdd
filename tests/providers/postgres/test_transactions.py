"""Transactions on a real PostgreSQL: apart from each other, bounded in time, and never left open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from postgres_databases import activity, config_of
from postgres_server import PostgresServer
from pytest_asyncio import fixture

from lath.bus import Bus
from lath.codec import ComponentHandle, Variant
from lath.errors import LathError, NotFound
from lath.model import LinkSelector
from lath.server import Server
from lath.testing import eventually
from lath.testing.postgres_contract import Database, int8, refused
from lath.testing.process import ProviderProcess
from lath.testing.provider import ProviderTest
from lath_providers.postgres import Postgres

from .conftest import Linking

INSERT = "INSERT INTO kept VALUES ($1)"
CREATE = "CREATE TABLE kept (id bigint)"


@fixture
async def kept(database: Database) -> Database:
    await database.batch(CREATE)
    return database


async def none_open(server: PostgresServer, name: str) -> bool:
    """Whether the server has no transaction open in a database."""
    return not any("transaction" in state for state, _ in await activity(server, name))


async def test_others_do_not_see_what_is_not_committed(kept: Database) -> None:
    one, other = await kept.begin(), await kept.begin(isolation="read-committed")
    await one.exec(INSERT, int8(1))
    assert await kept.count("kept") == 0
    assert await other.query("SELECT id FROM kept") == []
    await one.commit()
    assert await other.query("SELECT id FROM kept") == [{"id": int8(1)}]
    await other.rollback()


async def test_of_two_that_cannot_both_have_happened_one_is_told_40001(kept: Database) -> None:
    one, other = await kept.begin(), await kept.begin()
    for transaction in (one, other):
        await transaction.query("SELECT count(*) AS n FROM kept")
        await transaction.exec(INSERT, int8(1))
    await one.commit()
    error = await refused(other.commit())
    assert error.case == "unexpected"
    assert error.payload.startswith("40001: ")
    assert await kept.count("kept") == 1


async def test_one_that_only_reads_changes_nothing(kept: Database) -> None:
    transaction = await kept.begin(**{"read-only": True})
    assert (await refused(transaction.exec(INSERT, int8(1)))).payload.startswith("25006: ")
    assert (await refused(transaction.commit())).payload.startswith("25P02: ")


async def test_statements_of_one_transaction_wait_for_each_other(kept: Database) -> None:
    transaction = await kept.begin()
    await asyncio.gather(*(transaction.exec(INSERT, int8(n)) for n in range(20)))
    await transaction.commit()
    assert await kept.count("kept") == 20


async def test_one_that_nobody_asks_anything_of_is_rolled_back(
    linking: Linking, postgres: PostgresServer
) -> None:
    database = await linking(transaction_idle_ms="200", pool_max="1", pool_wait_ms="15000")
    transaction = await database.begin()
    await database.begin()  # waits for the only connection
    with pytest.raises(NotFound):
        await transaction.commit()
    await eventually(lambda: none_open(postgres, linking.name))


async def test_a_commit_in_its_own_words_ends_it(kept: Database) -> None:
    transaction = await kept.begin()
    await transaction.exec(INSERT, int8(1))
    await transaction.query("COMMIT")
    with pytest.raises(NotFound):
        await transaction.exec(INSERT, int8(2))
    assert await kept.count("kept") == 1


async def test_a_purge_rolls_back_what_is_open(
    kept: Database, provider: ProviderTest, linking: Linking, postgres: PostgresServer
) -> None:
    transaction = await kept.begin()
    await transaction.exec(INSERT, int8(1))
    await provider.instance.purge(LinkSelector(), hold=False)
    with pytest.raises(NotFound):
        await transaction.commit()
    await eventually(lambda: none_open(postgres, linking.name))
    assert await kept.count("kept") == 0


async def test_a_handle_leads_to_the_instance_that_the_transaction_lives_in(
    bus: Bus, kept: Database, provider: ProviderTest
) -> None:
    async with ProviderTest(bus, Postgres()) as replica:
        await replica.settled(kept.transactions.link)
        opened = [await kept.begin(isolation="read-committed") for _ in range(6)]
        homes = {ComponentHandle.parse(each.handle.data).instance for each in opened}
        assert homes <= {provider.instance.instance_id, replica.instance.instance_id}
        for number, transaction in enumerate(opened):
            await transaction.exec(INSERT, int8(number))
        for transaction in opened:
            await transaction.commit()
        assert await kept.count("kept") == 6


@fixture
async def process(bus: Bus, nats_server: Server) -> AsyncIterator[ProviderProcess]:
    async with ProviderProcess(
        bus, nats_server.url, "lath_providers.postgres", _OnlyTransactions()
    ) as process:
        yield process


class _OnlyTransactions(Postgres):
    """What a link to the process is of."""


_OnlyTransactions.operations = {
    key: operation for key, operation in Postgres.operations.items() if key[0] == "lath"
}


async def test_a_killed_provider_leaves_nothing_open_and_commits_stand(
    process: ProviderProcess, postgres: PostgresServer, database_name: str
) -> None:
    linked = await process.link(config_of(postgres, database_name))
    database = Database(linked, linked)
    assert await database.run((CREATE, [])) == [[]]
    done = await database.begin()
    await done.exec(INSERT, int8(1))
    await done.commit()
    left = await database.begin()
    await left.exec(INSERT, int8(2))
    await process.kill()
    await eventually(lambda: none_open(postgres, database_name))
    await process.start()
    await eventually(lambda: _works(database))
    with pytest.raises(LathError):
        await left.commit()
    ((row,),) = await database.run(("SELECT id FROM kept", []))
    assert row[0].value == Variant("int8", 1)


async def _works(database: Database) -> bool:
    try:
        await database.run(("SELECT 1", []))
    except LathError:
        return False
    return True
