"""`lath secret`, and what becomes visible of a secret in a whole run: nothing."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import guests
import nats
import pytest
from lath_command import Lath, Ran, Terminal, run
from nats.aio.msg import Msg
from secret_guests import KEEPER, keeper
from typer.testing import CliRunner

from lath.errors import LathError, LinkFailed, NotFound
from lath.model import LinkSpec
from lath.secrets import SecretStore, unseal
from lath.secrets.keyfile import add_seed, read_lattice_keys, read_participant_keys
from lath.server import Server
from lath.testing import eventually
from lath_control.cli import make_app, secret
from lath_control.client import Client
from lath_control.local import LocalState
from lath_control.local.processes import end
from lath_host.testing import HostFactory

PROVIDER = (Path(__file__).parents[1] / "support/secret_provider.py").as_uri()
FRONT = "test:words/front@1.0.0#say"
VALUE = "hunter-two-and-a-half"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "secrets.key"
    add_seed(path)
    return path


@pytest.fixture
async def client(
    nats_server: Server, lattice: str, hosts: HostFactory, key_file: Path
) -> AsyncIterator[Client]:
    await hosts(1, name="one", secrets_key=key_file)
    async with Client(nats_server.url, lattice=lattice) as connected:
        yield connected


async def opened(client: Client, key_file: Path, participant: str, name: str) -> str | bytes:
    """What stands in the bucket, as its participant reads it."""
    keys = await asyncio.to_thread(read_lattice_keys, key_file, client.lattice)
    sealed = (await SecretStore(client.bus).list()).secrets[participant, name]
    return unseal(keys.of(participant), name, sealed)


async def lath_with_input(data: bytes, *arguments: str) -> Ran:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lath_control.cli", *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate(data)
    return Ran(process.returncode or 0, out.decode(), err.decode())


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (b"open sesame\n", "open sesame"),
        (b"open sesame\r\n", "open sesame"),
        (b"open sesame", "open sesame"),
        (b"two\nlines\n", "two\nlines\n"),
        ("ключ".encode(), "ключ"),
    ],
)
def test_a_value_of_one_line_loses_its_line_end(given: bytes, taken: str) -> None:
    assert secret.text_of(given) == taken


async def test_secrets_are_put_listed_and_deleted(
    client: Client, lath: Lath, key_file: Path, tmp_path: Path
) -> None:
    file = tmp_path / "value"
    await asyncio.to_thread(file.write_text, VALUE)
    assert (await lath("secret", "put", "pg", "pw", "--from-file", str(file))).code == 0
    assert await opened(client, key_file, "pg", "pw") == VALUE
    assert (await lath_with_input(b"\xff\n", "secret", "put", "pg", "pw", "-f", "-", "--binary")).code == 0
    assert await opened(client, key_file, "pg", "pw") == b"\xff\n"
    await client.secrets.put("web", "pw", VALUE)
    listed = await lath("secret", "list", "-o", "json")
    assert [(each["participant"], each["name"]) for each in listed.json] == [("pg", "pw"), ("web", "pw")]
    assert len(await client.secrets.list("web")) == 1
    assert (await lath("secret", "del", "pg", "pw", "--yes")).code == 0
    again = await lath("secret", "del", "pg", "pw", "--yes")
    assert again.code == 1 and "there is no secret pw of pg" in again.err


async def test_a_value_is_asked_for_at_a_terminal_without_showing_it(
    client: Client, lath: Lath, key_file: Path
) -> None:
    async with Terminal() as terminal:
        process = await terminal.spawn("secret", "put", "pg", "pw")
        await eventually(lambda: b"Value of pg pw: " in terminal.shown, 30)
        terminal.type(VALUE + "\n")
        async with asyncio.timeout(30):
            assert await process.wait() == 0
        assert VALUE.encode() not in terminal.shown
    assert await opened(client, key_file, "pg", "pw") == VALUE


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("put", "pg", "pw"), "give --from-file"),
        (("put", "pg", "pw", "-f", "/nowhere/at/all"), "cannot be read"),
        (("put", "pg", "pw", "-f", os.devnull), "the value is empty"),
        (("put", "p.g", "pw", "-f", os.devnull), "participant 'p.g' is not valid"),
        (("put", "host", "pw", "-f", os.devnull), "is reserved"),
        (("put", "pg", "p w", "-f", os.devnull), "secret 'p w' is not valid"),
        (("put", "pg", "pw", "-f", __file__ + "x"), "cannot be read"),
        (("put", "pg", "pw", "-f", "/dev/zero"), "more than 65536 bytes"),
    ],
)
def test_wrong_usage_is_told(arguments: tuple[str, ...], said: str) -> None:
    ran = CliRunner().invoke(make_app(), ["secret", *arguments])
    assert ran.exit_code == 2 and said in " ".join(ran.stderr.split())


async def test_a_lattice_whose_hosts_have_no_key_says_how_they_get_one(
    hosts: HostFactory, nats_server: Server, lattice: str
) -> None:
    await hosts(1)
    async with Client(nats_server.url, lattice=lattice) as client:
        with pytest.raises(NotFound, match="--secrets-key"):
            await client.secrets.put("pg", "pw", VALUE)


async def test_keys_are_made_and_replaced(client: Client, lath: Lath, key_file: Path, tmp_path: Path) -> None:
    await client.secrets.put("pg", "pw", VALUE)
    before = (await client.secrets.key("pg")).public_key
    await asyncio.to_thread(add_seed, key_file)
    rekeyed = await lath("secret", "rekey", "-o", "json")
    assert rekeyed.code == 0 and rekeyed.json["resealed"] == 1
    (listed,) = await client.secrets.list()
    assert listed.public_key == (await client.secrets.key("pg")).public_key != before
    assert await opened(client, key_file, "pg", "pw") == VALUE


def test_a_key_file_and_a_providers_own_key_are_written(key_file: Path, tmp_path: Path) -> None:
    def in_json(*arguments: str) -> Any:
        ran = CliRunner().invoke(make_app(), ["secret", *arguments, "-o", "json"])
        assert ran.exit_code == 0, ran.stderr
        return json.loads(ran.stdout)

    assert in_json("new-key", str(key_file))["keys"] == 2
    own = tmp_path / "pg.key"
    command = ["provider-key", str(key_file), "pg", "--to", str(own), "--lattice", "mine"]
    written = in_json(*command)
    keys = read_participant_keys(own, "pg")
    assert keys.public_key == written["public_key"]
    assert keys.private == read_lattice_keys(key_file, "mine").of("pg").private
    again = CliRunner().invoke(make_app(), ["secret", *command])
    assert again.exit_code == 1 and "is there already" in again.stderr


# --- a whole run -------------------------------------------------------------------------------------


class Heard:
    """Everything that crosses the bus while a run lasts, JetStream's own messages included."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    async def take(self, msg: Msg) -> None:
        headers = json.dumps(msg.headers or {}).encode()
        self.messages.append(b" ".join((msg.subject.encode(), headers, msg.data)))


