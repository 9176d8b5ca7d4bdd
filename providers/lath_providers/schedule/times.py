"""When a schedule is due. Times are milliseconds since 1970."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from lath.errors import InvalidArgument
from lath_providers.schedule.config import ScheduleConfig

_DIGEST_CHARS: Final = 16


class Times(Protocol):
    """The ticks of a schedule."""

    def after(self, ms: int) -> int:
        """The first tick after a time."""

    def until(self, ms: int) -> int:
        """The last tick at a time or before it."""


class EveryMs:
    """The multiples of an interval: the same for every instance, whenever it began."""

    def __init__(self, interval_ms: int) -> None:
        self._interval_ms = interval_ms

    def after(self, ms: int) -> int:
        return (ms // self._interval_ms + 1) * self._interval_ms

    def until(self, ms: int) -> int:
        return ms // self._interval_ms * self._interval_ms


class Cron:
    """A cron expression in a time zone.

    Raises:
        InvalidArgument: It is none, or is never due.
    """

    def __init__(self, expression: str, timezone: str) -> None:
        self._expression = expression
        self._zone = UTC if timezone == "UTC" else ZoneInfo(timezone)
        self.after(int(time.time() * 1000))

    def after(self, ms: int) -> int:
        return self._next(ms // 1000, reverse=False)

    def until(self, ms: int) -> int:
        return self._next(ms // 1000 + 1, reverse=True)

    def _next(self, second: int, *, reverse: bool) -> int:
        from cronsim import CronSim, CronSimError

        try:
            ticks = CronSim(self._expression, datetime.fromtimestamp(second, self._zone), reverse)
            return int(next(ticks).timestamp()) * 1000
        except CronSimError as e:
            raise InvalidArgument(f"cron: {self._expression[:100]!r}: {e}") from None
        except StopIteration:
            raise InvalidArgument(f"cron: {self._expression[:100]!r} is never due") from None


def times_of(config: ScheduleConfig) -> Times:
    """The ticks that a config asks for.

    Raises:
        InvalidArgument: The cron expression is none.
    """
    return Cron(config.cron, config.timezone) if config.cron else EveryMs(config.every_ms)


def digest_of(config: ScheduleConfig) -> str:
    """Tells schedules of different ticks apart."""
    said = f"{config.cron}|{config.every_ms}|{config.timezone}"
    return hashlib.sha256(said.encode()).hexdigest()[:_DIGEST_CHARS]


def shown_time(ms: int) -> str:
    """A tick's time as text, RFC 3339."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
