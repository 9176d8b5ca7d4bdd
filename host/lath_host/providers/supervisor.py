"""One provider in a process of its own: started, watched, restarted with backoff, stopped gracefully.

The child learns all it needs from one JSON line on its standard input, which then stays open for as long as
the host lives: its end tells the child that the host is gone, however it went. The child's standard error is
its log.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lath.model import ProviderStatus
from lath.names import new_id
from lath.provider.start import ENV_SUPERVISED
from lath.telemetry import get_logger
from lath_host.restarts import Restarts

LOG_LINE_BYTES_MAX: Final = 16 * 1024
"""A longer line of a provider's log is cut into several."""
_CHUNK_BYTES: Final = 64 * 1024
_LAST_LINES_KEPT: Final = 20
"""The end of the log is where a failed start says why."""
_HOSTS_OWN_ENV: Final = ("LATH_NATS_", "LATH_HOST_", "LATH_PROVIDER_CREDENTIALS", "LATH_SECRETS_")

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """What is to run.

    Attributes:
        id: The provider id.
        ref: Its reference, see `lath_host.providers.provider_refs`.
        config_names: Its named config, resolved at each start.
        annotations: Kept for whoever asked for it.
    """

    id: str
    ref: str
    config_names: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exit:
    """How one run of the process ended.

    Attributes:
        instance_id: The instance that ran.
        reason: For people: the exit status or signal, and the last line of its log.
        announced: Whether it had ever served.
        asked: Whether the host had stopped it.
    """

    instance_id: str
    reason: str
    announced: bool
    asked: bool


class ProviderProcess:
    """Keeps one provider running until it is stopped.

    Args:
        spec: What to run.
        command: The command line.
        start_line: Makes the JSON line for a new instance id; called at every start, so that config is fresh.
        update_line: Makes the line that tells a running process what changed; called after `changed`.
        on_exit: Told of every end of a run.
        restarts: The delays between runs.
    """

    def __init__(
        self,
        spec: ProviderSpec,
        command: tuple[str, ...],
        start_line: Callable[[str], Awaitable[bytes]],
        update_line: Callable[[], bytes],
        on_exit: Callable[[Exit], Awaitable[None]],
        restarts: Restarts | None = None,
    ) -> None:
        self.spec = spec
        self.status: ProviderStatus = "starting"
        self.instance_id = new_id()
        self.pid: int | None = None
        self.restarts = 0
        self.last_error: str | None = None
        self.ended_at: float | None = None
        self._command = command
        self._start_line = start_line
        self._update_line = update_line
        self._changed = asyncio.Event()
        self._on_exit = on_exit
        self._delays = restarts or Restarts()
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._announced = False
        self._task: asyncio.Task[None] | None = None
        self._log = _log.bind(provider_id=spec.id)

    def start(self) -> None:
        """Starts the process and its watch."""
        self._task = asyncio.create_task(self._run(), name=f"provider {self.spec.id}")

    def announced(self, instance_id: str) -> bool:
        """Tells that an instance's presence was seen; True when that made this provider `running`."""
        if instance_id != self.instance_id or self.status != "starting":
            return False
        self.status = "running"
        self._announced = True
        return True

    def changed(self) -> None:
        """Its config or keys are others: a process that runs is told."""
        self._changed.set()

    async def stop(self, grace_s: float) -> None:
        """Asks the process to drain and end; kills it when it has not after `grace_s` seconds."""
        self._stopping.set()
        self.status = "stopping"
        task = self._task
        if task is None:
            return
        self._signal("terminate")
        try:
            await asyncio.wait_for(asyncio.shield(task), grace_s)
        except TimeoutError:
            self._log.warning("provider did not stop in time and is killed", grace_s=grace_s)
            self._signal("kill")
            await task
        finally:
            # Also when this very stop is cancelled: no child outlives its host's watch over it.
            if not task.done():
                self._signal("kill")

    def _signal(self, name: str) -> None:
        if self._process is not None and self._process.returncode is None:
            getattr(self._process, name)()

    async def _run(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            self._announced = False
            reason = await self._run_once()
            self.pid, self._process = None, None
            self.ended_at = time.monotonic()
            self.last_error = None if self._stopping.is_set() else reason
            await self._on_exit(
                Exit(self.instance_id, reason, announced=self._announced, asked=self._stopping.is_set())
            )
            if not self._stopping.is_set():
                await self._wait_before_restart(reason, time.monotonic() - began)

    async def _wait_before_restart(self, reason: str, ran_s: float) -> None:
        self.status = "backoff"
        delay_s = self._delays.next_delay_s(ran_s)
        self._log.warning("provider ended and will be restarted", reason=reason, retry_in_s=round(delay_s, 2))
        try:
            await asyncio.wait_for(self._stopping.wait(), delay_s)
        except TimeoutError:
            self.restarts += 1
            self.instance_id = new_id()
            self.ended_at = None
            self.status = "starting"

    async def _run_once(self) -> str:
        """Runs the process once; returns how it ended."""
        try:
            self._changed.clear()  # a change from here on is told after the start line
            line = await self._start_line(self.instance_id)
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=_child_environment(),
                # A session of its own: Ctrl-C at a terminal goes to the host, which stops it in order.
                start_new_session=True,
            )
        except Exception as e:  # whatever keeps it from starting is its reason, and is tried again
            return f"it could not be started: {e}"
        self._process, self.pid = process, process.pid
        if self._stopping.is_set():
            process.terminate()
        last_lines: list[str] = []
        telling = asyncio.create_task(self._tell(process, line), name=f"tell provider {self.spec.id}")
        try:
            await self._follow_log(process, last_lines)
            status = await process.wait()
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            if process.returncode is None:
                process.kill()
            if process.stdin is not None:
                process.stdin.close()
        return _describe_exit(status, last_lines)

    async def _tell(self, process: asyncio.subprocess.Process, start_line: bytes) -> None:
        """Tells a process how to start, and then of each change."""
        await self._send(process, start_line)
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._send(process, self._update_line())

    async def _send(self, process: asyncio.subprocess.Process, line: bytes) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(line.rstrip(b"\n") + b"\n")
            await process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            self._log.debug("provider ended before it had read what it was told")

    async def _follow_log(self, process: asyncio.subprocess.Process, last_lines: list[str]) -> None:
        assert process.stderr is not None
        bound = self._log.bind(instance_id=self.instance_id, pid=process.pid)
        async for line in _lines(process.stderr):
            last_lines.append(line)
            del last_lines[:-_LAST_LINES_KEPT]
            _relay(bound, line)


