"""Must hold 13: with least-privilege credentials a whole lattice works, and a provider's let it do no more.

An intruder holds the credentials of the provider `words`. Whatever it is refused, an administrator is granted
in the same words: so it is the permission that refuses, not a slip in the request.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import guests
import pytest
from pytest_asyncio import fixture
from whole_lattice import FRONT, WholeLattice

from lath import subjects
from lath.bus import BucketStore, Bus, Credentials, jetstream
from lath.bus.permissions import client_permissions, host_permissions, provider_permissions, user
from lath.errors import LinkNotFound, PermissionDenied
from lath.model import LinkSelector
from lath.names import InterfaceName
from lath.rpc import Caller
from lath.secrets import LatticeKeys, ParticipantSecrets, SecretStore, new_seed, seal
from lath.server import Server
from lath.testing import eventually
from lath_control.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="module")
"""One lattice for all of them: each leaves it as it found it."""
LATTICE: Final = "guarded"
API: Final = jetstream.API
LINKS: Final = subjects.stream("links", LATTICE)
SECRETS: Final = subjects.stream("secrets", LATTICE)
PRESENCE: Final = subjects.stream("presence", LATTICE)
TAIL: Final = subjects.call_tail("front", "default", InterfaceName.parse("test:words/echo"), "say")


def credentials(name: str) -> Credentials:
    return Credentials(user=name, password="p", inbox_prefix=subjects.inbox_prefix(name))


def environment(name: str) -> dict[str, str]:
    """The same for a process."""
    return {
        "LATH_NATS_USER": name,
        "LATH_NATS_PASSWORD": "p",
        "LATH_NATS_INBOX_PREFIX": subjects.inbox_prefix(name),
    }


@fixture(scope="module", loop_scope="module")
async def guarded() -> AsyncIterator[WholeLattice]:
    """front -> words, front2 -> other: a host and two providers, processes, each with rights of its own."""
    users = [
        user("admin", "p"),
        user("host-a", "p", host_permissions(LATTICE, "host-a")),
        user("words", "p", provider_permissions(LATTICE, "words")),
        user("other", "p", provider_permissions(LATTICE, "other")),
        user("operator", "p", client_permissions(LATTICE, "operator")),
    ]
    async with Server(config={"authorization": {"users": users}}) as server:
        client = Client(server.url, lattice=LATTICE, credentials=credentials("operator"))
        async with WholeLattice(server, LATTICE, client=client, host_env=environment("host-a")) as lattice:
            await lattice.add_hosts(1)
            for name, target in (("front", "words"), ("front2", "other")):
                await lattice.provider_alone(target, env=environment(target))
                await lattice.component(name, guests.relay())
                await client.configs.put(target, {"prefix": f"{target}:", "password": "hunter2"})
                await lattice.link(name, target, config=target)
            yield lattice


@fixture(loop_scope="module")
async def intruder(guarded: WholeLattice) -> AsyncIterator[Bus]:
    async with await _connected(guarded, "words") as bus:
        yield bus


@fixture(loop_scope="module")
async def admin(guarded: WholeLattice) -> AsyncIterator[Bus]:
    async with await _connected(guarded, "admin") as bus:
        yield bus


async def _connected(lattice: WholeLattice, name: str) -> Bus:
    return await Bus.connect(lattice.server.url, lattice=LATTICE, name=name, credentials=credentials(name))


async def only_the_admin(
    intruder: Bus, admin: Bus, subject: str, body: Mapping[str, Any] | bytes = b""
) -> bytes:
    """The intruder is refused; what the administrator got for the same request."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(PermissionDenied, match="does not permit"):
        await intruder.request(subject, data, timeout_ms=10_000)
    answer = (await admin.request(subject, data, timeout_ms=10_000)).data
    assert b'"error"' not in answer, answer
    return answer


def direct(kind: subjects.BucketKind, key: str) -> str:
    stream = subjects.stream(kind, LATTICE)
    return f"{API}DIRECT.GET.{stream}.{subjects.key_subject(kind, LATTICE, key)}"


