"""A provider as a process: how it starts, stops, and says what went wrong."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from lath.bus import Bus
from lath.errors import InvalidArgument
from lath.links import LinkStore
from lath.model import LinkSpec
from lath.names import new_id
from lath.presence import PresenceView
from lath.provider.runner import default_id, start_of_flags
from lath.provider.start import ENV_SUPERVISED, ProviderStart
from lath.server import Server
from lath.testing import eventually
from lath.testing.memory_keyvalue import MemoryKeyValue
from lath.verbs import LinkOps

MODULE = "lath.testing.memory_keyvalue"
Process = asyncio.subprocess.Process


@asynccontextmanager
async def process(*flags: str, supervised: bool = False) -> AsyncIterator[Process]:
    """The provider in memory as a process, killed at the end if it still runs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LATH_")}
    if supervised:
        environment[ENV_SUPERVISED] = "1"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", MODULE, *flags,
        stdin=asyncio.subprocess.PIPE if supervised else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )  # fmt: skip
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


@asynccontextmanager
async def presence_of(bus: Bus) -> AsyncIterator[Callable[[], list[str]]]:
    async with PresenceView(bus) as view:
        await view.wait_synced()
        yield lambda: [each.instance_id for each in view.instances("kv")]


def alone(server: Server, bus: Bus) -> list[str]:
    return ["--nats-url", server.url, "--lattice", bus.lattice, "--id", "kv"]


async def ended(child: Process) -> tuple[int | None, str, str]:
    """Exit code, standard output, standard error."""
    async with asyncio.timeout(30):
        out, err = await child.communicate()
    return child.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_provider_alone_serves_until_a_signal_and_then_withdraws(
    bus: Bus, nats_server: Server, number: signal.Signals
) -> None:
    async with presence_of(bus) as instances, process(*alone(nats_server, bus)) as child:
        await eventually(lambda: len(instances()) == 1, 30)
        spec = LinkSpec(
            source_id="app", target="kv", wit_namespace="wasi", wit_package="keyvalue", interfaces=("store",)
        )
        async with PresenceView(bus) as view:
            await view.wait_synced()
            links = LinkOps(bus, view, LinkStore(bus))
            assert (await links.put_and_wait(spec, 10_000)).verdict == "live"
            await links.close()
        child.send_signal(number)
        await eventually(lambda: instances() == [])
        code, out, _ = await ended(child)
        assert code == 0
        assert out == ""


async def test_a_supervised_provider_starts_as_told_and_stops_when_its_input_ends(
    bus: Bus, nats_server: Server
) -> None:
    start = ProviderStart(
        lattice=bus.lattice, nats_url=nats_server.url, provider_id="kv", instance_id=new_id(), host_id="NHOST"
    )
    async with presence_of(bus) as instances, process(supervised=True) as child:
        assert child.stdin is not None
        child.stdin.write(start.to_line())
        await child.stdin.drain()
        await eventually(lambda: instances() == [start.instance_id], 30)
        child.stdin.close()
        await eventually(lambda: instances() == [])
        assert (await ended(child))[:2] == (0, "")


async def test_killing_one_process_leaves_the_other_serving(bus: Bus, nats_server: Server) -> None:
    flags = alone(nats_server, bus)
    async with presence_of(bus) as instances, process(*flags) as one, process(*flags) as other:
        await eventually(lambda: len(instances()) == 2, 30)
        one.send_signal(signal.SIGTERM)
        assert (await ended(one))[0] == 0
        await eventually(lambda: len(instances()) == 1)
        assert other.returncode is None


async def test_a_second_signal_ends_it_at_once(bus: Bus, nats_server: Server) -> None:
    async with presence_of(bus) as instances, process(*alone(nats_server, bus)) as child:
        await eventually(lambda: len(instances()) == 1, 30)
        child.send_signal(signal.SIGTERM)
        await eventually(lambda: instances() == [])  # it drains now
        child.send_signal(signal.SIGTERM)
        assert (await ended(child))[0] == 130


async def test_without_a_bus_it_ends_with_3(bus: Bus) -> None:
    async with process("--nats-url", "nats://127.0.0.1:1", "--lattice", bus.lattice) as child:
        code, out, err = await ended(child)
        assert (code, out) == (3, "")
        assert "127.0.0.1:1" in err


async def test_wrong_usage_ends_with_2() -> None:
    async with process("--lattice", "not.a.name") as child:
        code, out, err = await ended(child)
        assert (code, out) == (2, "")
        assert "not.a.name" in err


@pytest.mark.parametrize(
    "flags", [["--lattice", "a.b"], ["--id", "host"], ["--config", "novalue"], ["--presence-ttl-ms", "1500"]]
)
def test_wrong_flags_are_named(flags: list[str]) -> None:
    with pytest.raises(InvalidArgument, match=flags[-1]):
        start_of_flags(MemoryKeyValue, flags, {})


@pytest.mark.parametrize("line", [b"", b"x" * (1 << 21)])
async def test_a_supervised_provider_that_is_told_nonsense_ends_with_2(line: bytes) -> None:
    async with process(supervised=True) as child:
        assert child.stdin is not None
        code, out, err = await _told(child, line)
        assert (code, out) == (2, "")
        assert "start record" in err


async def _told(child: Process, line: bytes) -> tuple[int | None, str, str]:
    async with asyncio.timeout(30):
        out, err = await child.communicate(line)
    return child.returncode, out.decode(), err.decode()


def test_flags_win_over_the_environment() -> None:
    environment = {
        "LATH_NATS_URL": "nats://env",
        "LATH_LATTICE": "env",
        "LATH_PROVIDER_ID": "env",
        "LATH_NATS_TOKEN": "hush",
        "LATH_PRESENCE_TTL_MS": "4000",
    }
    start = start_of_flags(MemoryKeyValue, ["--lattice", "flag", "--config", "a=b=c"], environment)
    assert (start.nats_url, start.lattice, start.provider_id) == ("nats://env", "flag", "env")
    assert (start.config, start.presence_ttl_ms) == ({"a": "b=c"}, 4_000)
    assert start.credentials is not None
    assert start.credentials.credentials().token == "hush"
    assert "hush" not in repr(start)


def test_without_flags_the_id_comes_from_the_class() -> None:
    start = start_of_flags(MemoryKeyValue, [], {})
    assert (start.nats_url, start.lattice) == ("nats://127.0.0.1:4222", "default")
    assert start.provider_id == default_id(MemoryKeyValue) == "memory-key-value"


def test_two_ways_to_authenticate_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="give one"):
        start_of_flags(MemoryKeyValue, ["--creds", "x.creds"], {"LATH_NATS_TOKEN": "t"})


def test_the_start_record_is_one_line_of_json() -> None:
    start = ProviderStart(lattice="a", nats_url="nats://x", provider_id="kv", config={"k": "line\nline"})
    line = start.to_line()
    assert line.count(b"\n") == 1
    assert json.loads(line)["type"] == "lath.provider.start.v1"
    assert ProviderStart.model_validate_json(line) == start
