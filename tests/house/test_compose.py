"""docker-compose.yml starts a lattice, shown without Docker.

Every service that can be had here is started as a process, with the command, environment and config that
stand in the file. What containers give is replaced word by word: a service's name and 0.0.0.0 become a
loopback address of its own, a volume a temporary folder. The trace collector has no package here: an OTLP
receiver stands in for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from lath_command import BUILT
from otlp_receiver import OtlpReceiver

from lath import server, subjects
from lath.model import LinkSpec
from lath.testing import eventually
from lath_control.build import build
from lath_control.client import Client, NoLattice

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
NATS = [name for name in SERVICES if name.startswith("nats-")]
HOSTS = [name for name in SERVICES if name.startswith("host-")]
COLLECTOR = "jaeger"


class Here:
    """What containers would give: addresses and volumes, on this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        net = f"127.{random.randint(64, 250)}.{random.randint(1, 250)}"
        self.address = {name: f"{net}.{i}" for i, name in enumerate(SERVICES, start=1)}

    def text(self, service: str, text: str) -> str:
        """`text` with this service's own address for 0.0.0.0, and the others' for their names."""
        text = text.replace("0.0.0.0", self.address[service])
        names = "|".join(map(re.escape, SERVICES))
        return re.sub(rf"(?<=//)({names})(?=:)", lambda m: self.address[m[1]], text)

    def volumes(self, service: str, text: str) -> str:
        """`text` with a path inside the container replaced by the one of its volume."""
        for volume in SERVICES[service].get("volumes", ()):
            source, inside, *_ = volume.split(":")
            path = ROOT / source if source.startswith(".") else self.folder / source
            if inside == "/data":
                path.mkdir(exist_ok=True)
            text = text.replace(inside, str(path))
        return text

    def nats_command(self, service: str) -> list[str]:
        command = [self.volumes(service, self.text(service, part)) for part in SERVICES[service]["command"]]
        given = Path(next(part for part in command if part.startswith("--config=")).removeprefix("--config="))
        config = self.folder / f"{service}.conf"
        config.write_text(self.volumes(service, given.read_text()))
        return [server.nats_server_path(), *(part.replace(str(given), str(config)) for part in command)]

    def host_command(self, service: str) -> list[str]:
        dockerfile = (ROOT / SERVICES[service]["build"]["dockerfile"]).read_text()
        entry = yaml.safe_load(next(m[1] for m in re.finditer(r"^ENTRYPOINT (.*)$", dockerfile, re.M)))
        return [str(Path(sys.executable).parent / entry[0]), *entry[1:], *SERVICES[service]["command"]]

    def environment(self, service: str) -> dict[str, str]:
        home = self.folder / f"home-{service}"
        home.mkdir(exist_ok=True)
        given = {k: self.text(service, str(v)) for k, v in SERVICES[service].get("environment", {}).items()}
        # a container compiles at each start; here what other tests have compiled will do
        ours = {"HOME": str(home), "LATH_LOG_FORMAT": "json", "LATH_DATA_DIR": str(BUILT / "cache/compiled")}
        return {"PATH": os.environ["PATH"], **ours} | given


@contextlib.asynccontextmanager
async def process(name: str, command: list[str], env: dict[str, str], folder: Path) -> AsyncIterator[None]:
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        child = await asyncio.create_subprocess_exec(*command, env=env, stdout=out, stderr=out, cwd=folder)
    try:
        yield
        assert child.returncode is None, f"{shlex.join(command)} ended:\n{log.read_text()[-3000:]}"
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(15):
                    await child.wait()
            except TimeoutError:
                child.kill()
                await child.wait()


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


@pytest.fixture
def collector(here: Here) -> Iterator[OtlpReceiver]:
    with OtlpReceiver.running((here.address[COLLECTOR], 4318)) as running:
        yield running


@pytest.fixture
async def url(here: Here, collector: OtlpReceiver) -> AsyncIterator[str]:
    async with contextlib.AsyncExitStack() as stack:
        for name in NATS:
            command = await asyncio.to_thread(here.nats_command, name)
            await stack.enter_async_context(process(name, command, here.environment(name), here.folder))
        for name in HOSTS:
            command = await asyncio.to_thread(here.host_command, name)
            await stack.enter_async_context(process(name, command, here.environment(name), here.folder))
        yield f"nats://{here.address[NATS[0]]}:4222"


def test_the_three_nodes_differ_only_in_name_and_volume() -> None:
    commands = [
        [part for part in SERVICES[name]["command"] if not part.startswith("--name=")] for name in NATS
    ]
    assert commands[0] == commands[1] == commands[2]
    assert [f"--name={name}" in SERVICES[name]["command"] for name in NATS] == [True] * 3


def test_the_nodes_have_the_limits_that_lath_ships() -> None:
    config = (ROOT / "deploy/nats.conf").read_text()
    assert f"max_payload: {server.MAX_PAYLOAD_BYTES // 2**20}MB" in config
    assert f"ping_interval: {server.PING_INTERVAL}" in config
    assert f"ping_max: {server.PING_MAX}" in config


def test_only_loopback_ports_are_published() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.xdist_group("slow")  # behind the demo, which builds the same component
@pytest.mark.timeout(240)
async def test_the_demo_call_runs_on_the_three_node_cluster(
    url: str, collector: OtlpReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATH_HOME", str(BUILT))

    async def connected() -> Client | None:
        client = Client(url, lattice="default")
        try:
            await client.connect()
        except NoLattice:  # the nodes elect a leader, the hosts make the buckets
            return None
        return client

    async with await eventually(connected, 90) as lattice:
        await eventually(lambda: len(lattice.presence.hosts()) == len(HOSTS), 60)
        await _run_demo_components(lattice, tmp_path)
        greeting = await lattice.call("greeter", "demo:greeter/greet.hello", "Ada")
        assert "Visit 1" in greeting.value
        assert (await lattice.links.ping()).healthy
        replicas = await _replicas(lattice)
    assert len(replicas) == len(subjects.BUCKET_KINDS)
    assert set(replicas.values()) == {3}
    await eventually(lambda: any(span for export in collector.traces() for span in export.resource_spans), 30)


async def _run_demo_components(lattice: Client, folder: Path) -> None:
    for name, host in (("greeter", "host-1"), ("textstats", "host-2")):
        built = await build(ROOT / "examples" / name, output=folder / f"{name}.wasm")
        await lattice.components.start(built.path, component_id=name, host=host, wait_ms=120_000)
    await lattice.providers.start("builtin:keyvalue-nats", provider_id="kv", host="host-2")
    for target, package, interfaces in (
        ("textstats", "demo:text", ("stats",)),
        ("kv", "wasi:keyvalue", ("store", "atomics")),
    ):
        namespace, _, name = package.partition(":")
        spec = LinkSpec(
            source_id="greeter",
            target=target,
            wit_namespace=namespace,
            wit_package=name,
            interfaces=interfaces,
        )
        assert (await lattice.links.put_and_wait(spec, wait_ms=30_000)).verdict == "live"


async def _replicas(lattice: Client) -> dict[str, int]:
    streams = await lattice.bus.nc.jetstream().streams_info()
    names = {subjects.stream(kind, lattice.lattice) for kind in subjects.BUCKET_KINDS}
    return {s.config.name: s.config.num_replicas for s in streams if s.config.name in names}
