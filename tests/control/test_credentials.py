"""The command line with an operator's permissions and a context that holds its login by reference."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from lath_command import TEXTSTATS, run

from lath import subjects
from lath.bus import Credentials
from lath.bus.permissions import client_permissions, host_permissions, user
from lath.server import Server
from lath_host.testing import HostFactory

LATTICE = "guarded"


@pytest.fixture
async def nats_server() -> AsyncIterator[Server]:
    users = [
        user("host-a", "p", host_permissions(LATTICE, "host-a")),
        user("operator", "hunter2", client_permissions(LATTICE, "operator")),
    ]
    async with Server(config={"authorization": {"users": users}}) as server:
        yield server


@pytest.fixture
def lattice() -> str:
    return LATTICE


async def test_an_operators_permissions_are_enough_for_the_main_job(
    nats_server: Server, hosts: HostFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = subjects.inbox_prefix("host-a")
    await hosts(1, name="one", credentials=Credentials(user="host-a", password="p", inbox_prefix=prefix))
    login = ("--user", "operator", "--password-env", "MY_PASSWORD")
    where = ("--nats-url", nats_server.url, "--lattice", LATTICE)
    inbox = ("--inbox-prefix", subjects.inbox_prefix("operator"))
    assert (await run("ctx", "add", "guarded", *where, *login, *inbox)).code == 0
    refused = await run("get", "hosts")
    assert refused.code == 2 and "MY_PASSWORD" in refused.err
    monkeypatch.setenv("MY_PASSWORD", "wrong")
    refused = await run("get", "hosts")
    assert refused.code == 1 and "permission_denied" in refused.err
    monkeypatch.setenv("MY_PASSWORD", "hunter2")
    for arguments in (
        ("start", "component", str(TEXTSTATS), "--id", "textstats"),
        ("start", "component", str(TEXTSTATS), "--id", "caller"),
        ("config", "put", "settings", "a=1"),
        ("link", "put", "caller", "textstats", "demo:text", "-i", "stats", "--wait"),
        ("call", "textstats", "demo:text/stats.count", "one two"),
        ("link", "ping", "--deep"),
        ("link", "purge", "--yes"),
        ("doctor",),
    ):
        ran = await run(*arguments)
        assert (ran.code, ran.err) == (0, ""), (arguments, ran)
    spied = await run("spy", "--count", "1")
    assert spied.code == 1 and "permission_denied" in spied.err
