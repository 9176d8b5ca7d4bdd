"""Digests of large content, on several cores: the SHA-256 of the SHA-256 of each piece, in order.

Not the plain SHA-256 of the content, and as hard to forge: for names that stay on this machine.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

PIECE_BYTES: Final = 1024 * 1024
"""Small enough for the cores to end together, and to be hashed while it is in the processor's cache."""


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def digest_of(data: bytes | memoryview) -> str:
    """The digest of bytes, in hex. Blocks: call it in a thread."""

    def digest_at(offset: int) -> bytes:
        with memoryview(data) as view, view[offset : offset + PIECE_BYTES] as piece:
            return hashlib.sha256(piece).digest()

    return _digest(len(data), digest_at)


def digest_of_file(path: Path) -> str:
    """The digest of a file's content, in hex. Blocks as well.

    It is read, not mapped: reading one that is cut off meanwhile gives another digest, and ends no process.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        pieces = _Pieces(file.fileno())
        return _digest(os.fstat(file.fileno()).st_size, pieces.digest_at)


class _Pieces(threading.local):
    """The pieces of a file, each thread's in a buffer of its own that is used again.

    Args:
        descriptor: Of the file.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = bytearray(PIECE_BYTES)

    def digest_at(self, offset: int) -> bytes:
        read = 0
        with memoryview(self._buffer) as buffer:
            while read < PIECE_BYTES:
                with buffer[read:] as rest:
                    more = os.preadv(self._descriptor, [rest], offset + read)
                if not more:
                    break
                read += more
            with buffer[:read] as piece:
                return hashlib.sha256(piece).digest()


def _digest(size: int, digest_at: Callable[[int], bytes]) -> str:
    offsets = range(0, size, PIECE_BYTES)
    if len(offsets) <= 1:
        return hashlib.sha256(b"".join(map(digest_at, offsets))).hexdigest()
    # hashing lets go of the interpreter lock; the threads have the priority of the one that starts them
    with ThreadPoolExecutor(min(cores(), len(offsets)), thread_name_prefix="lath-digest") as threads:
        return hashlib.sha256(b"".join(threads.map(digest_at, offsets))).hexdigest()
