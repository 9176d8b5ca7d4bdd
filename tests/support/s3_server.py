"""An S3 server of a test's own: versitygw over a folder, real, on a loopback port, and gone with the test."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Final

import pytest
from frozen import freeze
from ports import free_port

from lath.testing import eventually

VERSION: Final = "v1.8.0"
"""As in .ci/s3-server, which builds it."""
ACCESS_KEY: Final = "lath"
SECRET_KEY: Final = "a secret of the test's"
START_S: Final = 20.0


def program() -> Path:
    """Where the server is. Skips the test where there is none; in CI it fails."""
    found = shutil.which("versitygw")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    built = cache / "lath" / f"versitygw-{VERSION}" / "versitygw"
    if built.exists():
        return built
    if found:
        return Path(found)
    message = "there is no S3 server here: .ci/s3-server builds one (two minutes, once)"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


class S3Server:
    """A server, and a `lath.testing.backend.Backend`.

    Args:
        folder: What it keeps everything in.
        certificate: Files of a certificate and its key, for TLS.

    Attributes:
        port: Of 127.0.0.1; the same after each start.
        data: A folder for each bucket, its objects in it as files.
    """

    def __init__(self, folder: Path, certificate: tuple[Path, Path] | None = None) -> None:
        self.port = free_port()
        self.data = folder / "data"
        self._folder = folder
        self._tls = certificate
        self._process: Popen[bytes] | None = None
        self.data.mkdir(parents=True)
        (folder / "sidecar").mkdir()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def make_bucket(self) -> str:
        """A new bucket."""
        name = f"test-{secrets.token_hex(6)}"
        (self.data / name).mkdir()
        return name

    def link_config(self, bucket: str) -> dict[str, str]:
        """The config of a link to a bucket of it."""
        plain = {} if self._tls else {"allow_http": "true"}
        return {
            "endpoint": self.url, "bucket": bucket, "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET_KEY, **plain,
        }  # fmt: skip

    def launch(self) -> None:
        """Starts it, and does not wait."""
        tls = ["--cert", str(self._tls[0]), "--key", str(self._tls[1])] if self._tls else []
        command = [
            str(program()), "--port", f"127.0.0.1:{self.port}", "--keep-alive", "--quiet", *tls,
            "posix", "--sidecar", str(self._folder / "sidecar"), str(self.data),
        ]  # fmt: skip
        environment = {**os.environ, "ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
        self._process = Popen(command, env=environment, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)

    async def answers(self) -> bool:
        """Whether it takes connections."""
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.close()
            return True
        assert self._process is None or self._process.poll() is None, "the S3 server ended"
        return False

    def end(self) -> None:
        """Ends it without warning."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    # --- as a backend --------------------------------------------------------------------------------

    async def start(self) -> None:
        if self._process is None:
            self.launch()
            await eventually(self.answers, START_S)

    async def stop(self) -> None:
        self.end()

    async def freeze(self) -> None:
        if self._process is not None:
            await freeze(self._process.pid)

    async def thaw(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    async def connections(self) -> set[str]:
        """As the kernel has them, by the client's address; those that are being closed are not among them."""
        return set(_established(self.port))


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A new server, which runs. Blocks."""
    folder = Path(tempfile.mkdtemp(prefix="lath-s3-"))
    server = S3Server(folder)
    try:
        server.launch()
        asyncio.run(eventually(server.answers, START_S))
        yield server
    finally:
        server.end()
        shutil.rmtree(folder, ignore_errors=True)


def _established(port: int) -> Iterator[str]:
    """The other ends of the connections that a port of this machine has, from /proc/net/tcp."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, remote, state, inode = (line.split()[at] for at in (1, 2, 3, 9))
        if local.endswith(f":{port:04X}") and state == "01" and inode != "0":
            yield f"{remote} {inode}"
