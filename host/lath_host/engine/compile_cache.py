"""Compiled components on disk, and what they say about themselves: mapped and read in milliseconds.

Each is a file named by what it was made from and for, and by the digest of its own content, so that content
and digest are there, or not, in one. A file that does not hold what was written (cut off, changed, of another
wasmtime) is made anew: wasmtime checks version and settings itself, but would run changed machine code, so
the content is hashed first, unless a mark beside the file says that it is the one that was written or hashed.

Hosts that share a folder, as those of one machine do, compile a component once between them: the others wait
for the one that has begun.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

from wasmtime import Engine as WasmEngine
from wasmtime import WasmtimeError
from wasmtime import component as stock

from lath.telemetry import get_logger
from lath_host.engine.digests import digest_of, digest_of_file
from lath_host.engine.marks import mark_of
from lath_host.engine.reflect import Reflected
from lath_host.engine.reflected_json import REFLECTED_VERSION, from_json, to_json

_log = get_logger(__name__)
_WASMTIME_VERSION: Final = version("wasmtime")
_LATH_VERSION: Final = version("lath")
_DIRECTORY_MODE: Final = 0o700
"""Whoever may write here may have the host run machine code."""
_FILE_MODE: Final = 0o600
"""The same for a file, in a folder that somebody has made for others as well."""
WAIT_SECONDS_MAX: Final = 120.0
"""How long to wait for a process that compiles the same. One that is stopped meanwhile holds up nobody for
longer. A Python component (18 MB) takes 17 s on one core."""
_LOOK_SECONDS: Final = 0.05
"""How often a waiting thread looks whether it is its turn: compiling takes seconds where it matters."""
_MALFORMED: Final = (LookupError, TypeError, ValueError, AttributeError)
"""What reading a description raises that another program has written."""


class CompileCache:
    """A folder of compiled components, and of their descriptions."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def component(
        self, engine: WasmEngine, source: str, settings: str, compile_: Callable[[], stock.Component]
    ) -> stock.Component:
        """Returns the component from disk, or compiles and stores it. Blocks: call it in a thread.

        Args:
            engine: What it is for.
            source: Digest of the source, in hex.
            settings: Names the settings of `engine`, of which a change makes another file.
            compile_: Compiles it.
        """
        key = f"{source}-{_WASMTIME_VERSION}-{settings}"
        found = self._find(engine, key)
        if found is not None:
            return found
        with self._turn(key) as waited:
            if waited and (found := self._find(engine, key)) is not None:
                return found
            component = compile_()
            with contextlib.suppress(OSError):
                path = self._keep(key, "cwasm", bytes(component.serialize()))
                _set_mark(path, mark_of(path))
        return component

    def description(
        self, source: bytes, digest: str, settings: str, reflect: Callable[[], Reflected]
    ) -> tuple[str, Reflected]:
        """Returns what describes the component, from disk or read now and stored. Blocks as well.

        Args:
            source: The source.
            digest: Its digest, in hex.
            settings: Names what its types depend on beside it.
            reflect: Reads them.

        Returns:
            The plain SHA-256 of the source, in hex; and what the component says about itself.
        """
        key = f"{digest}-{_WASMTIME_VERSION}-{settings}-{_LATH_VERSION}-{REFLECTED_VERSION}"
        for path in self._kept(key, "json"):
            with contextlib.suppress(OSError, *_MALFORMED):
                data = path.read_bytes()
                if digest_of(data) == _digest_in(path):
                    found = json.loads(data)
                    return found["sha256"], from_json(found["types"])
                _tell_damaged(path)
        sha256, reflected = hashlib.sha256(source).hexdigest(), reflect()
        said = {"sha256": sha256, "types": to_json(reflected)}
        with contextlib.suppress(OSError):
            self._keep(key, "json", json.dumps(said).encode())
        return sha256, reflected

    def _find(self, engine: WasmEngine, key: str) -> stock.Component | None:
        for path in self._kept(key, "cwasm"):
            with contextlib.suppress(OSError, WasmtimeError):
                if _is_whole(path):
                    return stock.Component.deserialize_file(engine, str(path))
                _tell_damaged(path)
        return None

    @contextlib.contextmanager
    def _turn(self, key: str) -> Iterator[bool]:
        """Lets one thread of all processes in at a time; yields whether it has waited for another.

        After `WAIT_SECONDS_MAX`, and where the disk refuses the lock, all are let in.
        """
        path = self._directory / f"{key}.lock"
        try:
            self._directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
        except OSError:
            yield False
            return
        try:
            until, waited = time.monotonic() + WAIT_SECONDS_MAX, False
            while not _is_locked(descriptor) and time.monotonic() < until:
                waited = True
                time.sleep(_LOOK_SECONDS)
            yield waited
        finally:
            path.unlink(missing_ok=True)  # who waits for it has it open; who comes now finds what was made
            os.close(descriptor)

    def _kept(self, key: str, kind: str) -> list[Path]:
        return list(self._directory.glob(f"{key}.*.{kind}"))

    def _keep(self, key: str, kind: str, data: bytes) -> Path:
        """Writes a file in place of older ones. A disk that refuses it costs the next start time, no more."""
        self._directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        path = self._directory / f"{key}.{digest_of(data)}.{kind}"
        for older in self._kept(key, kind):
            older.unlink(missing_ok=True)
            _mark_beside(older).unlink(missing_ok=True)
        _write(path, data)
        return path


def _is_locked(descriptor: int) -> bool:
    """Locks a file, unless another has it open and locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # no locks are to be had there
    return True


def _is_whole(path: Path) -> bool:
    """Whether a file holds what was written."""
    mark = mark_of(path)  # before it is hashed: what changes it from here on gives it another
    if mark and mark == _mark_set(path):
        return True
    if digest_of_file(path) != _digest_in(path):
        return False
    with contextlib.suppress(OSError):
        _set_mark(path, mark)
    return True


def _mark_beside(path: Path) -> Path:
    return path.with_suffix(".mark")


def _mark_set(path: Path) -> str:
    try:
        return _mark_beside(path).read_text()
    except (OSError, ValueError):
        return ""


def _set_mark(path: Path, mark: str) -> None:
    if mark:
        _write(_mark_beside(path), mark.encode())


def _digest_in(path: Path) -> str:
    return path.suffixes[-2][1:]


def _tell_damaged(path: Path) -> None:
    """A disk that loses bytes, or somebody who writes here: the operator wants to know of either."""
    _log.warning("a file of the cache is damaged, and is made anew", file=str(path))


def _write(path: Path, data: bytes) -> None:
    """Writes under another name and renames: a reader sees all of it or nothing."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, _FILE_MODE)) as file:
            file.write(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
