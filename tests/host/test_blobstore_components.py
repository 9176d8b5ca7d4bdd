"""Components that keep objects by `wasi:blobstore`: the same holds beside their provider and over the bus."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from blob_components import KEEPER, keeper
from blob_provider import Blobs

from lath.bus import Bus
from lath.config import ConfigStore
from lath.errors import LathError
from lath.model import PRESENCE_TTL_MS, Link, LinkSelector, LinkSpec
from lath.provider import ProviderInstance
from lath.rpc.stream_port import StreamPort
from lath.testing import eventually
from lath_host.components.component import Component
from lath_host.engine.blobs.incoming import AT_ONCE_BYTES_MAX
from lath_host.engine.blobs.outgoing import UNSENT_BYTES_MAX
from lath_host.providers.builtin import BuiltinProvider
from lath_host.providers.supervisor import ProviderSpec
from lath_host.testing import InProcessLattice
from lath_providers.blobstore_fs.provider import BlobstoreFs

MIB = 1024 * 1024
RESIDENT_MIB_MAX = 16
"""What 64 MiB on their way may add to the process that has the guest, the host, the provider and the bus's
client in it: windows and pipes of some MiB, and what the allocator keeps."""


@dataclass
class Way:
    """A component, and the provider that it is linked to.

    Attributes:
        lattice: Where they run.
        instance: The provider's.
        blobs: The provider.
    """

    lattice: InProcessLattice
    instance: ProviderInstance
    blobs: Blobs

    @property
    def objects(self) -> dict[str, bytes]:
        return self.blobs.containers["c"]

    @property
    def component(self) -> Component:
        return self.lattice.hosts[0].services.components.get("app")

    async def call(self, function: str, name: str = "x", count: int = 0, **options: Any) -> Any:
        """What a function of the component returns: a number, or an error in words."""
        result = await self.lattice.call("app", KEEPER, function, name, count, **options)
        return result["ok"] if "ok" in result else result["err"]

    async def failure(self, function: str, name: str = "x", count: int = 0, **options: Any) -> LathError:
        return await self.lattice.failure("app", KEEPER, function, name, count, **options)

    async def idle(self) -> None:
        """Waits until nothing goes on any more, anywhere."""
        watched = self.blobs.watched
        await eventually(lambda: watched.reading == watched.writing == 0, what="no stream to be left")
        await eventually(lambda: self.component._stats().running == 0, what="no call to be left")
        for bus in (self.component._parts.bus, self.instance._bus):
            port = await StreamPort.of(bus)
            await eventually(lambda port=port: port.idle, what="no stream to be left on the bus")  # type: ignore[misc]


async def link(way: Way, name: str = "default", config: str = "") -> Link:
    spec = LinkSpec(
        source_id="app", target="blobs", name=name, wit_namespace="wasi", wit_package="blobstore",
        interfaces=("blobstore", "container"), target_config=(config,) if config else (),
    )  # fmt: skip
    put = await way.lattice.links.put(spec)
    for host in way.lattice.hosts:
        await host.services.routes.settled(put.key, put.revision)
    held = await way.instance.settled(put.key, put.revision)
    assert held.state == "active", held.error
    return put


@pytest.fixture(params=["beside", "over the bus"])
async def way(request: pytest.FixtureRequest, lattice_in_process: InProcessLattice) -> AsyncIterator[Way]:
    lattice = lattice_in_process
    await lattice.start_component("app", keeper())
    blobs = Blobs()
    blobs.containers["c"] = {}
    async with AsyncExitStack() as parts:
        if request.param == "beside":
            instance = await beside(lattice, blobs, parts)
        else:
            bus = await Bus.connect(lattice.server.url, lattice=lattice.bus.lattice, name="blobs")
            await parts.enter_async_context(bus)
            instance = ProviderInstance(blobs, bus, provider_id="blobs")
            await parts.enter_async_context(instance)
        way = Way(lattice, instance, blobs)
        await link(way)
        yield way
        await way.idle()


async def beside(lattice: InProcessLattice, blobs: Blobs, parts: AsyncExitStack) -> ProviderInstance:
    """The provider as one that is built into the component's host."""
    host = lattice.hosts[0]
    of_host = host.services.components.get("app")._parts

    async def config() -> dict[str, str]:
        return {}

    provider = BuiltinProvider(
        spec=ProviderSpec("blobs", "builtin:blobs"), provider=lambda: blobs, bus=of_host.bus, host_id=host.id,
        targets=of_host.targets, config=config, presence_ttl_ms=PRESENCE_TTL_MS, caller=of_host.caller,
        secret_keys=None,
    )  # fmt: skip
    await provider.start()
    assert provider._instance is not None
    parts.callback(of_host.targets.remove, "blobs", provider)
    parts.push_async_callback(provider._instance.close)
    return provider._instance


