"""One bucket of NATS KV with arbitrary string keys: what the operations of wasi:keyvalue need."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import KeyValueConfig, StorageType
from nats.js.errors import (
    BucketNotFoundError,
    KeyDeletedError,
    KeyNotFoundError,
    KeyWrongLastSequenceError,
)
from nats.js.kv import KeyValue

from lath.bus import Bus
from lath.errors import (
    Conflict,
    InvalidArgument,
    NotFound,
    PayloadTooLarge,
    PermissionDenied,
    Unavailable,
)
from lath.provider import BackendLost
from lath_providers.keyvalue import sum_of
from lath_providers.keyvalue_nats import keys
from lath_providers.keyvalue_nats.config import KeyValueNatsConfig

T = TypeVar("T")
R = TypeVar("R")

REQUEST_S: Final = 5.0
"""How long one request to the backend may take."""
PAGE_KEYS_MAX: Final = 1_000
"""Keys in one page of `list-keys`."""
BATCH_AT_ONCE_MAX: Final = 32
"""Requests of one batch in flight: they hide the round trip, and a large batch does not flood the server."""
HEADER_ROOM_BYTES: Final = 1_024
"""What subject and headers of a write may take beside the value."""
RETRY_WAIT_MAX_S: Final = 0.02
"""Longest random pause between two tries of an increment that others got in the way of."""


class Store:
    """A bucket on a connection. Its errors are those of `lath.errors`, said in the bucket's own words.

    Args:
        bus: The connection to the backend.
        name: The bucket.
        kv: nats-py's handle of it.
    """

    def __init__(self, bus: Bus, name: str, kv: KeyValue) -> None:
        self.name = name
        self._bus = bus
        self._kv = kv

    async def get(self, key: str) -> bytes | None:
        """The value of a key; None where there is none."""
        entry, _ = await self._entry(keys.encode(key))
        return entry

    async def set(self, key: str, value: bytes) -> None:
        """Writes a value.

        Raises:
            PayloadTooLarge: It is above what the backend takes in one message.
        """
        limit = self._bus.max_payload_bytes - HEADER_ROOM_BYTES
        if len(value) > limit:
            raise PayloadTooLarge(
                f"the value of {len(value)} bytes is above the {limit} that the backend takes"
            )
        encoded = keys.encode(key)
        await self._ask(self._kv.put(encoded, value))

    async def delete(self, key: str) -> None:
        """Deletes a key, whether or not it is there."""
        encoded = keys.encode(key)
        current, _ = await self._entry(encoded)
        if current is not None:  # else every delete of nothing would leave a marker for good
            await self._ask(self._kv.delete(encoded))

    async def exists(self, key: str) -> bool:
        """Whether a key is there."""
        return await self.get(key) is not None

    async def page(self, cursor: int | None) -> tuple[list[str], int | None]:
        """The keys written after `cursor`, in the order of their last writes, and where the next page begins.

        A key that is written between two pages comes again, or for the first time; none is left out.
        """
        found = [(seq, key) for seq, key in await self._ask(self._listed()) if seq > (cursor or 0)]
        found.sort()
        page = found[:PAGE_KEYS_MAX]
        following = page[-1][0] if len(found) > len(page) else None
        return [key for _, key in page], following

    async def increment(self, key: str, delta: int) -> int:
        """Adds to the decimal number that a key holds, by compare-and-set, and returns the sum.

        It tries until nobody got in the way; the caller's deadline ends it.

        Raises:
            InvalidArgument: The key holds no such number, or the sum does not fit 64 bits.
        """
        encoded = keys.encode(key)
        while True:
            current, revision = await self._entry(encoded)
            total = sum_of(current, delta)
            try:
                await self._ask(self._kv.update(encoded, b"%d" % total, last=revision))
            except Conflict:
                await asyncio.sleep(random.uniform(0, RETRY_WAIT_MAX_S))
            else:
                return total

    async def get_many(self, wanted: Sequence[str]) -> list[bytes | None]:
        """The values of keys, in their order."""
        return await self._each(wanted, self.get)

    async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        """Writes several, some at once; the first error ends it."""
        await self._each(pairs, lambda pair: self.set(*pair))

    async def delete_many(self, doomed: Sequence[str]) -> None:
        """Deletes several, some at once; the first error ends it."""
        await self._each(doomed, self.delete)

    async def check(self) -> None:
        """Asks the backend for the bucket.

        Raises:
            LathError: It is down, or the bucket is gone.
        """
        await self._ask(self._kv.status())

    # --- inside --------------------------------------------------------------------------------------

    async def _each(self, items: Sequence[T], do: Callable[[T], Awaitable[R]]) -> list[R]:
        """Does something for each item, some at once. Returns what came of each; the first error ends it."""
        at_once = asyncio.Semaphore(BATCH_AT_ONCE_MAX)

        async def one(item: T) -> R:
            async with at_once:
                return await do(item)

        tasks = [asyncio.ensure_future(one(item)) for item in items]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _entry(self, encoded: str) -> tuple[bytes | None, int]:
        """The value and the sequence of a key's last write; None for a key that is not there."""
        try:
            entry = await self._ask(self._kv.get(encoded))
        except NotFound as e:
            deleted = (
                e.__cause__.entry if isinstance(e.__cause__, KeyDeletedError | KeyNotFoundError) else None
            )
            return None, (deleted.revision or 0) if deleted is not None else 0
        return entry.value or b"", entry.revision or 0

    async def _listed(self) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        watcher = await self._kv.watchall(ignore_deletes=True, meta_only=True)
        try:
            async for entry in watcher:
                if entry is None:  # all that was there has been told
                    break
                try:
                    found.append((entry.revision or 0, keys.decode(entry.key)))
                except InvalidArgument:
                    continue  # written by somebody else, under a name that no component can ask for
        finally:
            await watcher.stop()  # type: ignore[no-untyped-call]
        return found

    async def _ask(self, request: Awaitable[T]) -> T:
        return await asked(self._bus, request)