def consumer(
    filter_: str, deliver: str, name: str, kind: subjects.BucketKind = "links"
) -> tuple[str, dict[str, Any]]:
    """A request for a consumer of links, or of another bucket."""
    subject = subjects.key_subject(kind, LATTICE, filter_)
    stream = subjects.stream(kind, LATTICE)
    config = {
        "name": name, "durable_name": None, "filter_subject": subject, "deliver_subject": deliver,
        "deliver_policy": "all", "ack_policy": "none", "max_deliver": 1, "mem_storage": True,
        "num_replicas": 1, "inactive_threshold": 60_000_000_000,
    }  # fmt: skip
    del config["durable_name"]
    body = {"stream_name": stream, "config": config, "action": "create"}
    return f"{API}CONSUMER.CREATE.{stream}.{name}.{subject}", body


async def test_the_lattice_works_and_its_links_heal(guarded: WholeLattice) -> None:
    lattice, client = guarded, guarded.client
    large = "x" * 2_000_000
    assert await lattice.call("front", FRONT, large) == "words:" + large
    assert await lattice.call("front2", FRONT, "x") == "other:x"
    assert (await client.links.ping(deep=True)).healthy
    assert (await client.links.purge(hold=True)).complete
    assert set((await lattice.verdicts()).values()) == {"purged"}
    assert (await client.links.pull()).complete
    await client.configs.put("words", {"broken": "the disk is full"})
    await eventually(lambda: _is(lattice, "front default", "failed"))
    await client.configs.put("words", {"prefix": "healed:"})
    await eventually(lambda: _is(lattice, "front default", "live"))
    assert await lattice.call("front", FRONT, "x") == "healed:x"
    await client.configs.put("words", {"prefix": "words:", "password": "hunter2"})
    await eventually(lambda: _says(lattice, "front", "words:x"))


async def _says(lattice: WholeLattice, target: str, answer: str) -> bool:
    return bool(await lattice.call(target, FRONT, "x") == answer)


async def _is(lattice: WholeLattice, link: str, verdict: str) -> bool:
    return (await lattice.verdicts())[link] == verdict


async def test_it_reads_and_lists_nothing_of_anothers(intruder: Bus, admin: Bus) -> None:
    own = await intruder.request(direct("links", "front.words.test.words.default"), timeout_ms=10_000)
    assert b"hunter2" in own.data  # its own it reads
    for kind, key in (("links", "front2.other.test.words.default"), ("config", "other"), ("config", "words")):
        assert b"hunter2" in await only_the_admin(intruder, admin, direct(kind, key))  # type: ignore[arg-type]
    for verb in ("STREAM.INFO", "CONSUMER.NAMES", "CONSUMER.LIST"):
        await only_the_admin(intruder, admin, f"{API}{verb}.{LINKS}", {})
    await only_the_admin(intruder, admin, f"{API}STREAM.MSG.GET.{LINKS}", {"seq": 1})
    for number, filter_ in enumerate((">", "front2.>", "*.other.>")):
        subject, body = consumer(filter_, admin.new_inbox(), f"spy-{number}")
        await only_the_admin(intruder, admin, subject, body)


