"""A PostgreSQL server of a test's own: real, on a loopback port, in a folder that goes with it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pg8000.native
import pytest
from ports import free_port

_UNPRIVILEGED: Final = ("postgres", "nobody")
"""Whom it runs as where the tests run as root, which it refuses."""


@dataclass(frozen=True)
class PostgresServer:
    """A server that runs.

    Attributes:
        port: Of 127.0.0.1.
        user: Who may do everything.
        password: Theirs.
    """

    port: int
    user: str
    password: str

    def environment(self, host: str) -> dict[str, str]:
        """What its clients read, who see it under the name `host`."""
        return {
            "PGHOST": host, "PGPORT": str(self.port), "PGUSER": self.user, "PGPASSWORD": self.password,
            "PGDATABASE": "postgres",
        }  # fmt: skip

    def connect(self) -> pg8000.native.Connection:
        """A connection from outside the lattice."""
        return pg8000.native.Connection(
            self.user, host="127.0.0.1", port=self.port, password=self.password, database="postgres",
            ssl_context=False,
        )  # fmt: skip


def binaries() -> Path:
    """Where the server's programs are. Skips the test where there are none; in CI it fails."""
    found = shutil.which("initdb")
    candidates = [Path(found).resolve().parent] if found else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    message = "there is no PostgreSQL here: install the package postgresql"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


class Cluster:
    """The data of a server, and the programs that start and stop it. Its methods block.

    Attributes:
        server: How it is reached; the same after each start.
    """

    def __init__(self) -> None:
        self._programs = binaries()
        self._user = _unprivileged() if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="lath-postgres-"))
        self.server = PostgresServer(free_port(), "lath", "a password of the test's")
        if self._user is not None:
            shutil.chown(self._folder, self._user)

    @property
    def data(self) -> Path:
        return self._folder / "data"

    def make(self) -> None:
        """Makes the data, with SCRAM passwords."""
        (self._folder / "password").write_text(self.server.password)
        os.chmod(self._folder / "password", 0o644)
        self._run(
            [self._programs / "initdb", "-D", self.data, "-U", self.server.user,
             "--pwfile", self._folder / "password", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
             "--no-sync"],
        )  # fmt: skip

    def put(self, name: str, text: str) -> None:
        """Writes a file that only the server reads, among its data."""
        path = self.data / name
        path.touch(mode=0o600)
        path.write_text(text)
        if self._user is not None:
            shutil.chown(path, self._user)

    def start(self, settings: str = "") -> None:
        """Returns once it serves."""
        options = f"-h 127.0.0.1 -p {self.server.port} -c unix_socket_directories= -c fsync=off {settings}"
        self._control("--log", self._folder / "log", "--options", options, "start")

    def stop(self) -> None:
        """Ends it as a crash does."""
        self._control("--mode=immediate", "stop")

    @property
    def pid(self) -> int:
        """Of the process that the others belong to, while it runs."""
        return int(self.pid_file.read_text().splitlines()[0])

    @property
    def pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    def remove(self) -> None:
        """Removes the data."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _control(self, *arguments: str | Path) -> None:
        self._run([self._programs / "pg_ctl", "-D", self.data, "--wait", "--silent", *arguments])

    def _run(self, command: list[Path | str]) -> None:
        ran = subprocess.run(
            command, cwd=self._folder, user=self._user, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        if ran.returncode:
            log = self._folder / "log"
            said = log.read_text() if log.exists() else ""
            pytest.fail(f"{command[0]} failed: {ran.stderr.decode()} {said}")


@contextmanager
def postgres_server(settings: str = "") -> Iterator[PostgresServer]:
    """A new server. Blocks.

    Args:
        settings: Further options of `postgres`.
    """
    cluster = Cluster()
    try:
        cluster.make()
        cluster.start(settings)
        try:
            yield cluster.server
        finally:
            cluster.stop()
    finally:
        cluster.remove()


def _unprivileged() -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _UNPRIVILEGED if name in known)