async def asked(bus: Bus, request: Awaitable[T]) -> T:
    """Awaits a request to the backend, with a time-out and with the errors of lath.

    Raises:
        BackendLost: There is no connection to the backend.
        Unavailable: It refused, or gave no answer in time.
        NotFound: The key, or the bucket, is not there.
        Conflict: Another write came first.
    """
    try:
        if not bus.connected:
            raise BackendLost(f"there is no connection to the backend {bus.url}", may_have_run=False)
        async with asyncio.timeout(REQUEST_S):
            return await request
    except KeyWrongLastSequenceError as e:
        raise Conflict("another write came first") from e
    except (KeyNotFoundError, KeyDeletedError) as e:
        raise NotFound("the key is not there") from e
    except BucketNotFoundError as e:
        raise NotFound("the bucket is not there") from e
    except TimeoutError as e:
        raise Unavailable(f"the backend {bus.url} gave no answer within {REQUEST_S:g} s") from e
    except NatsError as e:
        raise Unavailable(f"the backend {bus.url}: {e}") from e
    finally:
        _forget(request)


async def open_store(bus: Bus, name: str, config: KeyValueNatsConfig) -> Store:
    """Finds a bucket, or makes it where the config says so.

    Raises:
        NotFound: It is not there, and is not to be made.
        PermissionDenied: The backend does not permit it with these credentials.
        Unavailable: The backend refused it or gave no answer.
    """
    denied: list[str] = []
    limit = asyncio.timeout(None)

    def note(subject: str) -> None:
        # The server tells of it apart from the request, which would only time out.
        denied.append(subject)
        if len(denied) == 1:
            limit.reschedule(asyncio.get_running_loop().time())

    remove = bus.on_denied(note)
    try:
        async with limit:
            return await _find_or_make(bus, name, config)
    except (Unavailable, TimeoutError):
        if not denied:
            raise
        raise PermissionDenied(
            f"the backend {bus.url} does not permit {denied[0]}: name credentials in the link's config"
        ) from None
    finally:
        remove()


async def _find_or_make(bus: Bus, name: str, config: KeyValueNatsConfig) -> Store:
    js: JetStreamContext = bus.nc.jetstream(timeout=REQUEST_S)
    try:
        kv = await asked(bus, js.key_value(name))
    except NotFound:
        if not config.create:
            raise NotFound(f"bucket {name!r} is not there, and the link's config says create=false") from None
        made = KeyValueConfig(
            bucket=name,
            replicas=config.replicas,
            storage=StorageType(config.storage),
            # Reads go through the leader: another replica could miss what was just written.
            direct=False,
        )
        kv = await asked(bus, js.create_key_value(made))
    return Store(bus, name, kv)


def _forget(request: Any) -> None:
    """Closes a coroutine that was never awaited, since there was no connection to await it on."""
    close = getattr(request, "close", None)
    if close is not None:
        close()