async def test_it_reads_its_own_sealed_secrets_and_no_others(
    guarded: WholeLattice, intruder: Bus, admin: Bus
) -> None:
    keys = LatticeKeys(LATTICE, [new_seed()])
    store = SecretStore(guarded.client.bus)
    for whose in ("words", "other"):
        await store.put(whose, "pw", seal(keys.of(whose).public_key, whose, "pw", "hunter-22"))
    mine, theirs = subjects.secret_key("words", "pw"), subjects.secret_key("other", "pw")
    own = await intruder.request(direct("secrets", mine), timeout_ms=10_000)
    assert b'"sealed"' in own.data and b"hunter-22" not in own.data
    assert b'"sealed"' in await only_the_admin(intruder, admin, direct("secrets", theirs))
    await only_the_admin(intruder, admin, f"{API}STREAM.INFO.{SECRETS}", {})
    await only_the_admin(intruder, admin, f"{API}STREAM.MSG.GET.{SECRETS}", {"seq": 1})
    for number, filter_ in enumerate((">", "other.*", "*.pw")):
        subject, body = consumer(filter_, admin.new_inbox(), f"spy-secrets-{number}", "secrets")
        await only_the_admin(intruder, admin, subject, body)
    for key in (mine, theirs):  # not even its own may it write
        with pytest.raises(PermissionDenied):
            await intruder.request(subjects.key_subject("secrets", LATTICE, key), b"{}", timeout_ms=10_000)
    secrets = ParticipantSecrets(intruder, "words", keys.of("words"), lambda names: None)
    try:
        assert await secrets.opened({"password": "pw"}) == {"password": "hunter-22"}
    finally:
        await secrets.close()


async def test_it_writes_nothing_but_its_own_presence_and_cannot_wipe_anybodys(
    guarded: WholeLattice, intruder: Bus, admin: Bus
) -> None:
    (other,) = guarded.client.presence.instances("other")
    presence = subjects.presence_key("other", other.instance_id)
    for kind, key in (
        ("links", "evil.words.test.words.default"), ("config", "evil"), ("secrets", "evil.x"),
        ("apps", "evil.deployed"), ("presence", "other.evil"), ("presence", presence),
    ):  # fmt: skip
        subject = subjects.key_subject(kind, LATTICE, key)  # type: ignore[arg-type]
        if key == presence:
            with pytest.raises(PermissionDenied):
                await intruder.request(subject, b"", headers={"KV-Operation": "DEL"}, timeout_ms=10_000)
        else:
            await only_the_admin(intruder, admin, subject, b"{}")
            await admin.request(subject, b"", headers={"KV-Operation": "DEL"}, timeout_ms=10_000)
    mine = subjects.key_subject("presence", LATTICE, "words.mine")
    for rollup in ("all", "sub"):
        reply = await intruder.request(mine, b"{}", headers={"Nats-Rollup": rollup}, timeout_ms=10_000)
        assert b"rollup not permitted" in reply.data
    assert b'"seq"' in (await intruder.request(mine, b"{}", timeout_ms=10_000)).data  # without, it may
    assert await BucketStore(admin, "presence").get(presence) is not None
    await only_the_admin(intruder, admin, f"{API}STREAM.PURGE.{PRESENCE}", {"filter": "$KV.nothing"})


async def test_it_deletes_and_redirects_no_consumer_and_a_host_that_lost_one_goes_on(
    guarded: WholeLattice, intruder: Bus, admin: Bus
) -> None:
    names = json.loads((await admin.request(f"{API}CONSUMER.NAMES.{LINKS}", timeout_ms=10_000)).data)
    assert len(names["consumers"]) >= 5  # the host's, and two of each provider
    for name in names["consumers"]:
        subject, body = consumer("*.words.>", intruder.new_inbox(), name)
        reply = await intruder.request(subject, json.dumps(body).encode(), timeout_ms=10_000)
        assert b'"error"' in reply.data  # it cannot be made the intruder's
        await only_the_admin(intruder, admin, f"{API}CONSUMER.INFO.{LINKS}.{name}")
        await only_the_admin(intruder, admin, f"{API}CONSUMER.DELETE.{LINKS}.{name}")
    for prefix in ("again:", "other:"):
        await guarded.client.configs.put("other", {"prefix": prefix, "password": "hunter2"})
        await eventually(lambda prefix=prefix: _says(guarded, "front2", f"{prefix}x"), 30)  # type: ignore[misc]
    await eventually(lambda: _healthy(guarded), 30)  # everybody got a consumer again, not only who was called


async def _healthy(lattice: WholeLattice) -> bool:
    return (await lattice.client.links.ping()).healthy


