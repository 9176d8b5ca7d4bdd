"""One bucket in memory: limited, with what was used last kept longest, and what is too old gone."""

from __future__ import annotations

import itertools
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from lath.errors import InvalidArgument, Overloaded, PayloadTooLarge
from lath_providers.keyvalue import sum_of
from lath_providers.keyvalue_memory.config import KeyValueMemoryConfig

PAGE_KEYS_MAX: Final = 1_000
"""Keys in one page of `list-keys`."""


@dataclass(slots=True)
class _Entry:
    """A value; `number` tells when its key came, for the cursors of listings; `until` is of the clock."""

    number: int
    value: bytes
    bytes: int
    until: float


class MemoryStore:
    """A bucket. Its operations never wait, so each is done wholly before the next.

    Args:
        name: For messages.
        limits: Replaceable: those of the link that was opened last.
        clock: In seconds.
    """

    def __init__(
        self, name: str, limits: KeyValueMemoryConfig, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limits = limits
        self._name = name
        self._clock = clock
        self._numbers = itertools.count(1)
        self._entries: dict[str, _Entry] = {}  # in the order in which their keys came
        self._used: OrderedDict[str, None] = OrderedDict()  # the last used at the end
        self._written: OrderedDict[str, None] = OrderedDict()  # the last written at the end
        self._bytes = 0

    async def get(self, key: str) -> bytes | None:
        entry = self._live(key)
        if entry is None:
            return None
        self._used.move_to_end(key)
        return entry.value

    async def set(self, key: str, value: bytes) -> None:
        """Writes a value.

        Raises:
            PayloadTooLarge: It alone is above `bytes_max`.
            Overloaded: The bucket is full, and nothing may be evicted.
        """
        size = len(_encoded(key)) + len(value)
        limits = self.limits
        if size > limits.bytes_max:
            raise PayloadTooLarge(
                f"{size} bytes are above the {limits.bytes_max} that bucket {self._name} may hold"
            )
        self._forget_old()
        old = self._entries.get(key)
        growth = size - (old.bytes if old else 0)
        self._make_room(key, growth, 0 if old else 1)
        if old is None:
            self._entries[key] = _Entry(next(self._numbers), value, size, self._until())
        else:
            old.value, old.bytes, old.until = value, size, self._until()
        self._bytes += growth
        for order in (self._used, self._written):
            order[key] = None
            order.move_to_end(key)

    async def delete(self, key: str) -> None:
        self._drop(key)

    async def exists(self, key: str) -> bool:
        return self._live(key) is not None

    async def page(self, cursor: int | None) -> tuple[list[str], int | None]:
        """Keys in the order in which they came: each that is there all the while comes once."""
        self._forget_old()
        after = cursor or 0
        rest = (item for item in self._entries.items() if item[1].number > after)
        found = list(itertools.islice(rest, PAGE_KEYS_MAX + 1))
        page = found[:PAGE_KEYS_MAX]
        following = page[-1][1].number if len(found) > len(page) else None
        return [key for key, _ in page], following

    async def increment(self, key: str, delta: int) -> int:
        entry = self._live(key)
        total = sum_of(entry.value if entry else None, delta)
        await self.set(key, b"%d" % total)
        return total

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return [await self.get(key) for key in keys]

    async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        """Writes several; the first that is refused ends it."""
        for key, value in pairs:
            await self.set(key, value)

    async def delete_many(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._drop(key)

    # --- inside --------------------------------------------------------------------------------------

    def _live(self, key: str) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is not None and entry.until <= self._clock():
            self._drop(key)
            return None
        return entry

    def _until(self) -> float:
        return self._clock() + self.limits.ttl_ms / 1000 if self.limits.ttl_ms else float("inf")

    def _forget_old(self) -> None:
        now = self._clock()
        while self._written and self._entries[key := next(iter(self._written))].until <= now:
            self._drop(key)

    def _make_room(self, key: str, growth: int, entries: int) -> None:
        limits = self.limits
        while self._bytes + growth > limits.bytes_max or len(self._entries) + entries > limits.entries_max:
            oldest = next((each for each in self._used if each != key), None)
            if limits.full == "refuse" or oldest is None:
                raise Overloaded(
                    f"bucket {self._name} is full: it holds {len(self._entries)} entries of"
                    f" {limits.entries_max}, {self._bytes} bytes of {limits.bytes_max}"
                )
            self._drop(oldest)

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry.bytes
            del self._used[key], self._written[key]


def _encoded(key: str) -> bytes:
    try:
        return key.encode()
    except UnicodeEncodeError:
        raise InvalidArgument("the key is not valid Unicode text") from None
