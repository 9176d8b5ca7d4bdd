"""The blobstore provider on a file system passes the contract, and stays below its root."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pytest_asyncio import fixture

from lath.bus import Bus
from lath.errors import ConnectionLost, DeadlineExceeded, LathError, LinkFailed
from lath.model import LinkSelector
from lath.names import new_id
from lath.provider import Provider
from lath.server import Server
from lath.testing import eventually
from lath.testing.blobstore import (
    BLOBSTORE,
    MIB,
    OpenContainer,
    breaking_off,
    create,
    exists,
    hanging,
    keep_number,
    kept_numbers,
    refusal,
)
from lath.testing.blobstore_contract import BlobstoreContract
from lath.testing.process import ProviderProcess
from lath.testing.provider import Linked, ProviderTest
from lath_providers.blobstore_fs import BlobstoreFs
from lath_providers.blobstore_fs.threads import THREADS_MAX
from lath_providers.blobstore_fs.tree import Tree

SHARED = "photos"
CROWD = 4 * THREADS_MAX


class TestBlobstoreFs(BlobstoreContract):
    @pytest.fixture(autouse=True)
    def _root(self, root: Path) -> None:
        self.root = root

    def make_provider(self) -> Provider:
        return BlobstoreFs()

    def link_config(self) -> dict[str, str]:
        return {"root": str(self.root)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@fixture
async def running(bus: Bus, nats_server: Server) -> AsyncIterator[ProviderTest]:
    async with ProviderTest(bus, BlobstoreFs(), nats_url=nats_server.url) as test:
        yield test


@fixture
async def linked(running: ProviderTest, root: Path) -> Linked:
    return await running.link(config={"root": str(root), "containers": SHARED})


@fixture
async def photos(linked: Linked) -> OpenContainer:
    return await create(linked, SHARED)


def unfinished(root: Path) -> list[str]:
    return os.listdir(root / "=unfinished")


# --- the files ---------------------------------------------------------------------------------------


async def test_a_shared_container_is_a_folder_and_its_objects_are_files(
    photos: OpenContainer, root: Path
) -> None:
    await photos.write("cat.jpg", b"cat")
    await photos.write("2024/dög", b"dog")
    (root / SHARED / "put-there").write_bytes(b"by another")
    assert (root / SHARED / "cat.jpg").read_bytes() == b"cat"
    assert (root / SHARED / "2024=2Fd=C3=B6g").read_bytes() == b"dog"
    assert await photos.read("put-there") == b"by another"
    assert await photos.names() == ["2024/dög", "cat.jpg", "put-there"]


async def test_what_is_no_object_is_neither_listed_nor_read(photos: OpenContainer, root: Path) -> None:
    folder = root / SHARED
    os.mkfifo(folder / "fifo")
    (folder / "folder").mkdir()
    (folder / "=zz").write_bytes(b"no name that the provider gives")
    (folder / "a b").write_bytes(b"likewise")
    assert await photos.names() == []
    for name in ("fifo", "folder"):
        assert not await photos.has(name)
        assert name in await refusal(photos.read(name))


async def test_a_folder_that_others_made_is_a_container(linked: Linked, root: Path) -> None:
    (root / SHARED).mkdir()
    (root / SHARED / "old.txt").write_bytes(b"old")
    photos = OpenContainer(linked, await linked.call(BLOBSTORE, "get-container", SHARED))
    assert await photos.read("old.txt") == b"old"
    assert abs((await photos.info()).created_at - time.time()) < 60


# --- links that lead out -----------------------------------------------------------------------------


async def test_a_symbolic_link_to_an_object_is_not_followed(
    photos: OpenContainer, root: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (root / SHARED / "leak").symlink_to(secret)
    long = "n" * 300
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ("n" * 100)).write_bytes(b"secret")
    (root / SHARED / ("n" * 200 + "=+")).symlink_to(elsewhere)
    for name in ("leak", long):
        assert not await photos.has(name)
        assert await refusal(photos.read(name))
        assert await refusal(photos.object_info(name))
    assert await photos.names() == []
    await photos.write("leak", b"mine")
    assert await photos.read("leak") == b"mine"
    assert secret.read_bytes() == b"secret"
    assert await refusal(photos.write(long, b"mine"))
    await photos.delete(long)
    assert (elsewhere / ("n" * 100)).read_bytes() == b"secret"


async def test_a_symbolic_link_to_a_container_is_not_followed(
    linked: Linked, root: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "object").write_bytes(b"secret")
    own = await create(linked, "own")
    (root / SHARED).symlink_to(elsewhere)
    assert not await exists(linked, SHARED)
    shared = OpenContainer(linked, own.handle)
    assert await refusal(linked.call(BLOBSTORE, "get-container", SHARED))
    assert await refusal(linked.call(BLOBSTORE, "delete-container", SHARED))
    assert await shared.names() == []
    assert (elsewhere / "object").read_bytes() == b"secret"
    (root / "=links").rename(root / "moved")
    (root / "=links").symlink_to(elsewhere)
    assert await refusal(own.write("object", b"mine"))
    assert (elsewhere / "object").read_bytes() == b"secret"


# --- writes that end otherwise -----------------------------------------------------------------------


async def test_writes_leave_nothing_unfinished(photos: OpenContainer, root: Path) -> None:
    await photos.write("whole", b"1")
    with pytest.raises(LathError):
        await photos.write("broken", breaking_off(MIB))
    stuck = asyncio.Event()
    writing = asyncio.ensure_future(photos.write("given up", hanging(MIB, stuck)))
    await stuck.wait()
    assert len(unfinished(root)) == 1
    writing.cancel()
    await eventually(lambda: unfinished(root) == [])
    assert await photos.names() == ["whole"]


async def test_what_writers_that_died_have_left_goes_after_a_day(running: ProviderTest, root: Path) -> None:
    (root / "=unfinished").mkdir()
    for name, age_h in (("old", 25), ("new", 1)):
        (root / "=unfinished" / name).write_bytes(b"part of an object")
        then = time.time() - age_h * 3600
        os.utime(root / "=unfinished" / name, (then, then))
    (root / "=unfinished" / "container").mkdir()
    (root / "=unfinished" / "container" / "object").write_bytes(b"deleted, but not wholly")
    await running.link(config={"root": str(root)})
    assert unfinished(root) == ["new"]


async def test_a_killed_provider_loses_nothing_acknowledged_and_leaves_no_half_object(
    bus: Bus, nats_server: Server, root: Path
) -> None:
    async with ProviderProcess(bus, nats_server.url, "lath_providers.blobstore_fs", BlobstoreFs()) as process:
        linked = await process.link({"root": str(root)})
        for number in range(5):
            await keep_number(linked, number)
        container = await create(linked, "things")
        await container.write("object", b"old")
        stuck = asyncio.Event()
        writing = asyncio.ensure_future(container.write("object", hanging(MIB, stuck)))
        await stuck.wait()
        await process.kill()
        await asyncio.wait({writing})
        assert writing.exception() is not None
        await process.start()
        assert await kept_numbers(linked) == set(range(5))
        assert await container.read("object") == b"old"
        assert await container.names() == ["object"]


# --- a root that is not there ------------------------------------------------------------------------


async def test_a_root_that_is_not_there_fails_the_link_and_heals(
    running: ProviderTest, tmp_path: Path
) -> None:
    link = await running.put(config={"root": str(tmp_path / "later")})
    held = await running.settled(link)
    assert held.state == "failed"
    assert str(tmp_path / "later") in (held.error or "")
    (tmp_path / "later").mkdir()
    await eventually(lambda: _state(running) == "active")
    await create(running.by(link), "things")


async def test_a_root_that_goes_away_fails_the_next_call_and_the_link_which_heals(
    running: ProviderTest, photos: OpenContainer, root: Path
) -> None:
    await photos.write("object", b"value")
    unmounted = root.with_name("unmounted")
    os.rename(root, unmounted)
    with pytest.raises((LinkFailed, ConnectionLost), match=str(root)):
        await photos.read("object")
    await eventually(lambda: _state(running) == "failed")
    os.rename(unmounted, root)
    await eventually(lambda: _state(running) == "active")
    assert await photos.read("object") == b"value"


async def test_a_changed_root_is_used_from_then_on_and_the_old_one_no_more(
    running: ProviderTest, linked: Linked, photos: OpenContainer, root: Path, tmp_path: Path
) -> None:
    await photos.write("object", b"old")
    (tmp_path / "other").mkdir()
    await running.configure(linked.link, {"root": str(tmp_path / "other"), "containers": SHARED})
    changed = await running.current(linked.link)
    assert (await running.settled(changed)).state == "active"
    there = await create(running.by(changed), SHARED)
    assert await there.names() == []
    await there.write("object", b"new")
    assert (root / SHARED / "object").read_bytes() == b"old"
    assert (tmp_path / "other" / SHARED / "object").read_bytes() == b"new"


async def test_a_file_system_that_hangs_ends_calls_at_their_deadline_and_serves_again_after_it(
    running: ProviderTest, linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    look = Tree.container_exists

    def hang(tree: Tree, name: str) -> bool:
        goes_on.wait(30)
        return look(tree, name)

    monkeypatch.setattr(Tree, "container_exists", hang)
    calls = [exists(linked.within(300), SHARED) for _ in range(CROWD)]
    for ended in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(ended, DeadlineExceeded)
    goes_on.set()
    await eventually(lambda: running.calls_in_flight(linked.link) == 0)
    assert await asyncio.gather(*(exists(linked, SHARED) for _ in range(CROWD))) == [False] * CROWD


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "root"),
        ({"root": "relative/path"}, "root"),
        ({"root": "/tmp", "containers": "x" * 64}, "containers"),
    ],
)
async def test_a_wrong_value_fails_the_link_naming_its_field(
    running: ProviderTest, config: dict[str, str], field: str
) -> None:
    link = await running.put(name=new_id()[:8], config=config)
    held = await running.settled(link)
    assert held.state == "failed"
    assert field in (held.error or "")


def _state(running: ProviderTest) -> str:
    (held,) = running.instance.held(LinkSelector())
    return held.state