def everything_under(folder: Path, but: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != but.name
    }


def of_processes(pids: list[int]) -> dict[str, bytes]:
    found = {}
    for pid in pids:
        for part in ("cmdline", "environ"):
            found[f"{pid} {part}"] = Path(f"/proc/{pid}/{part}").read_bytes()
    return found


@pytest.fixture
async def up(home: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """The URL of a lattice that `lath up` started, with traces and the most talkative logs."""
    monkeypatch.setenv("LATH_TRACE_DIR", str(home / "traces"))
    monkeypatch.setenv("LATH_LOG_LEVEL", "debug")
    started = await run("up", "--hosts", "1", "--port", "0", "--detach", "-o", "json")
    assert started.code == 0, started.err
    yield started.json["nats_url"]
    for file in await asyncio.to_thread(lambda: list((home / "local").glob("*/state.json"))):
        left = LocalState.model_validate_json(await asyncio.to_thread(file.read_text))
        await end([left.keeper, *left.others], grace_ms=20_000)


@pytest.mark.xdist_group("local lattices")
@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_no_value_and_no_key_is_in_anything_that_a_whole_run_leaves_or_says(
    up: str, home: Path, tmp_path: Path
) -> None:
    """Stores, logs, traces, what the commands print, every message on the bus, arguments and environments."""
    values = [f"{name}-{os.urandom(8).hex()}" for name in ("bad-first", "good", "rotated", "guest")]
    bad, good, rotated, theirs = values
    (tmp_path / "keeper.wat").write_text(keeper())
    (tmp_path / "front.wat").write_text(guests.relay())
    said: dict[str, bytes] = {}

    async def lath(*arguments: str) -> Ran:
        ran = await run(*arguments)
        said[" ".join(arguments)] = (ran.out + ran.err).encode()
        return ran

    async def put(participant: str, name: str, value: str) -> None:
        ran = await lath_with_input(value.encode(), "secret", "put", participant, name, "-f", "-")
        said[f"secret put {participant} {name}"] = (ran.out + ran.err).encode()
        assert ran.code == 0, ran.err

    link = LinkSpec(
        source_id="front", target="gossip", wit_namespace="test", wit_package="words", interfaces=("echo",),
        target_secrets={"password": "pw"},
    )  # fmt: skip
    heard = Heard()
    listener = await nats.connect(up)
    await listener.subscribe(">", cb=heard.take)
    await listener.flush()
    key_file = home / "local/default/secrets.key"
    async with Client(up, lattice="default") as client:
        await put("keeper", "pw", theirs)
        await client.secrets.put("gossip", "pw", bad)
        for name in ("keeper", "front"):
            await client.components.start(str(tmp_path / f"{name}.wat"), component_id=name, host="host-1")
        await client.providers.start(PROVIDER, provider_id="gossip", host="host-1")
        with pytest.raises(LinkFailed, match=r"cannot sign in with '\*{8}' at redis://:\*{8}@"):
            await client.links.put_and_wait(link, wait_ms=30_000)

        async def works(characters: int) -> bool:
            try:
                told = await client.call("front", FRONT, "x")
            except LinkFailed:
                return False
            return bool(told == f"{characters} characters")

        for value in (good, rotated + "-longer"):
            await client.secrets.put("gossip", "pw", value)
            await eventually(partial(works, len(value)), 30)
        with pytest.raises(LathError, match=r"refused: \*{8}"):
            await client.call("front", FRONT, "fail")
        assert await client.call("keeper", f"{KEEPER}#look", "pw") == ""
        said["ping"] = (await client.links.ping(deep=True)).model_dump_json().encode()
        vping = await lath("link", "vping", "-o", "json")
        assert '"password": "********"' in vping.out
        await lath("inspect", "component", "keeper", "-o", "json")
        said["doctor"] = (await client.doctor()).model_dump_json().encode()
        await asyncio.to_thread(add_seed, key_file)
        said["rekey"] = (await client.secrets.rekey()).model_dump_json().encode()
        state = LocalState.model_validate_json(
            await asyncio.to_thread((home / "local/default/state.json").read_text)
        )
        for host in client.presence.hosts():
            inventory = await client.hosts.get(host.target)
            said[f"inventory {host.target}"] = inventory.model_dump_json().encode()
            pids = [process.pid for process in state.others] + [each.pid or 0 for each in inventory.providers]
            said |= await asyncio.to_thread(of_processes, pids)
    await lath("down")
    await listener.close()
    assert len(heard.messages) > 100
    said |= {f"message {number}": data for number, data in enumerate(heard.messages)}
    said |= await asyncio.to_thread(everything_under, home, key_file)
    assert any("/store/" in name for name in said) and any("/traces/" in name for name in said)
    assert any(b"cannot sign in with" in data for name, data in said.items() if name.endswith(".log"))
    spans = b"".join(data for name, data in said.items() if "/traces/" in name)
    assert b"wasmcloud:secrets/reveal.reveal" in spans and b'"lath.secret":"pw"' in spans
    seeds = await asyncio.to_thread(seeds_of, key_file)
    assert len(seeds) == 2
    wanted = [value.encode() for value in values] + [base64.b64encode(v.encode()) for v in values]
    wanted += [seed.encode() for seed in seeds] + [base64.b64decode(seed) for seed in seeds]
    assert {name for name, data in said.items() for each in wanted if each in data} == set()


def seeds_of(path: Path) -> list[str]:
    return [line.rpartition(":")[2] for line in path.read_text().splitlines() if not line.startswith("#")]
