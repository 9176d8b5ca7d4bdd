"""Digests of large content, on several cores: the SHA-256 of the SHA-256 of each piece, in order.

Not the plain SHA-256 of the content, and as hard to forge: for names that stay on this machine.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

PIECE_BYTES: Final = 1024 * 1024
"""Small enough for the cores to end together, and to be hashed while it is in the processor's cache."""


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def digest_of(data: bytes) -> str:
    """The digest of bytes, in hex. Blocks: call it in a thread."""
    view = memoryview(data)
    return _of_pieces(len(data), lambda offset: hashlib.sha256(view[offset : offset + PIECE_BYTES]).digest())


def digest_of_file(path: Path) -> str:
    """The digest of a file's content, in hex. Blocks: call it in a thread.

    Raises:
        OSError: It cannot be read.
    """
    # read, not mapped: a file that is cut off meanwhile would end the process
    with path.open("rb") as file:
        number = file.fileno()
        return _of_pieces(
            os.fstat(number).st_size,
            lambda offset: hashlib.sha256(os.pread(number, PIECE_BYTES, offset)).digest(),
        )


def _of_pieces(size: int, digest_at: Callable[[int], bytes]) -> str:
    offsets = range(0, size, PIECE_BYTES)
    if len(offsets) <= 1:
        return hashlib.sha256(b"".join(map(digest_at, offsets))).hexdigest()
    # hashing and reading let go of the interpreter lock; threads inherit the priority of who starts them
    with ThreadPoolExecutor(min(cores(), len(offsets)), thread_name_prefix="lath-digest") as threads:
        return hashlib.sha256(b"".join(threads.map(digest_at, offsets))).hexdigest()