@pytest.mark.parametrize("function", ["write", "write-late"])
async def test_a_value_is_stored_whichever_way_its_guest_writes_it(way: Way, function: str) -> None:
    for size in (0, 1, 70_000, 3 * MIB):
        assert await way.call(function, "x", size) == size
        assert way.objects == {"x": b"a" * size}
        assert await way.call("info") == size


async def test_an_object_is_read_as_a_stream_and_at_once_and_in_part(way: Way) -> None:
    data = random.Random(7).randbytes(3 * MIB + 1)
    way.objects["x"] = data
    assert await way.call("size") == len(data)
    assert await way.call("read") == len(data)
    assert await way.call("read-sync") == len(data)
    assert await way.call("read-range", "x", 19) == 10
    assert await way.call("through") == 0
    assert way.objects["copy"] == data


async def test_64_mib_are_written_and_read_in_bounded_memory(way: Way) -> None:
    size = 64 * MIB
    assert await way.call("write", "discarded", 4 * MIB) == 4 * MIB
    assert await way.call("read", f"endless-{4 * MIB}") == 4 * MIB
    gc.collect()
    before, peak, done = resident_mib(), 0.0, False

    async def watch() -> None:
        nonlocal peak
        while not done:
            peak = max(peak, resident_mib())
            await asyncio.sleep(0.005)

    watching = asyncio.create_task(watch())
    assert await way.call("write", "discarded", size, timeout_ms=60_000) == size
    assert await way.call("read", f"endless-{size}", timeout_ms=60_000) == size
    done = True
    await watching
    assert way.blobs.watched.received == size + 4 * MIB
    assert peak - before < RESIDENT_MIB_MAX


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / MIB


async def test_a_provider_that_is_slow_to_read_holds_up_its_guest(way: Way) -> None:
    watched = way.blobs.watched
    writing = asyncio.create_task(way.call("write", "discarded", 256 * MIB, timeout_ms=60_000))
    await eventually(lambda: watched.received > 4 * MIB)
    way.blobs.write_may_go_on.clear()
    before = resident_mib()
    for _ in range(2000):
        await asyncio.sleep(0)
    assert way.component._stats().running == 1 and not writing.done()
    assert resident_mib() - before < RESIDENT_MIB_MAX
    writing.cancel()
    await asyncio.wait([writing])
    way.blobs.write_may_go_on.set()
    await eventually(lambda: watched.broken)


async def test_what_a_container_says_is_what_the_guest_gets(way: Way) -> None:
    way.objects["there"] = b"12345"
    assert await way.call("has", "there") == 1 and await way.call("has", "missing") == 0
    assert await way.call("info", "there") == 5
    assert await way.call("copy", "there") == 0
    assert way.objects["copy"] == way.objects["there"]
    assert await way.call("move", "there") == 0
    assert way.objects == {"copy": b"12345"}
    for function in ("info", "read", "size", "copy"):
        assert await way.call(function, "missing") == "there is no object missing in c"
    del way.blobs.containers["c"]
    assert await way.call("write", "x", 1) == "there is no container c"
    way.blobs.containers["c"] = {}


async def test_names_are_listed_as_they_are_asked_for(way: Way) -> None:
    way.blobs.containers["c"] = {f"object {number:05}": b"" for number in range(1000)}
    assert await way.call("list", count=300) == 1000
    assert await way.call("list", count=2**64 - 1) == 1000
    assert await way.call("skip", count=10) == 10
    assert await way.call("skip", count=2000) == 1000
    way.blobs.containers["c"] = {}
    assert await way.call("list", count=3) == 0


async def test_a_listing_that_nobody_reads_on_is_given_up(way: Way) -> None:
    way.blobs.containers["c"] = {f"object {number:05}": b"" for number in range(100_000)}
    assert await way.call("list-one") == 1
    await way.idle()
    assert way.blobs.watched.pieces < 100_000


async def test_a_value_that_was_not_finished_is_not_stored(way: Way) -> None:
    way.objects["x"] = b"before"
    broken = way.blobs.watched.broken
    for number, function in enumerate(("write-and-drop", "write-and-return", "write-and-trap")):
        if function == "write-and-trap":
            assert (await way.failure(function, "x", MIB)).kind == "trap"
        else:
            assert await way.call(function, "x", MIB) == MIB
        await eventually(lambda number=number: len(broken) == number + 1)  # type: ignore[misc]
        assert way.objects == {"x": b"before"}
    assert (await way.failure("finish-before-drop", "x", MIB)).kind == "trap"
    await way.idle()
    assert way.objects == {"x": b"before"}


async def test_a_guest_that_is_cancelled_amid_a_write_stores_nothing(way: Way) -> None:
    error = await way.failure("write-and-loop", "x", MIB, timeout_ms=500)
    assert error.kind == "deadline_exceeded"
    await way.idle()
    assert way.objects == {}


