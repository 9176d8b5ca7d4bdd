"""Starts and holds a lattice on this machine: a nats-server and hosts, each a process of its own.

They end with the process that holds them, also when that one is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from lath.child import ending_with_us
from lath.errors import Conflict, Unavailable
from lath.names import Name
from lath.secrets.keyfile import ensure_seed
from lath.server import Server
from lath_control.client import Client, NoLattice
from lath_control.context import Contexts, LatticeContext
from lath_control.local.processes import record
from lath_control.local.state import LocalState, StateFile
from lath_control.paths import cache_dir

HOSTS_MAX: Final = 64
"""More host processes than this on one machine are a mistake."""
READY_MS: Final = 60_000
"""How long all hosts may take to join: a busy machine starts Python slowly."""
STOP_MS: Final = 15_000
"""How long hosts may take to finish what runs (they drain for 10 s at most) before they are killed."""
_POLL_SECONDS: Final = 0.05
_LOG_TAIL_CHARS: Final = 2_000

Progress = Callable[[str], None]


class LocalOptions(BaseModel):
    """What `lath up` is told.

    Attributes:
        port: Of nats-server; 0 takes a free one.
        store: Where nats-server keeps its data; absent: with the lattice's state.
        context: The context to write and select; absent: none.
        env: More environment for the hosts.
        root: Where state, store and logs go; absent: the user's state folder.
    """

    model_config = ConfigDict(frozen=True)

    lattice: Name = "default"
    hosts: Annotated[int, Field(ge=0, le=HOSTS_MAX)] = 1
    port: Annotated[int, Field(ge=0, le=65_535)] = 4222
    store: Path | None = None
    context: Name | None = "local"
    env: dict[str, str] = {}
    root: Path | None = None


class LocalLattice:
    """One lattice on this machine, held by this process. An async context manager.

    Args:
        options: What to start.
        tell: Called with what is being done.
    """

    def __init__(self, options: LocalOptions, tell: Progress = lambda text: None) -> None:
        self.options = options
        self._tell = tell
        self._file = StateFile(options.lattice, options.root)
        self._server: Server | None = None
        self._hosts: dict[str, asyncio.subprocess.Process] = {}
        self._state: LocalState | None = None

    @property
    def url(self) -> str:
        """The bus. Known once started."""
        assert self._server is not None, "not started"
        return self._server.url

    @property
    def server(self) -> Server:
        """The bus's process."""
        assert self._server is not None, "not started"
        return self._server

    @property
    def host_pids(self) -> dict[str, int]:
        """Process ids of the hosts, by name."""
        return {name: process.pid for name, process in self._hosts.items()}

    @property
    def logs(self) -> Path:
        return self._file.logs

    async def start(self) -> None:
        """Starts everything and waits until every host has joined.

        Raises:
            Conflict: This lattice is up already, or the port is taken.
            Unavailable: A part did not start; the message ends with its log.
        """
        await asyncio.to_thread(self._claim)
        try:
            await self._start_server()
            await self._start_hosts()
            await self._wait_ready()
            await asyncio.to_thread(self._select_context)
        except BaseException:
            await self.stop()
            raise

    def _claim(self) -> None:
        before = self._file.read()
        if before is not None and before.alive:
            raise Conflict(
                f"lattice {self.options.lattice} is up here already at {before.nats_url}: "
                "'lath down' ends it, or take another --lattice"
            )
        self._file.logs.mkdir(parents=True, exist_ok=True)
        ensure_seed(self._file.secrets_key)
        self._write(LocalState(lattice=self.options.lattice, keeper=record("keeper", os.getpid())))

    def _write(self, state: LocalState) -> None:
        self._state = state
        self._file.write(state)

    def _update(self, **changes: object) -> None:
        assert self._state is not None, "claimed first"
        self._write(self._state.model_copy(update=changes))

    async def _start_server(self) -> None:
        self._tell("starting nats-server")
        store = self.options.store or self._file.store
        await asyncio.to_thread(store.mkdir, parents=True, exist_ok=True)
        self._server = Server(store_dir=store, port=self.options.port)
        await self._server.start()
        await asyncio.to_thread(self._started, "nats-server", self._server.pid, self._server.log_path)

    def _started(self, name: str, pid: int, log: Path) -> None:
        assert self._state is not None, "claimed first"
        self._update(nats_url=self.url, others=(*self._state.others, record(name, pid, log)))

    async def _start_hosts(self) -> None:
        names = tuple(f"host-{number}" for number in range(1, self.options.hosts + 1))
        await asyncio.to_thread(self._update, hosts=names)
        for name in names:
            self._tell(f"starting {name}")
            await self.start_host(name)

    async def start_host(self, name: str, env: Mapping[str, str] | None = None) -> None:
        """Starts one more host process, under a name; it joins by itself."""
        log = self._file.logs / f"{name}.log"
        with await asyncio.to_thread(log.open, "ab") as file:
            process = await asyncio.create_subprocess_exec(
                *ending_with_us(sys.executable, "-m", "lath_host"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**os.environ, **self._host_env(name), **(env or {})},
                start_new_session=True,  # Ctrl-C is for us: we stop the hosts, and then nats-server
            )  # fmt: skip
        self._hosts[name] = process
        await asyncio.to_thread(self._started, name, process.pid, log)

    def _host_env(self, name: str) -> dict[str, str]:
        return {
            "LATH_NATS_URL": self.url,
            "LATH_LATTICE": self.options.lattice,
            "LATH_HOST_NAME": name,
            "LATH_DATA_DIR": str(cache_dir() / "compiled"),
            "LATH_SECRETS_KEY": str(self._file.secrets_key),
            **self.options.env,
        }

    async def _wait_ready(self) -> None:
        self._tell("waiting for the hosts to join")
        try:
            async with asyncio.timeout(READY_MS / 1000):
                if self._hosts:
                    await self._wait_joined()
        except TimeoutError:
            raise Unavailable(f"the hosts did not join within {READY_MS} ms; logs: {self.logs}") from None
        await asyncio.to_thread(self._update, ready=True)

    async def _wait_joined(self) -> None:
        client = Client(self.url, lattice=self.options.lattice)
        connected = False
        while not connected:
            self._check_alive()
            with contextlib.suppress(NoLattice):  # the first host makes the lattice's buckets
                await client.connect()
                connected = True
        try:
            while not set(self._hosts) <= {presence.name for presence in client.presence.hosts()}:
                self._check_alive()
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            await client.close()

    def _check_alive(self) -> None:
        for name, process in self._hosts.items():
            if process.returncode is not None:
                log = self._file.logs / f"{name}.log"
                tail = log.read_text(errors="replace")[-_LOG_TAIL_CHARS:]
                raise Unavailable(f"{name} ended with {process.returncode} ({log}):\n{tail}")

    def _select_context(self) -> None:
        if self.options.context is None:
            return
        contexts = Contexts()
        before = contexts.read().selected
        context = LatticeContext(name=self.options.context, nats_url=self.url, lattice=self.options.lattice)
        contexts.add(context, select=True, replace=True)
        self._update(context=context.name, context_before=before if before != context.name else None)

    async def wait(self) -> str:
        """Waits until one of the processes ends by itself; returns which and how."""
        waits = {asyncio.create_task(process.wait()): name for name, process in self._hosts.items()}
        try:
            while self.server.running:
                done, _ = await asyncio.wait(waits, timeout=1, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    return f"{waits[task]} ended with {task.result()}: see {self.logs / waits[task]}.log"
            return f"nats-server ended: see {self.server.log_path}"
        finally:
            for task in waits:
                task.cancel()
            await asyncio.wait(waits) if waits else None

    async def stop(self) -> None:
        """Stops the hosts, which say goodbye, then nats-server. Stopping twice is fine."""
        for process in self._hosts.values():
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_MS / 1000):
                for process in self._hosts.values():
                    await process.wait()
        except TimeoutError:
            for process in self._hosts.values():
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        self._hosts.clear()
        if self._server is not None:
            await self._server.close()
        state, self._state = self._state, None
        if state is not None:
            await asyncio.to_thread(release_context, state)
            await asyncio.to_thread(self._file.remove)

    async def __aenter__(self) -> LocalLattice:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


def release_context(state: LocalState) -> None:
    """Removes the context that was written for a lattice, and selects again what was selected before."""
    if state.context is None:
        return
    contexts = Contexts()
    file = contexts.read()
    known = file.contexts.get(state.context)
    if known is None or known.nats_url != state.nats_url:
        return  # somebody has made it anew
    contexts.remove(state.context)
    if file.selected == state.context and state.context_before in file.contexts:
        with contextlib.suppress(KeyError):
            contexts.select(state.context_before or "")
