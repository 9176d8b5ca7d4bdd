"""Where the bytes of components come from: files, and the lattice's own object store.

A reference is `file:///absolute/path.wasm` (or `.wat`), or `bus:sha256:{hex}` for a component that a client
put into the artifact store; its digest is checked, so that what runs is what was meant.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from lath import subjects
from lath.bus import Bus
from lath.errors import InvalidArgument, NotFound, PayloadTooLarge, Unavailable
from lath.names import shown

ARTIFACT_BYTES_MAX: Final = 256 * 1024 * 1024
"""A Python component has 18 MB and a large one 60 MB: beyond this it is a mistake, and would fill memory."""
REF_CHARS_MAX: Final = 4096
_BUS_REF: Final = re.compile(r"bus:sha256:([0-9a-f]{64})\Z")


def check_ref(ref: str) -> str:
    """Returns `ref` when it is a reference of a known form; nothing is read.

    Raises:
        InvalidArgument: It is not, naming the known forms.
    """
    if len(ref) <= REF_CHARS_MAX and (_BUS_REF.match(ref) or _file_path(ref)):
        return ref
    hint = " (OCI references are not supported yet)" if ":" not in ref or "/" in ref.partition(":")[0] else ""
    raise InvalidArgument(
        f"component reference {shown(ref)} is not valid{hint}: "
        "use file:///absolute/path.wasm or bus:sha256:{64 hex digits}"
    )


async def load(ref: str, bus: Bus) -> bytes:
    """Reads the bytes that a reference names.

    Raises:
        InvalidArgument: The reference is of no known form, or the digest of what is stored differs.
        NotFound: Nothing is there.
        PayloadTooLarge: More than `ARTIFACT_BYTES_MAX`.
        Unavailable: The bus could not deliver it.
    """
    check_ref(ref)
    stored = _BUS_REF.match(ref)
    if stored:
        return await _load_from_bus(ref, stored.group(1), bus)
    path = _file_path(ref)
    assert path is not None, "check_ref lets only known forms pass"
    return await asyncio.to_thread(_read, path)


def _file_path(ref: str) -> Path | None:
    if not ref.startswith("file://") or "\0" in ref:
        return None
    parts = urlsplit(ref)
    path = Path(unquote(parts.path))
    return path if parts.netloc in ("", "localhost") and path.is_absolute() else None


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > ARTIFACT_BYTES_MAX:
            raise PayloadTooLarge(f"{path} has {size} bytes; a component may have {ARTIFACT_BYTES_MAX}")
        return path.read_bytes()
    except OSError as e:
        raise NotFound(f"component file {path} cannot be read on this host: {e.strerror or e}") from None


async def _load_from_bus(ref: str, digest: str, bus: Bus) -> bytes:
    try:
        store = await bus.nc.jetstream().object_store(subjects.artifact_store(bus.lattice))
        found = await store.get(digest)
    except JetStreamError as e:
        raise NotFound(f"{ref} is not in the lattice's artifact store: upload it first ({e})") from None
    except (NatsError, TimeoutError) as e:
        raise Unavailable(f"{ref} could not be read from the artifact store: {e!r}") from None
    data = found.data or b""
    actual = hashlib.sha256(data).hexdigest()
    if actual != digest:
        raise InvalidArgument(
            f"{ref}: what the artifact store holds has the digest {actual}; upload it again"
        )
    return data
