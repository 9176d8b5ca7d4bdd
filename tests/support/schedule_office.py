"""What schedules are tested with: a clock that a test sets, and one who notes what it is called for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from lath.bus import Bus
from lath.config import ConfigStore
from lath.links import LinkStore
from lath.model import Link, LinkSpec
from lath.provider import Backoff, Call, OpError, Provider, ProviderInstance, operation
from lath.testing import eventually
from lath_providers.schedule import Schedule
from lath_providers.schedule.ledger import Ledger, Tick

MINUTE = 60_000
HOUR = 60 * MINUTE


def at(text: str) -> int:
    """A time in milliseconds since 1970."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


NOON = at("2031-03-04T12:00:00+00:00")
EVERY_MINUTE = {"cron": "* * * * *", "payload": "{due}"}


class SetClock:
    """A clock that a test sets."""

    def __init__(self, now: int = NOON + 1) -> None:
        self._now = now
        self._moved = asyncio.Event()

    def now_ms(self) -> int:
        return self._now

    async def wait_until(self, ms: int) -> None:
        while self._now < ms:
            await self._moved.wait()

    def set(self, now: int) -> None:
        self._now = now
        self._moved.set()
        self._moved = asyncio.Event()


class Clerk(Provider):
    """What is called in place of a component."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.ms_left: list[float] = []
        self.error = ""
        self.free = asyncio.Event()
        self.free.set()

    @operation("wasmcloud:cron/scheduler")
    async def invoke(self, call: Call[None], payload: bytes) -> None:
        self.calls.append(payload.decode())
        self.ms_left.append(call.ms_left)
        await self.free.wait()
        if self.error:
            raise OpError(self.error)


class Office:
    """A clerk, a clock, and as many instances of the schedule as a test starts."""

    def __init__(self, bus: Bus, url: str) -> None:
        self.clerk = Clerk()
        self.clock = SetClock()
        self.ledger = Ledger(bus, "clock")
        self._bus = bus
        self._url = url

    @asynccontextmanager
    async def instance(self) -> AsyncIterator[ProviderInstance]:
        """One more of the schedule."""
        backoff = Backoff(first_ms=20, max_ms=200)
        async with ProviderInstance(
            Schedule(self.clock), self._bus, provider_id="clock", nats_url=self._url, backoff=backoff
        ) as instance:
            yield instance

    async def put(self, **config: str) -> Link:
        """A link from the schedule to the clerk."""
        await ConfigStore(self._bus).put("times", config)
        spec = LinkSpec(
            source_id="clock", target="clerk", wit_namespace="wasmcloud", wit_package="cron",
            interfaces=("scheduler",), source_config=("times",),
        )  # fmt: skip
        return await LinkStore(self._bus).put(spec)

    async def record(self, link: Link, state: str, due: int | None = None) -> Tick:
        """Waits until the schedule's record says so."""

        async def there() -> Tick | None:
            tick, _ = await self.ledger.read(link.key)
            assert tick is not None and tick.state == state, tick
            assert due is None or tick.due_ms == due, tick
            return tick

        tick = await eventually(there)
        assert tick is not None
        return tick

    async def called(self, *dues: str) -> None:
        """Waits until the clerk was called so often; then it was with these payloads and no others."""
        await eventually(lambda: len(self.clerk.calls) >= len(dues), what=f"{len(dues)} calls")
        assert self.clerk.calls == list(dues)


def minute(number: int) -> str:
    return f"2031-03-04T12:{number:02}:00.000Z"
