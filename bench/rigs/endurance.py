"""A million calls in one process, of all ends, and what they leave behind: memory, descriptors, stores.

Of a thousand calls 700 run in an instance that is reused, 200 in one that nobody used, 60 ask an import that
answers later, 20 are cancelled while they wait for one, and 20 trap.
"""

from __future__ import annotations

import asyncio
import gc
import mmap
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from bench.guests import TEXT_ECHO, TEXT_RELAY, TEXT_TRAP
from bench.in_process import Pool, give_back, open_pool
from bench.measurement import Measurement, Opened, Rig, Settings, Values
from bench.peers import TEXT
from lath.errors import Trap
from lath_host.engine import Engine
from lath_host.engine.guest import Guest
from lath_host.engine.linkage import CallContext, Import

CALLS: Final = 1_000_000
_SETTLED: Final = CALLS // 100
"""By then caches and pools have what they want."""
_THOUSAND: Final = {"reused": 700, "fresh": 200, "waiting": 60, "cancelled": 20, "trapped": 20}
_HELD: Final = {"memory_mib": "resident set", "descriptors": "open file descriptors", "stores": "stores"}
_UNITS: Final = {"memory_mib": "MiB"}


def _name(calls: int, held: str) -> str:
    return f"endurance.{calls}.{held}"


_MEASUREMENTS: Final = tuple(
    Measurement(
        _name(calls, held), _UNITS.get(held, "count"), "lower", f"{what}, after {calls:,} calls",
        _name(_SETTLED, held) if calls == CALLS else "",
    )
    for held, what in _HELD.items()
    for calls in (_SETTLED, CALLS)
)  # fmt: skip


async def _later(wanted: Import, context: CallContext, params: list[Any]) -> Any:
    await asyncio.sleep(0)
    return await give_back(wanted, context, params)


async def _cancelled(relay: Pool) -> None:
    running = asyncio.ensure_future(relay.relay(TEXT, 1))
    await asyncio.sleep(0)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def _trapped(pool: Pool) -> None:
    with suppress(Trap):
        await pool.echo(TEXT)


def _held(calls: int) -> dict[str, float]:
    """What this process holds after so many calls."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        _name(calls, "memory_mib"): pages * mmap.PAGESIZE / (1 << 20),
        _name(calls, "descriptors"): sum(1 for _ in Path("/proc/self/fd").iterdir()),
        _name(calls, "stores"): sum(isinstance(each, Guest) for each in gc.get_objects()),
    }


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Opened]:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine())
        echo = await engine.compile(TEXT_ECHO.encode())
        reused = await open_pool(stack, engine, echo, reuse=True)
        fresh = await open_pool(stack, engine, echo)
        relays = await engine.compile(TEXT_RELAY.encode())
        relay = await open_pool(stack, engine, relays, on_import=_later, reuse=True)
        trapping = await open_pool(stack, engine, await engine.compile(TEXT_TRAP.encode()))

        async def thousand() -> None:
            for _ in range(_THOUSAND["reused"]):
                await reused.echo(TEXT)
            for _ in range(_THOUSAND["fresh"]):
                await fresh.echo(TEXT)
            await asyncio.gather(*(relay.relay(TEXT, 1) for _ in range(_THOUSAND["waiting"])))
            await asyncio.gather(*(_cancelled(relay) for _ in range(_THOUSAND["cancelled"])))
            await asyncio.gather(*(_trapped(trapping) for _ in range(_THOUSAND["trapped"])))

        async def thousands(count: int) -> None:
            for _ in range(count // sum(_THOUSAND.values())):
                await thousand()
            await asyncio.sleep(0.1)  # what is made ahead has been made

        async def probe() -> Values:
            await thousands(_SETTLED)
            found = _held(_SETTLED)
            await thousands(CALLS - _SETTLED)
            return found | _held(CALLS)

        yield Opened([probe])


ENDURANCE = Rig(
    "endurance", "what a million calls leave behind", _MEASUREMENTS, _open, rounds_max=1, slow=True
)
