"""A Redis server of a test's own: real, on a loopback port, in a folder that goes with it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
import redis
from frozen import freeze
from ports import free_port

PASSWORD: Final = "a-password-of-the-test"
LIMITED_USER: Final = "limited"
"""A user with the same password, who may do nothing but read and write `allowed:*`."""
_START_S: Final = 20.0
_PAUSE_S: Final = 0.01


class RedisServer:
    """A server with a password: a `lath.testing.backend.Backend`. Killed, it keeps what it acknowledged.

    Args:
        folder: For its data.
        options: More of its command line.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def client(self) -> redis.Redis:
        """A client from outside the lattice, which blocks."""
        return redis.Redis(port=self.port, password=PASSWORD, client_name="outside", socket_timeout=10)

    async def start(self) -> None:
        self.begin()

    async def stop(self) -> None:
        self.end()

    async def freeze(self) -> None:
        assert self._process is not None
        await freeze(self._process.pid)

    async def thaw(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    async def connections(self) -> set[str]:
        with self.client() as client:
            found = client.client_list()
        return {each["id"] for each in found if each["name"].startswith("lath-kv:")}

    def begin(self) -> None:
        """Starts it, and waits until it answers. Blocks."""
        if self._process is not None:
            return
        self._process = subprocess.Popen(
            [
                _binary(), "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder),
                "--requirepass", PASSWORD,
                "--user", LIMITED_USER, "on", f">{PASSWORD}", "~allowed:*", "+get", "+set",
                "--appendonly", "yes", "--appendfsync", "always", "--save", "",
                "--logfile", str(self._folder / "log"), *self._options,
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + _START_S
        while not self._answers():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_PAUSE_S)
            if self._process.returncode is not None or time.monotonic() > until:
                pytest.fail(f"redis-server did not start: {(self._folder / 'log').read_text()}")

    def end(self) -> None:
        """Kills it, frozen or not."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """A new server. Blocks."""
    folder = Path(tempfile.mkdtemp(prefix="lath-redis-"))
    server = RedisServer(folder, *options)
    try:
        server.begin()
        yield server
    finally:
        server.end()
        shutil.rmtree(folder, ignore_errors=True)


def _binary() -> str:
    """Where the server is. Skips the test where there is none; in CI it fails."""
    found = shutil.which("redis-server")
    if found:
        return found
    message = "there is no redis-server here: install the package redis-server"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
