"""`lath up --detach` and `lath down`: a lattice held by a process in the background."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from lath.errors import Conflict, NotFound, Unavailable
from lath_control.local.lattice import READY_MS, STOP_MS, LocalOptions, release_context
from lath_control.local.processes import end, gone, living
from lath_control.local.state import LocalState, StateFile, local_lattices

KEEPER_STOP_MS: Final = 2 * STOP_MS
"""The keeper stops the hosts within STOP_MS, then nats-server."""
_POLL_SECONDS: Final = 0.05
_LOG_TAIL_CHARS: Final = 2_000


class Ended(BaseModel):
    """What `lath down` did.

    Attributes:
        ended: Names of the processes that it ended.
        killed: Those of them that had to be killed.
        crashed: Whether the process that held the others was gone already.
    """

    model_config = ConfigDict(frozen=True)

    lattice: str
    ended: tuple[str, ...]
    killed: tuple[str, ...] = ()
    crashed: bool = False


async def up_detached(options: LocalOptions) -> LocalState:
    """Starts a lattice in the background and waits until it is ready.

    Raises:
        Conflict: It is up already, or the port is taken.
        Unavailable: It did not start; the message ends with the log.
    """
    file = StateFile(options.lattice)
    log = await asyncio.to_thread(_make_ready, file)
    with await asyncio.to_thread(log.open, "wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "lath_control.local", options.model_dump_json(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ,
            start_new_session=True,
        )  # fmt: skip
    try:
        async with asyncio.timeout(READY_MS / 1000 + 5):
            return await _ready(file, process, log)
    except TimeoutError:
        await down(options.lattice)
        raise Unavailable(f"lattice {options.lattice} was not ready in time; log: {log}") from None


def _make_ready(file: StateFile) -> Path:
    before = file.read()
    if before is not None and before.alive:
        raise Conflict(
            f"lattice {before.lattice} is up here already at {before.nats_url}: 'lath down' ends it"
        )
    file.remove()
    file.logs.mkdir(parents=True, exist_ok=True)
    return file.logs / "keeper.log"


async def _ready(file: StateFile, process: asyncio.subprocess.Process, log: Path) -> LocalState:
    while True:
        state = await asyncio.to_thread(file.read)
        if state is not None and state.ready and state.keeper.pid == process.pid:
            return state
        if process.returncode is not None:
            text = (await asyncio.to_thread(log.read_text, errors="replace")).strip()
            raise Unavailable(f"the lattice did not start: {text[-_LOG_TAIL_CHARS:]}")
        await asyncio.sleep(_POLL_SECONDS)


async def down(lattice: str, *, forget: bool = False) -> Ended:
    """Ends what `lath up` started, and nothing else; also what a crash left behind.

    Args:
        lattice: Which one.
        forget: Remove its store and logs too.

    Raises:
        NotFound: Nothing of that name was started here.
    """
    file = StateFile(lattice)
    state = await asyncio.to_thread(file.read)
    if state is None:
        return await asyncio.to_thread(_nothing_runs, file, lattice, forget)
    running = [process.name for process in await asyncio.to_thread(living, (state.keeper, *state.others))]
    crashed = state.keeper.name not in running
    killed = await end([state.keeper], grace_ms=KEEPER_STOP_MS)
    hosts = [process for process in state.others if process.name in state.hosts]
    killed += await end(hosts, grace_ms=STOP_MS)
    rest = [process for process in state.others if process.name not in state.hosts]
    killed += await end(rest, grace_ms=STOP_MS)
    await gone(state.others, timeout_ms=STOP_MS)
    await asyncio.to_thread(release_context, state)
    await asyncio.to_thread(file.remove)
    if forget:
        await asyncio.to_thread(shutil.rmtree, file.folder, ignore_errors=True)
    return Ended(
        lattice=lattice,
        ended=tuple(running),
        killed=tuple(process.name for process in killed),
        crashed=crashed,
    )


def _nothing_runs(file: StateFile, lattice: str, forget: bool) -> Ended:
    if forget and file.folder.is_dir():
        shutil.rmtree(file.folder)
        return Ended(lattice=lattice, ended=())
    known = ", ".join(local_lattices()) or "none"
    raise NotFound(f"no lattice {lattice} was started here with 'lath up'; started: {known}")
