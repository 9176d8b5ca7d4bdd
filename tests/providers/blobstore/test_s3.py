"""The blobstore provider on S3 passes the contract, on a real server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import trustme
from pytest_asyncio import fixture
from s3_server import S3Server, s3_server

from lath.bus import Bus
from lath.errors import LathError
from lath.model import LinkSelector
from lath.provider import Provider
from lath.testing import eventually
from lath.testing.blobstore import (
    BLOBSTORE,
    MIB,
    OpenContainer,
    breaking_off,
    create,
    hanging,
    stream_of,
)
from lath.testing.blobstore_contract import BlobstoreContract
from lath.testing.provider import ProviderTest
from lath_providers.blobstore_s3 import BlobstoreS3, BlobstoreS3Config
from lath_providers.blobstore_s3.client import make_client
from lath_providers.blobstore_s3.upload import upload


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


class TestBlobstoreS3(BlobstoreContract):
    names_nest: ClassVar[bool] = False  # this server keeps objects as files, and keys as their paths
    memory_bytes_max: ClassVar[int] = 48 * MIB  # three parts of 8 MiB, and what they are made of

    @pytest.fixture(autouse=True)
    def _bucket(self, server: S3Server) -> None:
        self.config = server.link_config(server.make_bucket())

    def make_provider(self) -> Provider:
        return BlobstoreS3()

    def link_config(self) -> dict[str, str]:
        return self.config


@fixture
async def running(bus: Bus) -> AsyncIterator[ProviderTest]:
    async with ProviderTest(bus, BlobstoreS3()) as test:
        yield test


@pytest.fixture
def bucket(server: S3Server) -> str:
    return server.make_bucket()


def parts(server: S3Server, bucket: str) -> list[str]:
    """What is left of writes in parts: the server keeps them as files."""
    folder = server.data / bucket / ".sgwtmp"
    return [name for _, _, names in os.walk(folder) for name in names]


# --- the bucket --------------------------------------------------------------------------------------


async def test_a_folder_of_a_bucket_is_shared_by_its_name(
    running: ProviderTest, server: S3Server, bucket: str
) -> None:
    folder = server.data / bucket / "team" / "photos" / "2024"
    folder.mkdir(parents=True)
    (folder / "cat.jpg").write_bytes(b"cat")
    config = {**server.link_config(bucket), "prefix": "team", "containers": "photos"}
    linked = await running.link(config=config)
    photos = OpenContainer(linked, await linked.call(BLOBSTORE, "get-container", "photos"))
    assert await photos.names() == ["2024/cat.jpg"]
    assert await photos.read("2024/cat.jpg") == b"cat"
    await photos.write("2024/dög é.jpg", b"dog")
    assert (folder / "dög é.jpg").read_bytes() == b"dog"
    assert (await photos.info()).created_at == 0


async def test_a_write_that_ends_otherwise_leaves_no_parts(
    running: ProviderTest, server: S3Server, bucket: str
) -> None:
    container = await create(await running.link(config=server.link_config(bucket)), "things")
    with pytest.raises(LathError):
        await container.write("broken", breaking_off(20 * MIB))
    stuck = asyncio.Event()
    writing = asyncio.ensure_future(container.write("given up", hanging(20 * MIB, stuck)))
    await stuck.wait()
    await eventually(lambda: parts(server, bucket))
    writing.cancel()
    await eventually(lambda: parts(server, bucket) == [], 20)
    await container.write("whole", stream_of(20 * MIB), timeout_ms=60_000)
    assert await container.names() == ["whole"]
    assert (await container.object_info("whole")).size == 20 * MIB


async def test_an_upload_that_is_cancelled_while_its_source_hangs_leaves_no_parts(
    server: S3Server, bucket: str
) -> None:
    config = BlobstoreS3Config.model_validate(server.link_config(bucket))
    client = await asyncio.to_thread(make_client, config)
    stuck = asyncio.Event()
    uploading = asyncio.ensure_future(upload(client, "key", hanging(20 * MIB, stuck), 5 * MIB))
    await stuck.wait()
    await eventually(lambda: parts(server, bucket))
    uploading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await uploading
    assert parts(server, bucket) == []


# --- what is wrong with a link -----------------------------------------------------------------------


async def failure(running: ProviderTest, config: dict[str, str]) -> str:
    held = await running.settled(await running.put(config=config))
    assert held.state == "failed"
    return held.error or ""


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"bucket": "No Bucket"}, "bucket"),
        ({"prefix": "a//b"}, "prefix"),
        ({"endpoint": "ftp://example.org"}, "endpoint"),
        ({"endpoint": "http://user:hidden@example.org"}, "endpoint"),
        ({"allow_http": "false"}, "allow_http"),
        ({"secret_access_key": ""}, "secret_access_key"),
        ({"part_bytes": "1000"}, "part_bytes"),
        ({"ca": "/nowhere/ca.pem"}, "ca"),
    ],
)
async def test_a_wrong_value_fails_the_link_naming_its_field(
    running: ProviderTest, server: S3Server, wrong: dict[str, str], field: str
) -> None:
    config = {**server.link_config("any-bucket"), **wrong}
    error = await failure(running, config)
    assert field in error
    assert "hidden" not in error


async def test_a_bucket_that_is_not_there_fails_the_link_and_heals(
    running: ProviderTest, server: S3Server
) -> None:
    bucket = f"{server.make_bucket()}-later"
    link = await running.put(config=server.link_config(bucket))
    held = await running.settled(link)
    assert (held.error or "").startswith(f"bucket: there is no bucket '{bucket}': make it first")
    assert "NoSuchBucket" in (held.error or "")
    (server.data / bucket).mkdir()
    await eventually(lambda: (running.instance.held(LinkSelector())[0]).state == "active")
    await create(running.by(link), "things")


async def test_a_server_with_a_certificate_is_trusted_through_its_ca_alone(
    running: ProviderTest, tmp_path: Path
) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server = S3Server(tmp_path / "server", (tmp_path / "cert.pem", tmp_path / "key.pem"))
    await server.start()
    try:
        config = server.link_config(server.make_bucket())
        assert "certificate" in await failure(running, config)
        trusting = await running.link(name="trusting", config={**config, "ca": str(tmp_path / "ca.pem")})
        container = await create(trusting, "things")
        await container.write("object", b"value")
        assert await container.read("object") == b"value"
    finally:
        await server.stop()
