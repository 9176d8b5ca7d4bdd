"""One schedule at one instance: waits for its ticks, takes each before the others can, and calls.

Every instance runs the same job for a link. A tick belongs to the one whose compare-and-set of the schedule's
record succeeds; the others see the record and wait for the next. A tick is taken before its call and ended
after it, so an instance that is killed in between leaves a record that says so, and until when it may run.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

from lath.errors import Conflict, LathError, Unavailable
from lath.names import new_id
from lath.provider import Link, OpError
from lath_providers.schedule.clock import Clock
from lath_providers.schedule.config import ScheduleConfig
from lath_providers.schedule.ledger import Ledger, Tick
from lath_providers.schedule.times import Times, digest_of, shown_time

INTERFACE: Final = "wasmcloud:cron/scheduler"
LEASE_MARGIN_MS: Final = 5_000
"""How much longer than its call an instance may need, half of it to begin, and half to say how it ended."""
LOOK_MS: Final = 1_000
"""How often is looked whether a call at another instance has ended."""
GIVE_BACK_S: Final = 2.0
"""How long giving a tick back may hold up the closing of its link."""
RETRY_S: Final = 1.0
"""Pause where the records cannot be read or written."""

Invoke = Callable[[bytes, int], Awaitable[Any]]
"""Calls the component with a payload, and a time-out in milliseconds."""


class Job:
    """See the module. Ended by `close`.

    Args:
        link: From the provider to the component.
        config: Of the link.
        times: When it is due.
        ledger: The records.
        clock: The time.
        instance: Whose job it is.
        invoke: Calls the component.
        log: A logger.
    """

    def __init__(
        self,
        link: Link,
        config: ScheduleConfig,
        times: Times,
        ledger: Ledger,
        clock: Clock,
        instance: str,
        invoke: Invoke,
        log: Any,
    ) -> None:
        self._key = link.key
        self._config = config
        self._times = times
        self._ledger = ledger
        self._clock = clock
        self._taker = f"{instance}.{new_id()[:8]}"
        self._invoke = invoke
        self._log = log.bind(link=link.key, component=link.target)
        self._schedule = digest_of(config)
        self._draining = False
        self._taking = False
        self._task = asyncio.create_task(self._run(), name=f"schedule {link.key}")

    async def drain(self) -> None:
        """Takes no more ticks, and waits for the one that runs."""
        self._draining = True
        if self._taking:
            await asyncio.wait({self._task})
        else:
            self._task.cancel()

    async def close(self) -> None:
        """Ends the job. A tick whose call runs is noted as `stopped`, so that nobody waits for its end."""
        self._task.cancel()
        await asyncio.wait({self._task})
        if not self._taking:
            return
        with contextlib.suppress(LathError, TimeoutError):
            async with asyncio.timeout(GIVE_BACK_S):
                tick, sequence = await self._ledger.read(self._key)
                if tick is not None and self._is_mine(tick):
                    await self._write(tick.model_copy(update={"state": "stopped"}), sequence)

    async def check(self) -> None:
        """Asks how the last tick went.

        Raises:
            Unavailable: It failed, or the records cannot be read.
        """
        tick, _ = await self._ledger.read(self._key)
        if tick is not None and tick.state == "failed":
            raise Unavailable(f"the tick of {shown_time(tick.due_ms)} failed: {tick.error}")

    # --- inside --------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while not self._draining:
            try:
                await self._step()
            except Conflict:
                continue  # another instance was faster: its record says what is next
            except LathError as e:
                self._log.warning("the schedule's record cannot be used", error=str(e))
                await asyncio.sleep(RETRY_S)
            except Exception:
                self._log.exception("the schedule stumbled, and goes on")
                await asyncio.sleep(RETRY_S)

    async def _step(self) -> None:
        """Looks at the record, and does what is next: waits, takes a tick, or notes that one was missed."""
        last, sequence = await self._ledger.read(self._key)
        now = self._clock.now_ms()
        # Taken by this job, though the answer that said so was lost.
        mine = last is not None and self._is_mine(last) and last.until_ms > now
        self._taking = mine
        if last is None or last.schedule != self._schedule:
            await self._write(Tick(schedule=self._schedule, due_ms=now, state="begun"), sequence)
        elif mine:
            await self._carry_out(last, sequence)
        elif last.state == "running" and last.until_ms > now:
            await self._clock.wait_until(min(last.until_ms, now + LOOK_MS))
        elif last.state in ("running", "stopped") and self._config.interrupted == "again":
            self._log.warning("a tick is called again: its instance ended", due=shown_time(last.due_ms))
            await self._take(last.due_ms, sequence)
        else:
            await self._go_on(last.due_ms, sequence, now)

    def _is_mine(self, tick: Tick) -> bool:
        return tick.state == "running" and tick.taker == self._taker

    async def _go_on(self, from_ms: int, sequence: int, now: int) -> None:
        first = self._times.after(from_ms)
        if first > now:
            await self._clock.wait_until(first)
            return
        newest = self._times.until(now)
        due = self._chosen(first, newest, now)
        if due != first:
            missed = {"first": shown_time(first), "before": shown_time(due) if due else "now"}
            self._log.warning("ticks were missed and are not called", **missed)
        if due is not None:
            await self._take(due, sequence)
        else:
            await self._write(Tick(schedule=self._schedule, due_ms=newest, state="missed"), sequence)

    def _chosen(self, first: int, newest: int, now: int) -> int | None:
        """Which of the ticks from `first` to `newest`, all due by now, is called next; None: none of them."""
        config = self._config
        if now - newest <= config.late_ms and config.catch_up != "all":
            return newest
        oldest = max(first, self._times.after(now - max(config.catch_up_ms, config.late_ms) - 1))
        if config.catch_up == "none" or oldest > newest:
            return None
        return oldest if config.catch_up == "all" else newest

    async def _take(self, due: int, sequence: int) -> None:
        until = self._clock.now_ms() + self._config.timeout_ms + LEASE_MARGIN_MS
        tick = Tick(schedule=self._schedule, due_ms=due, state="running", taker=self._taker, until_ms=until)
        self._taking = True
        fence = await self._write(tick, sequence)
        await self._carry_out(tick, fence)

    async def _carry_out(self, tick: Tick, fence: int) -> None:
        """Calls for a tick that is this job's, and says how that ended."""
        self._taking = True
        error = await self._call(tick, fence)
        ended = tick.model_copy(update={"state": "failed" if error else "done", "error": error})
        while True:
            try:
                await self._write(ended, fence)
                break
            except Conflict:  # said already, or taken over by another instance
                break
            except LathError as e:
                if self._clock.now_ms() >= tick.until_ms:  # others take it for interrupted by now
                    break
                self._log.warning("the schedule's record cannot be written", error=str(e))
                await asyncio.sleep(RETRY_S)
        self._taking = False

    async def _call(self, tick: Tick, fence: int) -> str:
        """Calls the component; returns what went wrong, if anything did."""
        due = shown_time(tick.due_ms)
        now = self._clock.now_ms()
        # Late, it has less time: it must have ended before others go on.
        timeout_ms = min(self._config.timeout_ms, tick.until_ms - now - LEASE_MARGIN_MS // 2)
        if timeout_ms <= 0:
            return "this instance stood still for longer than the call may take"
        payload = self._config.payload.replace("{due}", due).replace("{fence}", str(fence))
        try:
            await self._invoke(payload.encode(), timeout_ms)
        except OpError as e:
            error = f"the component answered: {e.payload}"
        except LathError as e:
            error = str(e)
        else:
            self._log.info("a tick was called", due=due, late_ms=now - tick.due_ms)
            return ""
        self._log.warning("a tick failed", due=due, late_ms=now - tick.due_ms, error=error)
        return error

    async def _write(self, tick: Tick, sequence: int) -> int:
        return await self._ledger.write(self._key, tick, sequence)
