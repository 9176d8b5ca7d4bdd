"""The typed client, as a control plane uses it."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from blob_provider import Blobs
from lath_command import TEXTSTATS, Lath
from nats.aio.msg import Msg
from pytest_asyncio import fixture
from resource_guests import COUNTERS, COUNTERS_NAME

from lath.bus import BucketStore, Bus, jetstream
from lath.bus.buckets import stream_config
from lath.codec import ComponentHandle, Record, Resource
from lath.codec.handles import parse_tokens
from lath.errors import Conflict, InvalidArgument, LinkNotFound, NotFound
from lath.model import CloudEvent, ComponentLimits, LinkSelector, LinkSpec
from lath.names import CLIENT_SOURCE
from lath.provider import ProviderInstance
from lath.server import Server
from lath.subjects import RENEW_FUNCTION, handle_notice
from lath.testing import eventually
from lath_control.client import Client, NoLattice, doctor

LINK = LinkSpec(
    source_id="caller", target="textstats", wit_namespace="demo", wit_package="text", interfaces=("stats",)
)


async def place(client: Client) -> None:
    await client.components.start(str(TEXTSTATS), component_id="textstats", host="one")
    await client.components.start(str(TEXTSTATS), component_id="caller", host="two")


@fixture
async def blobs(client: Client, nats_server: Server, lattice: str) -> AsyncIterator[str]:
    """A provider of a blobstore that runs; its id."""
    async with (
        await Bus.connect(nats_server.url, lattice=lattice, name="blobs") as bus,
        ProviderInstance(Blobs(), bus, provider_id="blobs") as instance,
    ):
        await eventually(lambda: client.presence.instances(instance.id))
        yield instance.id


async def test_three_lines_tell_the_status_of_every_link(
    client: Client, nats_server: Server, lattice: str
) -> None:
    await place(client)
    await client.links.put_and_wait(LINK)
    async with Client(nats_server.url, lattice=lattice) as connected:
        report = await connected.links.ping(deep=True)
    assert report.healthy
    assert {link.target: link.verdict for link in report.links} == {"textstats": "live"}


async def test_a_call_takes_and_gives_python_values(client: Client) -> None:
    await place(client)
    counts = await client.call("textstats", "demo:text/stats.count", "one two")
    assert isinstance(counts, Record)
    assert (counts.letters, counts.words) == (6, 2)
    assert await client.call("textstats", "demo:text/stats@0.1.0#reverse", "añb€😀") == "😀€bña"


async def test_a_call_after_an_update_goes_by_the_new_types(client: Client, tmp_path: Path) -> None:
    await place(client)
    assert await client.call("textstats", "demo:text/stats.shout", "ada") == "ADA"
    renamed = tmp_path / "renamed.wat"
    text = await asyncio.to_thread(TEXTSTATS.read_text)
    await asyncio.to_thread(renamed.write_text, text.replace('"shout"', '"yell"'))
    await client.components.update("textstats", str(renamed))

    async def updated() -> bool:
        try:
            return bool(await client.call("textstats", "demo:text/stats.yell", "ada") == "ADA")
        except NotFound:
            return False

    await eventually(updated)
    with pytest.raises(NotFound, match="it has: count, reverse, yell"):
        await client.call("textstats", "demo:text/stats.shout", "ada")


async def test_calls_go_wrong_with_their_own_error(client: Client) -> None:
    await place(client)
    with pytest.raises(NotFound, match="no component nobody is in the lattice; there are: "):
        await client.call("nobody", "demo:text/stats.count", "a")
    with pytest.raises(NotFound, match=r"demo:text/stats@0\.1\.0"):
        await client.call("textstats", "demo:text/stats@2.0.0#count", "a")
    with pytest.raises(InvalidArgument, match="text"):
        await client.call("textstats", "demo:text/stats.count", 5)


async def test_a_call_with_a_stream_of_bytes_is_refused_in_words(client: Client, blobs: str) -> None:
    with pytest.raises(InvalidArgument, match="takes or gives a stream of bytes"):
        await client.call(blobs, "wasi:blobstore/container#[method]container.list-objects", None)


async def test_a_client_that_calls_a_provider_is_told_to_call_a_component_that_is_linked_to_it(
    client: Client, blobs: str
) -> None:
    with pytest.raises(LinkNotFound, match="call a component that is linked to it"):
        await client.call(blobs, "wasi:blobstore/blobstore.container-exists", "photos")


async def test_a_client_holds_the_resources_of_a_component(client: Client, tmp_path: Path) -> None:
    source = tmp_path / "counters.wat"
    await asyncio.to_thread(source.write_bytes, COUNTERS)
    for host in ("one", "two"):
        await client.components.start(str(source), component_id="counters", host=host)
    counters = [
        await client.call("counters", f"{COUNTERS_NAME}#[constructor]counter", start) for start in range(6)
    ]
    for start, counter in enumerate(counters):
        assert await client.call("counters", f"{COUNTERS_NAME}#[method]counter.add", counter, 1) == start + 1
    shown = (await client.call_json("counters", f"{COUNTERS_NAME}#[constructor]counter", [5])).value
    added = await client.call_json("counters", f"{COUNTERS_NAME}#[method]counter.add", [shown, 2])
    assert added.value == 7
    with pytest.raises(InvalidArgument, match="must live in one instance of counters"):
        await client.call("counters", f"{COUNTERS_NAME}#[method]counter.merge", *counters[:2])
    with pytest.raises(InvalidArgument, match="expected handle of resource counter"):
        await client.call("counters", f"{COUNTERS_NAME}#[method]counter.get", Resource(b"made up"))


async def test_what_a_program_holds_is_renewed_until_it_forgets_or_releases_it(
    client: Client, tmp_path: Path
) -> None:
    source = tmp_path / "counters.wat"
    await asyncio.to_thread(source.write_bytes, COUNTERS)
    limits = ComponentLimits(lease_seconds=1, reuse=True)
    await client.components.start(str(source), component_id="counters", count=4, limits=limits)

    async def pinned() -> int:
        (there,) = await client.components.where("counters")
        return (there.stats or {})["pinned"]

    async def pinned_is(count: int) -> bool:
        return await pinned() == count

    make = f"{COUNTERS_NAME}#[constructor]counter"
    kept, forgotten = [await client.call("counters", make, start) for start in range(2)]
    await client.call_json("counters", make, [2])
    assert await pinned() == 3
    await eventually(lambda: pinned_is(2), what="the handle that was only shown to expire")
    del forgotten
    await eventually(lambda: pinned_is(1), what="the forgotten handle to expire")
    assert await client.call("counters", f"{COUNTERS_NAME}#[method]counter.get", kept) == 0
    await client.release(kept)
    await eventually(lambda: pinned_is(0))
    assert await client.call("counters", f"{COUNTERS_NAME}#drops") == 1
    with pytest.raises(NotFound):
        await client.call("counters", f"{COUNTERS_NAME}#[method]counter.get", kept)
    with pytest.raises(InvalidArgument, match="has no lease"):
        await client.release(Resource(b"made by a provider"))


async def test_a_handle_that_a_program_gives_away_is_not_renewed_by_it(
    client: Client, tmp_path: Path
) -> None:
    source = tmp_path / "counters.wat"
    await asyncio.to_thread(source.write_bytes, COUNTERS)
    limits = ComponentLimits(lease_seconds=1)
    await client.components.start(str(source), component_id="counters", limits=limits)
    renewals: asyncio.Queue[Msg] = asyncio.Queue()
    (there,) = await eventually(lambda: client.presence.instances("counters"))
    subject = handle_notice(client.lattice, "counters", there.instance_id, CLIENT_SOURCE, RENEW_FUNCTION)
    await client.bus.subscribe(subject, renewals.put)
    make = f"{COUNTERS_NAME}#[constructor]counter"
    kept, given = [await client.call("counters", make, start) for start in range(2)]
    assert await client.call("counters", f"{COUNTERS_NAME}#[static]counter.take", given) == 1
    async with asyncio.timeout(10):
        renewed = parse_tokens((await renewals.get()).data)
    assert renewed == [ComponentHandle.parse(kept.data).token]


async def test_an_auction_places_by_labels_and_load(client: Client) -> None:
    started = await client.components.start(
        str(TEXTSTATS), component_id="textstats", constraints={"zone": "b"}
    )
    assert started.host_name == "two"
    other = await client.components.start(str(TEXTSTATS), component_id="other")
    assert other.host_name == "one"
    with pytest.raises(Exception, match="already running on two"):
        await client.components.start(str(TEXTSTATS), component_id="textstats", constraints={"zone": "b"})


async def test_an_upload_is_kept_once_under_its_digest(client: Client) -> None:
    first = await client.components.send_to_store(str(TEXTSTATS))
    assert first == await client.components.send_to_store(str(TEXTSTATS))
    assert first.startswith("bus:sha256:")


async def test_labels_are_put_and_deleted_and_the_machines_own_refused(client: Client) -> None:
    await client.labels.put("one", "rack", "7")
    assert (await client.labels.get("one"))["rack"] == "7"
    await client.labels.delete("one", "rack")
    assert "rack" not in await client.labels.get("one")
    with pytest.raises(InvalidArgument, match="hostcore"):
        await client.labels.put("one", "hostcore.os", "beos")


async def test_hosts_are_found_by_id_name_or_the_beginning_of_either(client: Client) -> None:
    one = await client.hosts.resolve("one")
    assert await client.hosts.resolve(one[:20]) == one
    assert await client.hosts.resolve("on") == one
    with pytest.raises(NotFound, match="no host 'three'; there are: one"):
        await client.hosts.resolve("three")
    with pytest.raises(InvalidArgument, match="several"):
        await client.hosts.resolve("N")
    assert {info.friendly_name for info in await client.hosts.ping()} == {"one", "two"}


async def test_a_stopped_host_says_goodbye(client: Client) -> None:
    listening = asyncio.Event()
    async with aclosing(client.watch(listening.set)) as stream:
        watching = asyncio.create_task(_first(stream, "host_stopped"))
        await listening.wait()
        await client.hosts.stop("two", wait_ms=10_000)
        async with asyncio.timeout(10):
            assert (await watching).data["labels"]["zone"] == "b"
    await eventually(lambda: [p.name for p in client.presence.hosts()] == ["one"])


async def _first(stream: object, name: str) -> CloudEvent:
    async for event in stream:  # type: ignore[attr-defined]
        if isinstance(event, CloudEvent) and event.name == name:
            return event
    raise AssertionError("the stream ended")


async def test_a_config_that_links_name_is_kept_unless_forced(client: Client) -> None:
    await client.configs.put("settings", {"a": "1"})
    await client.links.put(LINK.model_copy(update={"target_config": ("settings",)}))
    with pytest.raises(Conflict, match=r"caller\.textstats"):
        await client.configs.delete("settings")
    await client.configs.delete("settings", force=True)
    with pytest.raises(NotFound):
        await client.configs.get("settings")
    report = await client.doctor()
    assert any("config settings does not exist" in finding.message for finding in report.findings)
    assert not report.healthy


async def test_a_link_that_is_not_there_cannot_be_deleted_or_read(client: Client) -> None:
    with pytest.raises(LinkNotFound, match="no link default of caller for demo:text"):
        await client.links.delete("caller", "demo", "text")
    with pytest.raises(LinkNotFound):
        await client.links.get(LinkSelector(source_id="caller"))


async def test_a_healthy_lattice_has_nothing_for_the_doctor(client: Client) -> None:
    await place(client)
    await client.links.put_and_wait(LINK)
    report = await client.doctor()
    assert report.healthy, report
    assert {finding.check for finding in report.findings} >= {"bus", "jetstream", "buckets", "hosts", "links"}


async def test_a_component_of_one_id_and_two_codes_starts_only_where_allowed_and_is_pointed_out(
    client: Client, lath: Lath, tmp_path: Path
) -> None:
    other = tmp_path / "other.wat"
    text = await asyncio.to_thread(TEXTSTATS.read_text)
    await asyncio.to_thread(other.write_text, text.replace('"shout"', '"yell"'))
    await client.components.start(str(TEXTSTATS), component_id="textstats", host="one")
    refused = await lath("start", "component", str(other), "--id", "textstats", "--host", "two")
    assert refused.code == 1 and "conflict" in refused.err and "on host one" in refused.err
    allowed = ("start", "component", str(other), "--id", "textstats", "--host", "two", "--allow-update")
    assert (await lath(*allowed)).code == 0
    (warning,) = [each for each in (await client.doctor()).findings if each.check == "components"]
    assert warning.level == "warning" and "textstats runs from different bytes" in warning.message
    assert "textstats runs from different bytes" in (await lath("get", "components")).out
    await client.components.update("textstats", str(other))
    (finding,) = [each for each in (await client.doctor()).findings if each.check == "components"]
    assert finding.level == "ok"
    assert "different bytes" not in (await lath("get", "components")).out


async def test_the_doctor_says_which_extras_are_installed_here_and_how_to_get_the_others(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "EXTRAS", {"http": ("aiohttp",), "more": ("aiohttp", "no_such.module")})
    (finding,) = [each for each in (await client.doctor()).findings if each.check == "extras"]
    assert finding.level == "ok"
    assert finding.message == (
        "installed on this machine: http; not installed: more (pip install 'lath[more]')"
    )


def test_the_extras_that_the_doctor_knows_are_those_of_the_distribution() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"].keys() >= doctor.EXTRAS.keys()


async def test_the_doctor_finds_what_is_no_link_and_a_bucket_with_other_settings(client: Client) -> None:
    await BucketStore(client.bus, "links").put("a.b.wasi.keyvalue.default", b"nonsense")
    config = stream_config("config", client.lattice) | {"max_msgs_per_subject": 3}
    await jetstream.call(client.bus, f"STREAM.UPDATE.{config['name']}", config)
    messages = [f.message for f in (await client.doctor()).findings if f.level == "problem"]
    assert any("a.b.wasi.keyvalue.default is no link" in message for message in messages)
    assert any("max_msgs_per_subject is 3, not 8" in message for message in messages)


async def test_the_doctor_says_that_the_bus_lost_its_state(client: Client, nats_server: Server) -> None:
    await client.configs.put("before", {"a": "1"})
    await nats_server.restart(keep_store=False)

    async def told() -> bool:
        report = await client.doctor()
        return any(finding.check == "state" for finding in report.findings)

    await eventually(told, timeout_s=60)


async def test_what_is_missing_for_a_component_is_named_with_the_command(
    client: Client, tmp_path: object
) -> None:

    needy = Path(str(tmp_path)) / "needy.wat"
    needy.write_text(
        """(component
          (import "demo:text/stats@0.1.0" (instance $i
            (export "shout" (func (param "text" string) (result string)))))
          (core module $m (memory (export "memory") 1)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 8))
          (core instance $m (instantiate $m))
          (alias core export $m "memory" (core memory $memory))
          (alias core export $m "realloc" (core func $realloc))
          (alias export $i "shout" (func $shout))
          (core func $lowered (canon lower (func $shout) (memory (core memory $memory))
            (realloc (core func $realloc)))))"""
    )
    await client.components.start(str(needy), component_id="needy", host="one")
    found = await client.components.inspect("needy")
    assert [(status.interface, status.provided) for status in found.import_status] == [
        ("demo:text/stats@0.1.0", "missing")
    ]
    assert "lath link put needy TARGET demo:text --interface stats" in found.problems[0]


async def test_no_lattice_is_an_error_of_its_own(nats_server: Server) -> None:
    with pytest.raises(NoLattice, match="has no lattice empty"):
        async with Client(nats_server.url, lattice="empty"):
            pass
    with pytest.raises(NoLattice, match="lath up"):
        async with Client("nats://127.0.0.1:9", connect_timeout_ms=500):
            pass


async def test_closing_twice_is_fine(client: Client) -> None:
    await client.close()
    await client.close()
