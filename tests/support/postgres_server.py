"""A PostgreSQL server of a test's own: real, on a loopback port, in a folder that goes with it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pg8000.native
import pytest

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


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A new server, with SCRAM passwords. Blocks."""
    programs = binaries()
    user = _unprivileged() if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="lath-postgres-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        server = PostgresServer(_free_port(), "lath", "a password of the test's")
        (folder / "password").write_text(server.password)
        os.chmod(folder / "password", 0o644)
        data = folder / "data"
        _run(
            [programs / "initdb", "-D", data, "-U", server.user, "--pwfile", folder / "password",
             "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"],
            folder, user,
        )  # fmt: skip
        options = f"-h 127.0.0.1 -p {server.port} -k {folder} -c fsync=off"
        control = [programs / "pg_ctl", "-D", data, "--wait", "--silent"]
        _run([*control, "--log", folder / "log", "--options", options, "start"], folder, user)
        try:
            yield server
        finally:
            _run([*control, "--mode=immediate", "stop"], folder, user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: list[Path | str], folder: Path, user: str | None) -> None:
    ran = subprocess.run(command, cwd=folder, user=user, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if ran.returncode:
        log = folder / "log"
        said = log.read_text() if log.exists() else ""
        pytest.fail(f"{command[0]} failed: {ran.stderr.decode()} {said}")


def _unprivileged() -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _UNPRIVILEGED if name in known)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