async def test_a_value_that_is_sent_nowhere_or_twice_is_refused_in_words(way: Way) -> None:
    assert "write-data was not called" in await way.call("write-nowhere", "x", 1000)
    assert "has been given to write-data already" in await way.call("write-twice", "x", 1000)
    assert await way.call("second-body") == 1
    await way.idle()
    assert way.objects == {}


async def test_more_than_is_kept_of_a_value_that_is_sent_nowhere_yet_is_refused(way: Way) -> None:
    assert await way.call("write-late", "x", UNSENT_BYTES_MAX) == UNSENT_BYTES_MAX
    assert len(way.objects.pop("x")) == UNSENT_BYTES_MAX
    assert "limit_exceeded" in await way.call("write-late", "x", UNSENT_BYTES_MAX + 1)
    await way.idle()
    assert way.objects == {}


async def test_a_provider_that_refuses_midway_ends_the_write_with_its_words(way: Way) -> None:
    way.blobs.refuse_after = MIB
    assert await way.call("write", "x", 64 * MIB) == "the disk is full"
    assert way.objects == {}


async def test_an_object_that_breaks_off_is_not_taken_for_whole(way: Way) -> None:
    assert await way.call("read", f"broken-{3 * MIB}") == "broke off"
    assert "the disk is on fire" in await way.call("read-sync", f"broken-{3 * MIB}")


async def test_a_guest_that_reads_no_further_lets_the_object_go(way: Way) -> None:
    name = f"endless-{1 << 40}"
    assert await way.call("read-some", name) == 1000
    await way.idle()
    assert await way.call("size", name) == 1 << 40
    await way.idle()
    assert (await way.failure("read-and-trap", name)).kind == "trap"
    await way.idle()


async def test_an_object_too_large_to_be_had_at_once_is_refused_in_words(way: Way) -> None:
    assert "as a stream" in await way.call("read-sync", f"endless-{AT_ONCE_BYTES_MAX + 1}")


async def test_a_provider_that_does_not_begin_runs_into_the_time_out(way: Way) -> None:
    way.blobs.write_may_go_on.clear()
    for function, name in (("write", "x"), ("read", "hangs")):
        try:  # the guest is told, and may be just in time to pass it on
            outcome = await way.call(function, name, 1, timeout_ms=300)
        except LathError as error:
            outcome = str(error)
        assert "deadline_exceeded" in outcome
    way.blobs.write_may_go_on.set()


async def test_a_purge_amid_a_read_is_told(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lath.provider.slot.CALLS_GRACE_S", 0.1)
    reading = asyncio.create_task(way.call("read", f"endless-{1 << 40}", timeout_ms=60_000))
    await eventually(lambda: way.blobs.watched.pieces > 100)
    await way.instance.purge(LinkSelector(), hold=False)
    assert await reading == "broke off"


async def test_without_a_link_it_is_told_so(way: Way) -> None:
    await way.lattice.links.delete("app", "wasi", "blobstore", "default")
    assert "link_not_found" in await eventually(lambda: told(way), what="the link to be gone")


async def told(way: Way) -> str:
    answer = await way.call("read")
    assert "link_not_found" in str(answer), answer
    return str(answer)


async def test_bytes_over_the_bus_are_counted(way: Way) -> None:
    usage = way.component._usage
    out, come = usage.bytes_out, usage.bytes_in
    await way.call("write", "x", MIB)
    await way.call("read")
    beside = way.component._parts.targets.find("blobs") is not None
    assert (usage.bytes_out - out >= MIB) is not beside
    assert (usage.bytes_in - come >= MIB) is not beside


async def test_imports_with_labels_go_by_the_links_of_their_names(way: Way) -> None:
    await way.lattice.start_component("app", keeper("photos", "photos-store"), count=1, allow_update=True)
    await link(way, "photos")
    await link(way, "photos-store")
    assert await way.call("write", "x", 1000) == 1000
    assert await way.call("read") == 1000
    assert await way.call("list", count=3) == 1


async def test_an_object_that_a_guest_writes_is_a_file_of_the_providers_folder(
    lattice_in_process: InProcessLattice, tmp_path: Path
) -> None:
    lattice, folder = lattice_in_process, tmp_path / "c"
    folder.mkdir()
    await ConfigStore(lattice.bus).put("files", {"root": str(tmp_path), "containers": "c"})
    async with (
        await Bus.connect(lattice.server.url, lattice=lattice.bus.lattice, name="blobs") as bus,
        ProviderInstance(BlobstoreFs(), bus, provider_id="blobs") as instance,
    ):
        way = Way(lattice, instance, Blobs())
        await lattice.start_component("app", keeper())
        await link(way, config="files")
        assert await way.call("write", "x", 3 * MIB) == 3 * MIB
        assert (folder / "x").read_bytes() == b"a" * 3 * MIB
        assert await way.call("through") == 0
        assert (folder / "copy").read_bytes() == (folder / "x").read_bytes()
        assert await way.call("write-and-drop", "x", 1000) == 1000
        assert await way.call("info") == 3 * MIB
        assert await way.call("list", count=1) == 2