def _child_environment() -> dict[str, str]:
    """The host's environment without what is the host's alone: its key, and how it signs in to the bus."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_HOSTS_OWN_ENV)}
    return {**inherited, ENV_SUPERVISED: "1"}


def _describe_exit(status: int, last_lines: list[str]) -> str:
    if status < 0:
        return f"ended by signal {-status}"
    how = f"ended with status {status}"
    said = next((text for line in reversed(last_lines) if (text := _message(line))), "")
    return f"{how}: {said}" if said else how


def _record(line: str) -> dict[str, Any] | None:
    """The fields of a structured log line; None for plain text."""
    if not line.startswith("{"):
        return None
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def _message(line: str) -> str:
    fields = _record(line)
    if fields is None:
        return line.strip()
    error = fields.get("error") or fields.get("reason")
    return f"{fields.get('event', '')}: {error}" if error else str(fields.get("event", ""))


def _relay(log: Any, line: str) -> None:
    """Writes one line of the provider's log to the host's, with its own fields where it is structured."""
    fields = _record(line)
    if fields is None:
        log.info("provider says", line=line)
        return
    level = str(fields.pop("level", "info")).lower()
    event = str(fields.pop("event", ""))
    fields.pop("timestamp", None)
    write = {"debug": log.debug, "warning": log.warning, "error": log.error, "critical": log.error}
    write.get(level, log.info)("provider says", line=event, fields=fields)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """The lines of a stream, over-long ones in pieces, undecodable bytes replaced."""
    rest = b""
    while chunk := await stream.read(_CHUNK_BYTES):
        *whole, rest = (rest + chunk).split(b"\n")
        while len(rest) > LOG_LINE_BYTES_MAX:
            whole.append(rest[:LOG_LINE_BYTES_MAX])
            rest = rest[LOG_LINE_BYTES_MAX:]
        for line in whole:
            for piece in _pieces(line):
                yield piece
    if rest:
        yield rest.decode(errors="replace")


def _pieces(line: bytes) -> list[str]:
    starts = range(0, len(line), LOG_LINE_BYTES_MAX)
    return [line[i : i + LOG_LINE_BYTES_MAX].decode(errors="replace") for i in starts]
