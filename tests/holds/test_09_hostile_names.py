"""Must hold 9, second half: dots, spaces, wildcards and a megabyte are refused as a name at every entry."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Final

import guests
import nats
import pytest
from hostile_guests import opener
from nats.aio.client import Client as NatsClient
from pydantic import ValidationError
from typer.testing import CliRunner
from whole_lattice import ECHO, FRONT, WholeLattice

from lath import subjects
from lath.errors import InvalidArgument
from lath.model import LinkSelector, LinkSpec
from lath_control.cli import make_app
from lath_control.client import Client

MEGABYTE: Final = "x" * 1_000_000
HOSTILE: Final = ("a.b", "a b", "*", ">", "", "a\nb", "ä", MEGABYTE)
SAID_CHARS_MAX: Final = 4_000
"""A refusal names its input, cut: it does not repeat a megabyte."""
COMMANDS: Final = (
    "inspect component {}", "inspect provider {}", "inspect host {}", "stop component {} --yes",
    "stop provider {} --yes", "stop host {} --yes", "scale {} 2", "update {} file:///x.wasm",
    "start component file:///x.wasm --id {}", "start provider python:x --id {}",
    "link put {} b wasi:keyvalue -i store", "link put a {} wasi:keyvalue -i store",
    "link put a b {} -i store", "link put a b wasi:keyvalue -i {}",
    "link put a b wasi:keyvalue -i store --name {}",
    "link put a b wasi:keyvalue -i store --target-config {}",
    "link del {} wasi:keyvalue --yes", "link del a {} --yes", "link ping {}", "link vping {}",
    "link purge {} --yes", "link pull {}", "get links {}", "config put {} a=b", "config get {}",
    "config del {} --yes", "call {} test:words/echo.say", "call a {}", "get hosts --lattice {}",
)  # fmt: skip


async def test_the_command_line_refuses_every_hostile_name_as_wrong_usage(one_host: WholeLattice) -> None:
    """On a real lattice: exit status 2 is wrong usage, 1 would be an answer, 3 no lattice."""
    app, runner = await asyncio.to_thread(make_app), CliRunner()
    where = ["--nats-url", one_host.server.url]

    def refused(command: str, name: str) -> None:
        words = [name if word == "{}" else word for word in command.split(" ")]
        lattice = [] if "--lattice" in words else ["--lattice", one_host.lattice]
        result = runner.invoke(app, [*words, *where, *lattice])
        assert result.exit_code == 2, (command, name[:20], result.exit_code, result.output[-500:])
        assert len(result.output) < SAID_CHARS_MAX
        assert "Traceback" not in result.output

    for command in COMMANDS:
        for name in ("a.b", "a b", "*", ">", MEGABYTE):
            await asyncio.to_thread(refused, command, name)


Operation = Callable[[Client, str], Awaitable[object]]
OPERATIONS: Final[dict[str, Operation]] = {
    "hosts.get": lambda c, n: c.hosts.get(n),
    "hosts.stop": lambda c, n: c.hosts.stop(n),
    "labels.put": lambda c, n: c.labels.put(n, "a", "b"),
    "components.start": lambda c, n: c.components.start("file:///x.wasm", component_id=n),
    "components.scale": lambda c, n: c.components.scale(n, 2),
    "components.stop": lambda c, n: c.components.stop(n),
    "components.update": lambda c, n: c.components.update(n, "file:///x.wasm"),
    "components.describe": lambda c, n: c.components.describe(n),
    "components.inspect": lambda c, n: c.components.inspect(n),
    "providers.start": lambda c, n: c.providers.start("python:x", provider_id=n),
    "providers.stop": lambda c, n: c.providers.stop(n),
    "links.delete source": lambda c, n: c.links.delete(n, "wasi", "keyvalue"),
    "links.delete namespace": lambda c, n: c.links.delete("a", n, "keyvalue"),
    "links.delete name": lambda c, n: c.links.delete("a", "wasi", "keyvalue", name=n),
    "links.ping": lambda c, n: c.links.ping(LinkSelector(source_id=n)),
    "links.purge": lambda c, n: c.links.purge(LinkSelector(participant=n)),
    "configs.put": lambda c, n: c.configs.put(n, {"a": "b"}),
    "configs.get": lambda c, n: c.configs.get(n),
    "configs.delete": lambda c, n: c.configs.delete(n),
    "call target": lambda c, n: c.call(n, "test:words/echo.say", "x"),
    "call interface": lambda c, n: c.call("a", f"test:words/{n}.say", "x"),
    "call function": lambda c, n: c.call("a", f"test:words/echo#{n}", "x"),
}


async def test_the_client_refuses_every_hostile_name(one_host: WholeLattice) -> None:
    for what, operation in OPERATIONS.items():
        for name in HOSTILE:
            with pytest.raises((InvalidArgument, ValidationError)) as caught:
                await operation(one_host.client, name)
            assert len(str(caught.value)) < SAID_CHARS_MAX, what
    for field in ("source_id", "target", "name", "wit_namespace", "wit_package"):
        good = {"source_id": "a", "target": "b", "wit_namespace": "wasi", "wit_package": "keyvalue"}
        for name in HOSTILE:
            with pytest.raises(ValidationError):
                LinkSpec.model_validate({**good, "interfaces": ("store",), field: name})
    for name in HOSTILE:
        with pytest.raises(InvalidArgument):
            Client(one_host.server.url, lattice=name)


async def test_hostile_names_inside_stored_links_make_no_link_and_break_no_host_and_no_provider(
    one_host: WholeLattice,
) -> None:
    lattice, client = one_host, one_host.client
    await lattice.component("front", guests.relay())
    await lattice.provider("words")
    link = await client.links.put(
        LinkSpec(source_id="app", target="words", wit_namespace="test", wit_package="words",
                 interfaces=("echo",))
    )  # fmt: skip
    good = json.loads(link.model_dump_json(exclude={"revision"}))
    prefix = subjects.key_prefix("links", lattice.lattice)
    bad = 0
    for field in ("source_id", "target", "name", "wit_namespace", "wit_package", "interfaces"):
        for name in HOSTILE:
            value = {**good, field: [name] if field == "interfaces" else name}
            await client.bus.publish(f"{prefix}bad{bad}.words.test.words.default", json.dumps(value).encode())
            bad += 1
    # And names that are good, but not those of the key that they stand under.
    await client.bus.publish(f"{prefix}front.words.test.words.default", json.dumps(good).encode())
    await client.bus.flush()
    report = await client.links.ping()
    assert [link.source_id for link in report.links] == ["app"]
    assert len(report.orphans) == bad + 1
    assert len(report.model_dump_json()) < 400_000
    assert "link_not_found" in (await lattice.failure("front", FRONT, "x")).message
    await client.bus.publish(f"{prefix}front.words.test.words.default", b"", headers={"KV-Operation": "DEL"})
    await lattice.link("front", "words")  # host and provider go on
    assert await lattice.call("front", FRONT, "x") == "p:x"


async def test_a_hostile_string_of_a_guest_opens_no_bucket(one_host: WholeLattice) -> None:
    lattice = one_host
    await lattice.component("opens", opener(FRONT))
    await lattice.provider("kv", "python:lath_providers.keyvalue_nats")
    await lattice.link("opens", "kv", "wasi:keyvalue/store")
    assert await lattice.call("opens", FRONT, "") == "opened"
    before = (await lattice.server.monitor("/jsz"))["streams"]
    for name in [*HOSTILE[:4], *HOSTILE[5:]]:
        answer = await lattice.call("opens", FRONT, name)
        assert answer != "opened"
        assert len(answer) < SAID_CHARS_MAX
    assert (await lattice.server.monitor("/jsz"))["streams"] == before
    assert await lattice.call("opens", FRONT, "") == "opened"


async def test_hostile_subjects_of_calls_and_verbs_reach_nothing_and_the_host_serves_on(
    one_host: WholeLattice,
) -> None:
    """Straight to the server, past every check of a client."""
    lattice = one_host
    await lattice.component("echo", guests.echo(tag="e:"))
    instance = lattice.client.presence.instances("echo")[0].instance_id
    name = lattice.lattice
    raw = await nats.connect(lattice.server.url, allow_reconnect=False)
    try:
        for hostile in ("*", ">", "a*b", "ä", "x" * 2_000, "\x01", "..", "_client.x"):
            for subject in (
                f"lath.rpc.{name}.echo.{hostile}._.test.words.echo.say",
                f"lath.rpc.{name}.echo._client.{hostile}.test.words.echo.say",
                f"lath.rpc.{name}.echo._client._.{hostile}.words.echo.say",
                f"lath.rpc.{name}.echo._client._.test.words.echo.{hostile}",
                f"lath.rpci.{name}.echo.{instance}._client._.test.words.{hostile}.say",
            ):
                await answered_by_error(raw, subject)
        for hostile in ("*", ">", "x" * 2_000):
            await answered_by_error(raw, f"wasmbus.ctl.v1.{name}.component.scale.{hostile}")
    finally:
        await raw.close()
    assert await lattice.call("echo", ECHO, "x") == "e:x"


async def answered_by_error(raw: NatsClient, subject: str) -> None:
    """Nobody listens there, the server refuses the subject, or the answer is a refusal."""
    inbox = raw.new_inbox()
    answers = await raw.subscribe(inbox)
    await raw.flush()
    line = (
        f"HPUB {subject} {inbox} {len(HEADERS)} {len(HEADERS) + 3}\r\n".encode() + HEADERS + b"\x91\xa1x\r\n"
    )
    raw._transport.write(line)
    await raw.flush()
    async with asyncio.timeout(10):
        message = await answers.next_msg(timeout=10)
    status = (message.headers or {}).get("Status")
    kind = (message.headers or {}).get("Lath-Error")
    refused = b'"success":false' in message.data.replace(b" ", b"")
    assert status == "503" or refused or kind in ("invalid_argument", "not_found", "link_not_found"), (
        subject[:200], message.headers, message.data[:200],
    )  # fmt: skip
    await answers.unsubscribe()


HEADERS: Final = b"NATS/1.0\r\nLath: 5000,call-1,,,\r\n\r\n"
