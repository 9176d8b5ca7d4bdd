"""Digests of large content, on several cores: the SHA-256 of the SHA-256 of each piece, in order.

Not the plain SHA-256 of the content, and as hard to forge: for names that stay on this machine.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Final

PIECE_BYTES: Final = 1024 * 1024
"""Small enough for the cores to end together, and to be hashed while it is in the processor's cache."""


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def digest_of(data: bytes | memoryview) -> str:
    """The digest of bytes, in hex. Blocks: call it in a thread."""
    offsets = range(0, len(data), PIECE_BYTES)

    def digest_at(offset: int) -> bytes:
        with memoryview(data) as view, view[offset : offset + PIECE_BYTES] as piece:
            return hashlib.sha256(piece).digest()

    if len(offsets) <= 1:
        return hashlib.sha256(b"".join(map(digest_at, offsets))).hexdigest()
    # hashing lets go of the interpreter lock; the threads have the priority of the one that starts them
    with ThreadPoolExecutor(min(cores(), len(offsets)), thread_name_prefix="lath-digest") as threads:
        return hashlib.sha256(b"".join(threads.map(digest_at, offsets))).hexdigest()


def digest_of_file(path: Path) -> str:
    """The digest of a file's content, in hex. Nobody may cut it off meanwhile: it is mapped, not read.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return digest_of(b"")  # nothing cannot be mapped
        with mmap(file.fileno(), 0, access=ACCESS_READ) as mapped, memoryview(mapped) as view:
            return digest_of(view)
