"""One bucket in Redis: keys with a prefix, values as they are."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, Final

from redis.exceptions import NoScriptError

from lath.errors import InvalidArgument, Unavailable
from lath_providers.keyvalue.numbers import DIGITS_MAX, NO_NUMBER, TOO_LARGE, U64_MAX
from lath_providers.keyvalue_redis.backend import Backend

PAGE_KEYS_MIN: Final = 1_000
"""A page of `list-keys` is full with so many keys; the last steps of the scan may add as many again."""
SCAN_STEPS_MAX: Final = 100
"""Steps of the scan in one page: of a small bucket in a large database, a page may have few keys or none."""
BATCH_KEYS_MAX: Final = 1_000
"""Keys in one command of a batch: a longer one would keep Redis from serving others meanwhile."""

_GLOB: Final = re.compile(rb"([\\*?\[\]^-])")
_REFUSED: Final = "LATH"

# Lua has no integers of 64 bits, so the numbers are added as text, seven digits at a time.
_INCREMENT: Final = f"""
local now = redis.call('GET', KEYS[1]) or '0'
if #now == 0 or #now > {DIGITS_MAX} or string.find(now, '%D') then
  return redis.error_reply('{_REFUSED} {NO_NUMBER}')
end
local a, b = string.rep('0', 21 - #now) .. now, string.rep('0', 21 - #ARGV[1]) .. ARGV[1]
local sum, carry = '', 0
for at = 15, 1, -7 do
  local part = tonumber(string.sub(a, at, at + 6)) + tonumber(string.sub(b, at, at + 6)) + carry
  carry = part >= 10000000 and 1 or 0
  sum = string.format('%07d', part - carry * 10000000) .. sum
end
sum = string.gsub(sum, '^0+', '')
if sum == '' then sum = '0' end
if #sum > {DIGITS_MAX} or (#sum == {DIGITS_MAX} and sum > '{U64_MAX}') then
  return redis.error_reply('{_REFUSED} {TOO_LARGE}')
end
redis.call('SET', KEYS[1], sum, 'KEEPTTL')
return sum
"""
_INCREMENT_SHA: Final = hashlib.sha1(_INCREMENT.encode(), usedforsecurity=False).hexdigest()


class RedisStore:
    """A bucket of a link.

    Args:
        backend: The link's connections.
        bucket: Its name.
    """

    def __init__(self, backend: Backend, bucket: str) -> None:
        self._backend = backend
        self._prefix = backend.config.prefix_of(bucket)

    async def get(self, key: str) -> bytes | None:
        value: bytes | None = await self._backend.ask(b"GET", self._key(key))
        return value

    async def set(self, key: str, value: bytes) -> None:
        await self._backend.ask(b"SET", self._key(key), value)

    async def delete(self, key: str) -> None:
        await self._backend.ask(b"DEL", self._key(key))

    async def exists(self, key: str) -> bool:
        return bool(await self._backend.ask(b"EXISTS", self._key(key)))

    async def page(self, cursor: int | None) -> tuple[list[str], int | None]:
        """Keys as Redis scans them: each that is there all the while; twice only where its table shrinks.

        The cursor is Redis's own, so any instance can go on with it.
        """
        found: dict[str, None] = {}
        position = cursor or 0
        match = _GLOB.sub(rb"\\\1", self._prefix) + b"*"
        for _ in range(SCAN_STEPS_MAX):
            answer = await self._backend.ask(b"SCAN", position, b"MATCH", match, b"COUNT", PAGE_KEYS_MIN)
            position = int(answer[0])
            found |= dict.fromkeys(self._readable(answer[1]))
            if position == 0 or len(found) >= PAGE_KEYS_MIN:
                break
        return list(found), position or None

    async def increment(self, key: str, delta: int) -> int:
        command = (1, self._key(key), delta)
        try:
            try:
                total = await self._backend.ask(b"EVALSHA", _INCREMENT_SHA, *command)
            except Unavailable as e:
                if not isinstance(e.__cause__, NoScriptError):
                    raise
                total = await self._backend.ask(b"EVAL", _INCREMENT, *command)
        except Unavailable as e:
            said = str(e.__cause__)
            if said.startswith(_REFUSED):
                raise InvalidArgument(said.removeprefix(_REFUSED).lstrip()) from e
            raise
        return int(total)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for some in _groups(keys):
            found += await self._backend.ask(b"MGET", *map(self._key, some))
        return found

    async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        """Writes several; up to `BATCH_KEYS_MAX` at once or not at all."""
        for some in _groups(pairs):
            parts: list[bytes] = []
            for key, value in some:
                parts += (self._key(key), value)
            await self._backend.ask(b"MSET", *parts)

    async def delete_many(self, keys: Sequence[str]) -> None:
        for some in _groups(keys):
            await self._backend.ask(b"DEL", *map(self._key, some))

    # --- inside --------------------------------------------------------------------------------------

    def _key(self, key: str) -> bytes:
        try:
            return self._prefix + key.encode()
        except UnicodeEncodeError:
            raise InvalidArgument("the key is not valid Unicode text") from None

    def _readable(self, keys: list[bytes]) -> list[str]:
        """The keys without the prefix, less those that are no text: others wrote them."""
        readable = []
        for key in keys:
            try:
                readable.append(key[len(self._prefix) :].decode())
            except UnicodeDecodeError:
                continue
        return readable


def _groups(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[begin : begin + BATCH_KEYS_MAX] for begin in range(0, len(items), BATCH_KEYS_MAX)]
