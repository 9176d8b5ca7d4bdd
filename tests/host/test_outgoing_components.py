"""Components on a host send requests to the hosts that they were given, and settings say which."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import guests
import pytest
from asking_provider import Asking
from http_components import relay
from http_served import chunks, whole
from outbound_servers import ok, serving

from lath.bus import Bus
from lath.errors import Trap
from lath.http import HttpRequest
from lath.provider import Link, ProviderInstance
from lath_host.testing import InProcessLattice

pytestmark = pytest.mark.timeout(300)
HANDLER = "wasi:http/incoming-handler"


class Web:
    """A component that relays requests, on a host, and who sends it some."""

    def __init__(self, lattice: InProcessLattice, provider: ProviderInstance) -> None:
        self._lattice = lattice
        self._provider = provider
        self._link: Link | None = None

    async def start(self, authority: str, **settings: Any) -> None:
        event = await self._lattice.start_component("web", relay(authority), **settings)
        assert event.name == "component_scaled", event.data
        if self._link is None:
            record = await self._lattice.link("asker", "web", HANDLER)
            await self._provider.settled(record.key, record.revision)
            self._link = Link.of(record, "asker")

    async def ask(self) -> str:
        assert self._link is not None
        request = HttpRequest(method="POST", body=chunks(b"please"))
        return (await whole(await self._provider.http(self._link, request, timeout_ms=30_000))).decode()


@pytest.fixture
async def web(lattice_in_process: InProcessLattice) -> AsyncIterator[Web]:
    lattice = lattice_in_process
    async with (
        await Bus.connect(lattice.server.url, lattice=lattice.bus.lattice, name="asker") as bus,
        ProviderInstance(Asking(), bus, provider_id="asker") as provider,
    ):
        yield Web(lattice, provider)


async def test_a_component_reaches_the_hosts_that_its_settings_say_as_long_as_they_do(web: Web) -> None:
    async with serving(ok(b"there")) as server:
        authority = server.origin.removeprefix("http://")
        for allowed, reached in (([], False), ([server.origin], True), (["*"], False), ([authority], True)):
            await web.start(authority, allowed_hosts=allowed)
            if reached:
                assert await web.ask() == "there"
            else:
                with pytest.raises(Trap):
                    await web.ask()
        assert server.connections == 2  # a component that is started anew has connections of its own


async def test_a_pattern_that_is_none_is_refused_at_once_by_name(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await lattice.start_component("words", guests.echo())
    host, ref = lattice.hosts[0].id, lattice.file("words", guests.echo()).as_uri()
    wrong = {"allowed_hosts": ["*", "https://example.com/path"], "component_id": "words", "host_id": host}
    verbs = {"scale": {"component_ref": ref, "count": 1}, "update": {"new_component_ref": ref}}
    for verb, fields in verbs.items():
        reply = await lattice.ask("component", verb, host, **wrong, **fields)
        assert not reply.success
        assert "allowed host 'https://example.com/path': it has a path" in reply.message


async def test_a_host_without_a_client_says_so_when_a_component_starts_that_would_need_it(
    lattice_in_process: InProcessLattice, caplog: pytest.LogCaptureFixture
) -> None:
    lattice_in_process.hosts[0]._ways.installed = False
    event = await lattice_in_process.start_component("words", guests.echo(), allowed_hosts=["*"])
    assert event.name == "component_scaled"
    assert "lath[http]" in caplog.text


def test_a_host_runs_without_the_client_being_installed() -> None:
    code = (
        "import sys; sys.modules['aiohttp'] = None; import lath_host.host, lath_host.command\n"
        "from lath_host.outbound.ways import WaysOut\n"
        "assert not WaysOut().installed"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("by", ["option", "environment"])
def test_a_host_does_not_start_with_a_file_of_authorities_that_is_none(tmp_path: Path, by: str) -> None:
    missing = str(tmp_path / "missing.pem")
    options, env = (["--ca-file", missing], {}) if by == "option" else ([], {"LATH_CA_FILES": missing})
    run = subprocess.run(
        [sys.executable, "-m", "lath_host", *options],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
    )
    assert run.returncode == 2
    assert f"CA file {missing} cannot be read: No such file or directory" in run.stderr
