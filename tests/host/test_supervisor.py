"""A provider's process: what it is told, restarts, its log, how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from lath.backoff import Backoff
from lath.testing import eventually
from lath_host.providers.supervisor import Exit, ProviderProcess, ProviderSpec
from lath_host.restarts import Restarts

POLITE = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
start = sys.stdin.readline()
open(sys.argv[1], "a").write(start)
sys.stderr.write('{"event": "served", "level": "info"}\\n'); sys.stderr.flush()
sys.stdin.read()
"""
STUBBORN = (
    "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); sys.stdin.readline();"
    " sys.stdin.read()"
)


class Watched:
    """A process under supervision, with the ends of its runs."""

    def __init__(self, script: str, *args: str, first_s: float = 0.01) -> None:
        self.exits: asyncio.Queue[Exit] = asyncio.Queue()
        spec = ProviderSpec("kv", "python:some.module")
        command = (sys.executable, "-c", script, *args)
        self.process = ProviderProcess(
            spec,
            command,
            self._line,
            lambda: b"changed\n",
            self.exits.put,
            Restarts(Backoff(first_ms=first_s * 1000, max_ms=first_s * 1000)),
        )

    async def _line(self, instance_id: str) -> bytes:
        return instance_id.encode() + b"\n"

    async def exit(self) -> Exit:
        async with asyncio.timeout(20):
            return await self.exits.get()


@pytest.fixture
async def watch() -> AsyncIterator[Callable[..., Watched]]:
    made: list[Watched] = []

    def start(script: str, *args: str, first_s: float = 0.01) -> Watched:
        watched = Watched(script, *args, first_s=first_s)
        made.append(watched)
        watched.process.start()
        return watched

    yield start
    for watched in made:
        await watched.process.stop(0)


async def test_a_provider_gets_its_start_line_and_a_new_instance_id_at_every_start(
    watch: Callable[..., Watched], tmp_path: Path
) -> None:
    told = tmp_path / "told"
    watched = watch(POLITE, str(told))
    await eventually(lambda: told.exists() and told.read_text().endswith("\n"))
    first = watched.process.instance_id
    assert told.read_text() == first + "\n"
    assert watched.process.pid is not None
    os.kill(watched.process.pid, signal.SIGKILL)
    assert (await watched.exit()).reason.startswith("ended by signal 9")
    await eventually(lambda: told.read_text().count("\n") == 2)
    assert watched.process.instance_id != first
    assert told.read_text() == f"{first}\n{watched.process.instance_id}\n"
    assert watched.process.restarts == 1


async def test_a_stopped_provider_ends_gracefully_and_is_not_restarted(
    watch: Callable[..., Watched], tmp_path: Path
) -> None:
    told = tmp_path / "told"
    watched = watch(POLITE, str(told))
    await eventually(told.exists)
    await watched.process.stop(grace_s=20)
    end = await watched.exit()
    assert end.asked and end.reason.startswith("ended with status 0")
    assert watched.exits.empty()


async def test_a_provider_that_ignores_the_signal_is_killed(watch: Callable[..., Watched]) -> None:
    watched = watch(STUBBORN)
    await eventually(lambda: watched.process.pid is not None)
    await watched.process.stop(grace_s=0.2)
    assert "signal" in (await watched.exit()).reason


async def test_why_a_provider_ended_is_the_last_thing_that_it_said(watch: Callable[..., Watched]) -> None:
    watched = watch("import sys; sys.exit('no such database')", first_s=60)
    end = await watched.exit()
    assert end.reason == "ended with status 1: no such database"
    assert not end.announced and not end.asked
    await eventually(lambda: watched.process.status == "backoff")
    assert watched.process.last_error == end.reason


async def test_a_provider_does_not_inherit_the_hosts_own_secrets(
    watch: Callable[..., Watched], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LATH_HOST_SEED", "LATH_NATS_PASSWORD", "LATH_NATS_CREDS"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("PROVIDERS_OWN", "kept")
    told = tmp_path / "environment"
    watched = watch(
        "import os, sys; open(sys.argv[1], 'w').write(' '.join(os.environ))", str(told), first_s=60
    )
    await watched.exit()
    names = set(told.read_text().split())
    assert {"LATH_SUPERVISED", "PROVIDERS_OWN", "PATH"} <= names
    assert not names & {"LATH_HOST_SEED", "LATH_NATS_PASSWORD", "LATH_NATS_CREDS"}


async def test_a_provider_that_waits_for_its_restart_can_be_stopped(watch: Callable[..., Watched]) -> None:
    watched = watch("raise SystemExit(1)", first_s=60)
    await watched.exit()
    async with asyncio.timeout(20):
        await watched.process.stop(grace_s=20)


async def test_a_command_that_cannot_be_run_is_a_reason_like_any_other() -> None:
    exits: asyncio.Queue[Exit] = asyncio.Queue()

    async def line(_instance_id: str) -> bytes:
        return b"{}"

    spec = ProviderSpec("kv", "file:///x.py")
    no_retry = Restarts(Backoff(first_ms=60_000))
    process = ProviderProcess(spec, ("/nowhere/python",), line, lambda: b"", exits.put, no_retry)
    process.start()
    async with asyncio.timeout(20):
        end = await exits.get()
    assert "could not be started" in end.reason
    await process.stop(0)


async def test_a_provider_that_floods_its_log_without_line_ends_is_read_all_the_same(
    watch: Callable[..., Watched],
) -> None:
    watched = watch("import sys; sys.stderr.write('x' * 1_000_000); sys.exit(3)", first_s=60)
    assert (await watched.exit()).reason.startswith("ended with status 3: xxx")


async def test_a_provider_process_ends_when_its_host_is_gone_since_its_input_ends(tmp_path: Path) -> None:
    """The host is a process of its own here, and is killed outright."""
    script = tmp_path / "host.py"
    script.write_text(
        "import asyncio, sys\n"
        "from lath_host.providers.supervisor import ProviderProcess, ProviderSpec\n"
        'child = \'import os, sys; sys.stdin.readline(); open(sys.argv[1], "w").write(str(os.getpid()));'
        ' sys.stdin.read(); open(sys.argv[1] + ".gone", "w").close()\'\n'
        "async def line(i): return b'{}'\n"
        "async def ended(e): pass\n"
        "async def main():\n"
        "    command = (sys.executable, '-c', child, sys.argv[1])\n"
        "    ProviderProcess(ProviderSpec('kv', 'x'), command, line, lambda: b'', ended).start()\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    pid_file = tmp_path / "pid"
    host = await asyncio.create_subprocess_exec(sys.executable, str(script), str(pid_file))
    await eventually(lambda: pid_file.exists() and pid_file.read_text() != "")
    host.kill()
    await host.wait()
    await eventually((tmp_path / "pid.gone").exists)


def test_delays_grow_to_a_limit_with_jitter_and_start_again_after_a_good_run() -> None:
    delays = Restarts(Backoff(first_ms=1_000, max_ms=8_000), good_run_s=10)
    for full in (1, 2, 4, 8, 8):
        assert full / 2 <= delays.next_delay_s(ran_s=0) <= full
    assert delays.next_delay_s(ran_s=11) <= 1
