"""Compiled components on disk: compiled once, then mapped into memory in milliseconds.

A file that does not hold what was written (cut off, changed, of another wasmtime) is compiled anew:
wasmtime checks version and settings itself, but would run changed machine code, so the content is hashed
first.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final

from wasmtime import Engine as WasmEngine
from wasmtime import WasmtimeError
from wasmtime import component as stock

_WASMTIME_VERSION: Final = version("wasmtime")
_DIRECTORY_MODE: Final = 0o700
"""Whoever may write here may have the host run machine code."""


class CompileCache:
    """A folder of compiled components, named by what they were compiled from and for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get_or_compile(
        self, engine: WasmEngine, digest: str, settings: str, compile_: Callable[[], stock.Component]
    ) -> stock.Component:
        """Returns the component from disk, or compiles and stores it. Blocks: call it in a thread.

        Args:
            engine: What it is for.
            digest: SHA-256 of the source, in hex.
            settings: Names the settings of `engine`, of which a change makes another file.
            compile_: Compiles it.
        """
        key = f"{digest}-{_WASMTIME_VERSION}-{settings}"
        found = self._load(engine, key)
        if found is not None:
            return found
        component = compile_()
        # A full or read-only disk costs the next start time, it does not fail this one.
        with contextlib.suppress(OSError):
            self._store(key, bytes(component.serialize()))
        return component

    def _load(self, engine: WasmEngine, key: str) -> stock.Component | None:
        for path in self._directory.glob(f"{key}.*.cwasm"):
            with contextlib.suppress(OSError, WasmtimeError), path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == path.suffixes[-2][1:]:
                    return stock.Component.deserialize_file(engine, str(path))
        return None

    def _store(self, key: str, data: bytes) -> None:
        self._directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        # the hash stands in the name, so that content and hash are there, or not, in one
        path = self._directory / f"{key}.{hashlib.sha256(data).hexdigest()}.cwasm"
        for older in self._directory.glob(f"{key}.*.cwasm"):
            older.unlink(missing_ok=True)
        _write(path, data)


def _write(path: Path, data: bytes) -> None:
    """Writes under another name and renames: a reader sees all of it or nothing."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
