"""A provider's credentials: it reads its own links, and nothing else of anybody's (must hold 13)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from nats.aio.msg import Msg

from lath import subjects
from lath.bus import BucketStore, Bus, Credentials, ensure_buckets, jetstream
from lath.bus.jetstream import API
from lath.bus.permissions import (
    client_permissions,
    host_permissions,
    provider_permissions,
    user,
    without_vping,
)
from lath.config import ConfigStore
from lath.errors import PermissionDenied, Unavailable
from lath.links import LinkStore, LinkView
from lath.mirror import Mirror
from lath.model import LinkSpec, Presence
from lath.presence import PresenceAnnouncer, PresenceView
from lath.server import Server
from lath.testing import eventually

LATTICE = "perm"


def spec(source: str, target: str) -> LinkSpec:
    return LinkSpec(
        source_id=source,
        target=target,
        wit_namespace="wasi",
        wit_package="keyvalue",
        interfaces=("store",),
        target_config=("secretive",),
    )


class Cast:
    """A server with users, and connections of each."""

    def __init__(self, server: Server) -> None:
        self.server = server

    async def connect(self, name: str) -> Bus:
        credentials = Credentials(user=name, password="p", inbox_prefix=subjects.inbox_prefix(name))
        return await Bus.connect(self.server.url, lattice=LATTICE, name=name, credentials=credentials)


@pytest.fixture
async def cast() -> AsyncIterator[Cast]:
    users = [
        user("admin", "p"),
        user("kv", "p", provider_permissions(LATTICE, "kv")),
        user("other", "p", provider_permissions(LATTICE, "other")),
        user("host1", "p", host_permissions(LATTICE, "host1")),
        user("op", "p", without_vping(client_permissions(LATTICE, "op"), LATTICE)),
    ]
    async with Server(config={"authorization": {"users": users}}) as server:
        yield Cast(server)


@pytest.fixture
async def admin(cast: Cast) -> AsyncIterator[Bus]:
    async with await cast.connect("admin") as connection:
        await ensure_buckets(connection)
        await ConfigStore(connection).put("secretive", {"password": "hunter2"})
        for source, target in (("app", "kv"), ("app", "other"), ("kv", "other"), ("other", "kv")):
            name = f"{source}-{target}"
            await LinkStore(connection).put(spec(source, target).model_copy(update={"name": name}))
        yield connection


@pytest.fixture
async def kv(cast: Cast, admin: Bus) -> AsyncIterator[Bus]:
    async with await cast.connect("kv") as connection:
        yield connection


@pytest.fixture
async def other(cast: Cast, admin: Bus) -> AsyncIterator[Bus]:
    async with await cast.connect("other") as connection:
        yield connection


OWN_FILTERS = (subjects.links_of_source_filter("kv"), subjects.links_of_target_filter("kv"))
LINKS_STREAM = subjects.stream("links", LATTICE)


async def test_a_provider_mirrors_its_links_and_their_changes(kv: Bus, admin: Bus) -> None:
    async with Mirror(kv, "links", OWN_FILTERS) as mirror, asyncio.timeout(10):
        view = LinkView(mirror)
        await mirror.wait_synced()
        assert {link.name for link in view.links.values()} == {"app-kv", "kv-other", "other-kv"}
        assert view.links["app.kv.wasi.keyvalue.app-kv"].target_config_values == {"password": "hunter2"}
        link = await LinkStore(admin).put(spec("new", "kv"))
        await mirror.wait_until(lambda: link.key in view.links)
        await LinkStore(admin).delete("new", "wasi", "keyvalue", "default")
        await mirror.wait_until(lambda: link.key not in view.links)
        await mirror.resync()


async def denied(bus: Bus, subject: str, data: bytes = b"", headers: dict[str, str] | None = None) -> None:
    """The server refuses it, and the caller learns it at once."""
    with pytest.raises(PermissionDenied, match="does not permit"):
        await bus.request(subject, data, headers=headers, timeout_ms=5_000)


async def test_a_provider_mirrors_more_than_the_server_sends_without_flow_control(
    kv: Bus, admin: Bus
) -> None:
    prefix = subjects.key_prefix("links", LATTICE)
    heard: list[str] = []

    async def hear(msg: Msg) -> None:
        heard.append(msg.subject)

    await admin.subscribe(f"{jetstream.FLOW_CONTROL_PREFIX}>", hear)
    for i in range(4_000):
        await admin.publish(f"{prefix}a{i}.kv.c.d.e", b"x" * 8_000)
    await admin.flush()
    async with Mirror(kv, "links", OWN_FILTERS) as mirror, asyncio.timeout(20):
        await mirror.wait_until(lambda: mirror.synced and len(mirror.entries) == 4_003)
        assert mirror.generation == 1
    await eventually(lambda: heard)


def consumer_of(stream: str, filter_: str, inbox: str, name: str = "lath-x") -> tuple[str, bytes]:
    config = jetstream.consumer_config(
        name=name, filter_subject=filter_, inbox=inbox, heartbeat_ms=1000, inactive_ms=5000
    )
    body = {"stream_name": stream, "config": config, "action": "create"}
    return f"{API}CONSUMER.CREATE.{stream}.{name}.{filter_}", json.dumps(body).encode()


@pytest.mark.parametrize("filter_", [">", "app.>", "*.other.>", "other.*.wasi.keyvalue.other-kv"])
async def test_a_provider_cannot_watch_others_links(kv: Bus, admin: Bus, filter_: str) -> None:
    subject, body = consumer_of(LINKS_STREAM, subjects.key_subject("links", LATTICE, filter_), kv.new_inbox())
    await denied(kv, subject, body)
    # The same request is what an administrator may make.
    reply = json.loads((await admin.request(subject, body, timeout_ms=5_000)).data)
    assert reply["num_pending"] >= 1


async def test_a_provider_cannot_smuggle_another_filter_into_its_consumer(kv: Bus) -> None:
    subject, body = consumer_of(
        LINKS_STREAM, subjects.key_subject("links", LATTICE, "kv.>"), kv.new_inbox(), "lath-y"
    )
    forged = json.loads(body)
    forged["config"]["filter_subject"] = subjects.key_subject("links", LATTICE, ">")
    reply = json.loads((await kv.request(subject, json.dumps(forged).encode(), timeout_ms=5_000)).data)
    assert "error" in reply
    del forged["config"]["filter_subject"]
    forged["config"]["filter_subjects"] = [subjects.key_subject("links", LATTICE, ">")]
    reply = json.loads((await kv.request(subject, json.dumps(forged).encode(), timeout_ms=5_000)).data)
    assert "error" in reply


@pytest.mark.parametrize("kind", ["links", "config", "secrets", "presence", "apps"])
async def test_a_provider_cannot_list_any_bucket(kv: Bus, admin: Bus, kind: subjects.BucketKind) -> None:
    stream = subjects.stream(kind, LATTICE)
    for verb in ("STREAM.INFO", "STREAM.MSG.GET", "STREAM.PURGE", "STREAM.DELETE", "STREAM.UPDATE",
                 "STREAM.SNAPSHOT", "CONSUMER.LIST", "CONSUMER.NAMES"):  # fmt: skip
        await denied(kv, f"{API}{verb}.{stream}", b"{}")
    await denied(kv, f"{API}STREAM.NAMES")
    await denied(kv, f"{API}STREAM.LIST")
    await denied(kv, f"{API}DIRECT.GET.{stream}", b'{"seq": 1}')
    assert await BucketStore(admin, kind).incarnation() > 0


async def test_a_provider_reads_its_own_links_and_no_other_key(kv: Bus, admin: Bus) -> None:
    def direct(kind: subjects.BucketKind, key: str) -> str:
        return f"{API}DIRECT.GET.{subjects.stream(kind, LATTICE)}.{subjects.key_subject(kind, LATTICE, key)}"

    own = await kv.request(direct("links", "app.kv.wasi.keyvalue.app-kv"), timeout_ms=5_000)
    assert b"hunter2" in own.data
    for kind, key in (("links", "app.other.wasi.keyvalue.app-other"), ("config", "secretive")):
        subject = direct(kind, key)  # type: ignore[arg-type]
        await denied(kv, subject)
        assert b"hunter2" in (await admin.request(subject, timeout_ms=5_000)).data


async def test_a_provider_writes_no_key_but_its_own_presence(kv: Bus, admin: Bus) -> None:
    await BucketStore(admin, "presence").put("other.i1", b"{}")
    for kind, key in (
        ("links", "app.kv.wasi.keyvalue.app-kv"), ("links", "kv.x.wasi.keyvalue.default"),
        ("config", "secretive"),
        ("secrets", "kv.x"), ("apps", "a.deployed"), ("presence", "other.i1"), ("presence", "host.NX"),
    ):  # fmt: skip
        await denied(kv, subjects.key_subject(kind, LATTICE, key), b"x")  # type: ignore[arg-type]
    presence = Presence(kind="provider", target="kv", instance_id="i1", started_ms=1, version="0")
    async with PresenceView(admin) as view, PresenceAnnouncer(kv, presence) as mine:
        await eventually(lambda: view.instances("kv") == (presence,))
        await mine.withdraw()
        await eventually(lambda: view.instances("kv") == ())
    reply = json.loads(
        (
            await kv.request(
                subjects.key_subject("presence", LATTICE, "kv.i1"), b"", headers={"Nats-Rollup": "all"},
                timeout_ms=5_000,
            )
        ).data
    )  # fmt: skip
    assert "rollup not permitted" in reply["error"]["description"]
    assert await BucketStore(admin, "presence").get("other.i1") is not None


async def test_a_provider_cannot_delete_inspect_or_redirect_another_ones_consumer(
    kv: Bus, other: Bus
) -> None:
    filters = (subjects.links_of_target_filter("other"),)
    async with Mirror(other, "links", filters) as mirror, asyncio.timeout(10):
        await mirror.wait_synced()
        assert mirror._watch is not None
        name = mirror._watch._feeds[0].consumer
        for verb in ("DELETE", "INFO", "PAUSE"):
            await denied(kv, f"{API}CONSUMER.{verb}.{LINKS_STREAM}.{name}")
        # Even knowing the name: a consumer of its own filter under another's name is another configuration.
        subject, body = consumer_of(
            LINKS_STREAM, subjects.key_subject("links", LATTICE, "*.kv.>"), kv.new_inbox(), name
        )
        reply = json.loads((await kv.request(subject, body, timeout_ms=5_000)).data)
        assert "error" in reply
        assert mirror.synced


async def test_a_provider_cannot_read_others_inboxes_calls_or_verbs(kv: Bus, other: Bus, admin: Bus) -> None:
    heard: list[Msg] = []

    async def hear(msg: Msg) -> None:
        heard.append(msg)

    foreign = [
        f"{subjects.inbox_prefix('other')}.>", "_INBOX.>", ">", "*.>",
        *subjects.calls_to_target_patterns(LATTICE, "other"), subjects.ctl_pattern(LATTICE),
        subjects.link_verb(LATTICE, "vping", "other"), subjects.lath_events_pattern(LATTICE),
        subjects.key_subject("links", LATTICE, ">"), f"{API}>",
    ]  # fmt: skip
    subscriptions = [await kv.subscribe(subject, hear) for subject in foreign]
    await kv.flush()
    assert all(subscription.denied for subscription in subscriptions)
    own = await kv.subscribe(subjects.call_any_pattern(LATTICE, "kv"), hear, queue="kv")
    await kv.flush()
    assert not own.denied
    # Positive control: an administrator hears all of it, the provider none.
    control: list[Msg] = []

    async def listen(msg: Msg) -> None:
        control.append(msg)

    await admin.subscribe(f"{subjects.inbox_prefix('other')}.>", listen)
    await admin.flush()
    await admin.publish(f"{subjects.inbox_prefix('other')}.x", b"secret")
    await eventually(lambda: control)
    await kv.flush()
    assert not heard


async def test_a_provider_calls_only_as_itself_and_answers_who_called(
    kv: Bus, admin: Bus, other: Bus
) -> None:
    tail = "{}.default.wasi.keyvalue.store.get"
    await denied(kv, subjects.call_any(LATTICE, "other", tail.format("app")))
    with pytest.raises(Unavailable):
        await kv.request(subjects.call_any(LATTICE, "other", tail.format("kv")), timeout_ms=5_000)
    await denied(kv, subjects.ctl(LATTICE, "host", "stop", "NX"))
    await denied(kv, subjects.link_event(LATTICE, "other", "i1"))
    await denied(kv, subjects.link_verb(LATTICE, "purge"))

    async def answer(msg: Msg) -> None:
        for _ in range(3):
            await kv.publish(msg.reply, b"42")

    await kv.subscribe(subjects.call_any_pattern(LATTICE, "kv"), answer, queue="kv")
    await kv.flush()
    reply = await other.request(subjects.call_any(LATTICE, "kv", tail.format("other")), timeout_ms=5_000)
    assert reply.data == b"42"


async def test_a_consumer_aimed_at_a_verb_reaches_no_handler(kv: Bus, admin: Bus, other: Bus) -> None:
    handled: list[str] = []

    async def handle(msg: Msg) -> None:
        handled.append(msg.subject)

    target = subjects.link_verb(LATTICE, "purge", "other")
    await other.subscribe(target, handle)
    await other.flush()
    subject, body = consumer_of(LINKS_STREAM, subjects.key_subject("links", LATTICE, "*.kv.>"), target, "aim")
    config = json.loads(body)
    config["config"] |= {"flow_control": False, "idle_heartbeat": 0}
    reply = json.loads((await kv.request(subject, json.dumps(config).encode(), timeout_ms=5_000)).data)
    assert reply["num_pending"] == 2
    await admin.publish(target, b"real")
    await eventually(lambda: handled)
    await other.flush()
    assert handled == [target]


async def test_a_host_and_an_operator_can_do_their_work(cast: Cast, admin: Bus) -> None:
    async with await cast.connect("host1") as host, await cast.connect("op") as operator:
        await ensure_buckets(host)
        await ConfigStore(operator).put("c2", {"a": "b"})
        link = await LinkStore(operator).put(spec("x", "y"))
        async with Mirror(host, "links") as mirror, asyncio.timeout(10):
            await mirror.wait_synced()
            assert link.key in mirror.entries
        assert link.key in (await LinkStore(operator).list()).links
        with pytest.raises(Unavailable):
            await operator.request(subjects.link_verb(LATTICE, "ping"), timeout_ms=5_000)
        await denied(operator, subjects.link_verb(LATTICE, "vping"))
        await denied(host, f"{API}STREAM.INFO.{subjects.stream('links', 'elsewhere')}")


async def test_wrong_credentials_are_refused_at_once(cast: Cast) -> None:
    with pytest.raises(PermissionDenied, match="refused the credentials"):
        await Bus.connect(
            cast.server.url, lattice=LATTICE, name="x", credentials=Credentials(user="kv", password="no")
        )
