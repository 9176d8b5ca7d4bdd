"""A component that carries its own driver talks to a real PostgreSQL, as far as its sockets are allowed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lath_command import EXAMPLES
from postgres_server import PostgresServer, postgres_server

from lath.model import CloudEvent
from lath.testing import eventually
from lath_control.build import build
from lath_host.engine import Engine
from lath_host.testing import InProcessLattice

BOOK = "demo:guestbook/book@0.1.0"

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("guestbook")]


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def guestbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, built as its README says."""
    output = tmp_path_factory.mktemp("built") / "guestbook.wasm"
    return Path(asyncio.run(build(EXAMPLES / "guestbook", output=output)).path)


@pytest.fixture
async def lattice(lattice_in_process: InProcessLattice, engine: Engine, guestbook: Path) -> InProcessLattice:
    """With the example compiled: that alone may take longer than a start is waited for."""
    await engine.compile(await asyncio.to_thread(guestbook.read_bytes))
    return lattice_in_process


async def start(
    lattice: InProcessLattice, guestbook: Path, server: PostgresServer, *allowed: str, host: str = "localhost"
) -> CloudEvent:
    return await lattice.start_component(
        "guestbook", guestbook, env=server.environment(host), allowed_sockets=list(allowed)
    )


async def asked(server: PostgresServer, query: str) -> Any:
    """What the database says to somebody else."""

    def ask() -> Any:
        database = server.connect()
        try:
            return database.run(query)
        finally:
            database.close()

    return await asyncio.to_thread(ask)


async def test_what_is_signed_is_in_the_database(
    lattice: InProcessLattice, guestbook: Path, postgres: PostgresServer
) -> None:
    await start(lattice, guestbook, postgres, f"localhost:{postgres.port}")
    long = "x" * 200_000
    first = await lattice.call("guestbook", BOOK, "sign", "Ada", "hello", timeout_ms=60_000)
    await lattice.call("guestbook", BOOK, "sign", "Grace", long, timeout_ms=60_000)
    rows = await asked(postgres, "SELECT number, name, text FROM guestbook ORDER BY number")
    assert [first["ok"], "Ada", "hello"] in rows
    entries = await lattice.call("guestbook", BOOK, "entries", timeout_ms=60_000)
    assert [list(entry.values()) for entry in entries["ok"]] == rows
    assert rows[-1][1:] == ["Grace", long]


async def test_calls_at_once_have_connections_of_their_own_and_leave_none(
    lattice: InProcessLattice, guestbook: Path, postgres: PostgresServer
) -> None:
    await start(lattice, guestbook, postgres, f"localhost:{postgres.port}")
    names = [f"guest {number}" for number in range(5)]
    signed = await asyncio.gather(
        *(lattice.call("guestbook", BOOK, "sign", name, "", timeout_ms=60_000) for name in names)
    )
    assert len({result["ok"] for result in signed}) == len(names)

    async def alone() -> bool:
        ((connections,),) = await asked(
            postgres, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        )
        return bool(connections == 1)

    await eventually(alone)


async def test_without_permission_it_runs_and_is_denied_until_it_is_given_it(
    lattice: InProcessLattice, guestbook: Path, postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        await start(lattice, guestbook, postgres)
        denied = await lattice.call("guestbook", BOOK, "entries", timeout_ms=60_000)
    assert "Permission denied" in denied["err"]
    assert any("'allow_socket': 'localhost:*'" in str(record.msg) for record in caplog.records)
    await start(lattice, guestbook, postgres, f"localhost:{postgres.port}")
    assert "ok" in await lattice.call("guestbook", BOOK, "entries", timeout_ms=60_000)


async def test_another_port_of_the_host_that_it_was_given_is_denied(
    lattice: InProcessLattice, guestbook: Path, postgres: PostgresServer
) -> None:
    await start(lattice, guestbook, postgres, f"localhost:{postgres.port + 1}")
    denied = await lattice.call("guestbook", BOOK, "entries", timeout_ms=60_000)
    assert "Permission denied" in denied["err"]


async def test_what_the_database_says_reaches_the_guest(
    lattice: InProcessLattice, guestbook: Path, postgres: PostgresServer
) -> None:
    stranger = replace(postgres, password="another")
    await start(lattice, guestbook, stranger, f"127.0.0.1:{postgres.port}", host="127.0.0.1")
    refused = await lattice.call("guestbook", BOOK, "entries", timeout_ms=60_000)
    assert "password authentication failed" in refused["err"]


async def test_a_pattern_that_is_none_is_refused_at_the_start(
    lattice: InProcessLattice, guestbook: Path, postgres: PostgresServer
) -> None:
    event = await start(lattice, guestbook, postgres, "localhost")
    assert event.name == "component_scale_failed"
    assert "allowed_sockets: 'localhost'" in event.data["error"]
    assert "HOST:PORTS" in event.data["error"]