async def test_it_aims_no_consumer_at_anothers_handler(
    guarded: WholeLattice, intruder: Bus, admin: Bus
) -> None:
    """The consumers may be made: their filter is the provider's own. What they deliver is not served.

    They deliver empty messages: a request that the handlers would take, were it somebody's.
    """
    (other,) = guarded.client.presence.instances("other")
    (host,) = guarded.hosts
    purge = subjects.link_verb(LATTICE, "purge", "other", other.instance_id)
    before = await _uptime_ms(guarded, other.instance_id)
    for name, handler in (("aimed-1", purge), ("aimed-2", subjects.ctl(LATTICE, "host", "stop", host.id))):
        subject, body = consumer("*.words.>", handler, name)
        body["config"]["headers_only"] = True
        reply = await intruder.request(subject, json.dumps(body).encode(), timeout_ms=10_000)
        assert b'"error"' not in reply.data

        async def delivered(name: str = name) -> bool:
            told = await admin.request(f"{API}CONSUMER.INFO.{LINKS}.{name}", timeout_ms=10_000)
            info = json.loads(told.data)
            return info["num_pending"] == 0 and info["delivered"]["consumer_seq"] > 0

        await eventually(delivered)
    assert await guarded.call("front2", FRONT, "x") == "other:x"  # the host is not stopping
    assert await _uptime_ms(guarded, other.instance_id) >= before  # and the link was not opened again
    await only_the_admin(intruder, admin, purge, b'{"hold": true}')
    await eventually(lambda: _is(guarded, "front2 default", "purged"))
    assert (await guarded.client.links.pull()).complete


async def _uptime_ms(lattice: WholeLattice, instance: str) -> int:
    """How long an instance of `other` has its link open."""
    report = await lattice.client.links.ping(LinkSelector(target="other"))
    (link,) = report.links
    (found,) = [view.uptime_ms for view in link.participants if view.instance_id == instance]
    assert found is not None
    return found


async def test_it_hears_no_reply_of_anothers(guarded: WholeLattice, intruder: Bus, admin: Bus) -> None:
    heard: dict[str, list[bytes]] = {"intruder": [], "admin": []}

    def listener(who: str) -> Any:
        async def listen(msg: Any) -> None:
            heard[who].append(msg.data)

        return listen

    for pattern in (
        f"{subjects.inbox_prefix('host-a')}.>",
        *subjects.calls_to_target_patterns(LATTICE, "other"),
    ):
        refused = await intruder.subscribe(pattern, listener("intruder"))
        await intruder.flush()
        assert refused.denied
        await admin.subscribe(pattern, listener("admin"))
    await admin.flush()
    assert await guarded.call("front2", FRONT, "secret") == "other:secret"
    await eventually(lambda: any(b"other:secret" in data for data in heard["admin"]))
    await intruder.flush()
    assert heard["intruder"] == []


async def test_it_calls_nobody_as_another_and_nothing_that_no_link_allows(
    guarded: WholeLattice, intruder: Bus, admin: Bus
) -> None:
    for target in ("other", "words"):
        with pytest.raises(PermissionDenied):
            await intruder.request(subjects.call_any(LATTICE, target, TAIL), b"\x91\xa1x", timeout_ms=10_000)
    own = subjects.call_tail("words", "default", InterfaceName.parse("test:words/echo"), "say")
    async with Caller(intruder, None, "words") as caller:
        with pytest.raises(LinkNotFound):
            await caller.call("other", own, b"\x91\xa1x", linked=True)
        await guarded.link("words", "other", config="other")
        assert b"other:x" in await caller.call("other", own, b"\x91\xa1x", linked=True)  # a link allows it
    await guarded.client.links.delete("words", "test", "words")
    for verb in subjects.LINK_VERBS:
        with pytest.raises(PermissionDenied):
            await intruder.request(subjects.link_verb(LATTICE, verb), timeout_ms=10_000)
    with pytest.raises(PermissionDenied):
        await intruder.request(
            subjects.ctl(LATTICE, "host", "stop", guarded.hosts[0].id), b"{}", timeout_ms=10_000
        )
    assert await guarded.call("front", FRONT, "x") == "words:x"
