"""Programs on a host: told to be CGI, they answer HTTP through links as components made for it do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from asking_provider import Asking
from cgi_programs import ECHO, ENVIRONMENT, HEAD, SPIN, TRAP, program
from engine_guests import PRINTER
from guests import echo
from http_components import HELLO
from http_served import chunks, whole
from wasmtime import wat2wasm

from lath.bus import Bus
from lath.errors import DeadlineExceeded, LathError
from lath.http import HttpRequest, HttpResponse
from lath.model import ComponentDescription, Presence
from lath.provider import Link, ProviderInstance
from lath.testing import eventually
from lath_host.engine.compose.preview1.command import component_of
from lath_host.testing import InProcessLattice

HANDLER = "wasi:http/incoming-handler"
CGI: dict[str, Any] = {"run_as": "cgi"}
COMMAND = component_of(bytes(wat2wasm(program(HEAD, ECHO).decode())))
"""A component that exports `wasi:cli/run`."""


class Asker:
    """A provider on the bus that asks components of the lattice."""

    def __init__(self, lattice: InProcessLattice, provider: ProviderInstance) -> None:
        self.lattice = lattice
        self.provider = provider

    async def link(self, target: str = "script") -> Link:
        record = await self.lattice.link("web", target, HANDLER)
        await self.provider.settled(record.key, record.revision)
        return Link.of(record, "web")

    async def ask(self, link: Link, *, timeout_ms: int = 10_000, **request: Any) -> HttpResponse:
        return await self.provider.http(link, HttpRequest(**request), timeout_ms=timeout_ms)


@pytest.fixture
async def asker(lattice_in_process: InProcessLattice) -> AsyncIterator[Asker]:
    lattice = lattice_in_process
    async with (
        await Bus.connect(lattice.server.url, lattice=lattice.bus.lattice, name="web") as bus,
        ProviderInstance(Asking(), bus, provider_id="web") as provider,
    ):
        yield Asker(lattice, provider)


def described(lattice: InProcessLattice) -> ComponentDescription:
    (found,) = lattice.hosts[0].inventory().components
    return found


async def start(lattice: InProcessLattice, source: str | bytes, **scale: Any) -> None:
    event = await lattice.start_component("script", source, **scale)
    assert event.name == "component_scaled", event.data


async def refused(lattice: InProcessLattice, source: str | bytes, **scale: Any) -> str:
    event = await lattice.start_component("script", source, **scale)
    assert event.name == "component_scale_failed"
    return str(event.data["error"])


@pytest.mark.parametrize("source", [program(HEAD, ECHO), COMMAND], ids=["module", "component"])
async def test_a_program_answers_requests_that_come_over_a_link(asker: Asker, source: bytes) -> None:
    await start(asker.lattice, source, **CGI)
    link = await asker.link()
    for body in (b"hello", chunks(b"a" * 300_000, b"b" * 300_000)):
        response = await asker.ask(link, method="POST", body=body)
        assert (response.status, response.headers) == (200, [("Content-Type", b"text/plain")])
        assert await whole(response) in (b"hello", b"a" * 300_000 + b"b" * 300_000)
    stats = described(asker.lattice).stats or {}
    assert (stats["calls"], stats["failures"], stats["bytes_in"]) == (2, 0, 600_005)


async def test_it_finds_the_request_above_the_environment_of_its_component(asker: Asker) -> None:
    await start(asker.lattice, program(HEAD, ENVIRONMENT), env={"GREETING": "hi", "PATH_INFO": "mine"}, **CGI)
    response = await asker.ask(await asker.link(), path_with_query="/a?b", peer="192.0.2.7:4711")
    told = dict(line.split("=", 1) for line in (await whole(response)).decode().split("\0") if line)
    assert (told["GREETING"], told["PATH_INFO"], told["QUERY_STRING"]) == ("hi", "/a", "b")
    assert told["REMOTE_ADDR"] == "192.0.2.7" and told["SERVER_SOFTWARE"].startswith("lath/")


async def test_it_is_listed_as_what_answers_http_and_is_no_service(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await start(lattice, program(HEAD), **CGI)
    told = described(lattice)
    assert told.exports == ("wasi:cli/run@0.2.0", f"{HANDLER}@0.2.0")
    assert (told.run_as, told.service) == ("cgi", None)

    def present() -> tuple[Presence, ...]:
        return lattice.presence.instances("script")

    await eventually(lambda: any(f"{HANDLER}@0.2.0" in each.interfaces for each in present()))


async def test_a_program_that_nobody_told_to_be_cgi_is_a_service(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await start(lattice, program(SPIN))
    await eventually(lambda: (service := described(lattice).service) and service.status == "running")
    assert described(lattice).exports == ("wasi:cli/run@0.2.0",)


async def test_a_service_becomes_a_cgi_program_and_a_service_again(asker: Asker) -> None:
    lattice = asker.lattice
    await start(lattice, program(HEAD))
    await start(lattice, program(HEAD), **CGI)
    assert described(lattice).service is None
    link = await asker.link()
    assert (await asker.ask(link)).status == 200
    await start(lattice, program(HEAD), run_as="service")
    assert described(lattice).service is not None
    with pytest.raises(LathError):
        await asker.ask(link)


@pytest.mark.parametrize(
    ("source", "settings", "said"),
    [
        (echo(), CGI, "cannot run as cgi: it does not export wasi:cli/run; it exports test:words/echo@1.0.0"),
        (PRINTER, CGI, "does not export wasi:cli/run; it exports no interface"),
        (echo(), {"run_as": "service"}, "cannot run as service: it does not export wasi:cli/run"),
        (HELLO, CGI, "does not export wasi:cli/run; it exports wasi:http/incoming-handler@0.2.0"),
        (program(HEAD), {**CGI, "component_limits": {"reuse": True}}, "start it without reuse"),
    ],
)
async def test_what_does_not_fit_is_refused_with_the_reason(
    lattice_in_process: InProcessLattice, source: str | bytes, settings: dict[str, Any], said: str
) -> None:
    assert said in await refused(lattice_in_process, source, **settings)
    assert not lattice_in_process.hosts[0].inventory().components


async def test_what_answers_http_already_need_not_be_told_to(lattice_in_process: InProcessLattice) -> None:
    both = (
        HELLO.decode().rstrip().removesuffix(")")
        + """
      (core module $runs (func (export "run") (result i32) (i32.const 0)))
      (core instance $runs (instantiate $runs))
      (func $run (result (result)) (canon lift (core func $runs "run")))
      (instance $command (export "run" (func $run)))
      (export "wasi:cli/run@0.2.0" (instance $command)))
    """
    )
    said = await refused(lattice_in_process, both, **CGI)
    assert "exports wasi:http/incoming-handler@0.2.0, and answers HTTP by that" in said


async def test_a_running_program_cannot_be_made_to_reuse_instances(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    await start(lattice, program(HEAD), **CGI)
    assert "without reuse" in await refused(lattice, program(HEAD), component_limits={"reuse": True})
    assert described(lattice).run_as == "cgi"


async def test_how_programs_fail_is_told_over_the_bus(asker: Asker) -> None:
    for steps, status in (([b"nonsense"], 502), ([HEAD], 200)):
        await start(asker.lattice, program(*steps), **CGI)
        response = await asker.ask(await asker.link())
        assert response.status == status
        said = await whole(response)
        assert (b"the reply of script is malformed" in said) == (status == 502)
        await asker.lattice.start_component("script", program(*steps), count=0)
    await start(asker.lattice, program(TRAP), **CGI)
    with pytest.raises(LathError) as failed:
        await asker.ask(await asker.link())
    assert failed.value.kind == "trap"
    await asker.lattice.start_component("script", program(TRAP), count=0)
    await start(asker.lattice, program(SPIN), **CGI)
    with pytest.raises(DeadlineExceeded):
        await asker.ask(await asker.link(), timeout_ms=100)
