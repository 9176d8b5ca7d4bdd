"""Components on their way to hosts: files are read here and put into the lattice's artifact store."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Final

from nats.js.api import ObjectStoreConfig
from nats.js.errors import NotFoundError
from nats.js.object_store import ObjectStore

from lath import subjects
from lath.bus import Bus
from lath.errors import InvalidArgument, NotFound, PayloadTooLarge
from lath.names import shown

ARTIFACT_BYTES_MAX: Final = 256 * 1024 * 1024
"""What hosts accept at most."""
_WASM_MAGIC: Final = b"\0asm"


def is_file(ref: str) -> bool:
    """Whether a reference is a path on this machine, and not `file:`, `bus:` or another scheme."""
    scheme, colon, _ = ref.partition(":")
    return not colon or "/" in scheme or "." in scheme


async def local_ref(ref: str) -> str:
    """The `file://` reference of a path, for hosts that see the same files.

    Raises:
        NotFound: There is no such file.
    """
    return (await asyncio.to_thread(_existing, ref)).as_uri()


async def upload(bus: Bus, ref: str) -> str:
    """Puts a component file into the artifact store, unless it is there; returns `bus:sha256:{digest}`.

    Raises:
        NotFound: There is no such file.
        InvalidArgument: It is no component.
        PayloadTooLarge: It has more than `ARTIFACT_BYTES_MAX`.
    """
    data = await asyncio.to_thread(_read, ref)
    digest = hashlib.sha256(data).hexdigest()
    store = await _artifact_store(bus)
    try:
        await store.get_info(digest)
    except NotFoundError:
        await store.put(digest, data)
    return f"bus:sha256:{digest}"


async def _artifact_store(bus: Bus) -> ObjectStore:
    """The lattice's artifact store, made on first use with as many replicas as its links have."""
    jetstream = bus.nc.jetstream()
    name = subjects.artifact_store(bus.lattice)
    try:
        return await jetstream.object_store(name)
    except NotFoundError:
        links = await jetstream.stream_info(subjects.stream("links", bus.lattice))
        replicas = links.config.num_replicas or 1
        return await jetstream.create_object_store(name, ObjectStoreConfig(bucket=name, replicas=replicas))


def _existing(ref: str) -> Path:
    path = Path(ref).expanduser().resolve()
    if not path.is_file():
        raise NotFound(f"there is no file {shown(ref)}: give a component's path, file://… or bus:sha256:…")
    return path


def _read(ref: str) -> bytes:
    path = _existing(ref)
    size = path.stat().st_size
    if size > ARTIFACT_BYTES_MAX:
        raise PayloadTooLarge(f"{path} has {size} bytes; a component may have {ARTIFACT_BYTES_MAX}")
    data = path.read_bytes()
    if not data.startswith(_WASM_MAGIC) and path.suffix != ".wat":
        raise InvalidArgument(f"{path} is no component: build one with 'lath build'")
    return data
