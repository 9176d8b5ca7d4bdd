"""wasi:keyvalue in memory, for tests: of providers, of components, of the lattice itself.

Link config: `bucket` (the link's own by default); `fail`: opening fails with that reason; `hang=true`:
opening never ends; `down`: checks fail with that reason. `provider.connections` is what is open.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from lath.codec import Record, Variant
from lath.provider import Call, Link, OpError, Provider, operation, resource

STORE = "wasi:keyvalue/store@0.2.0-draft"
ATOMICS = "wasi:keyvalue/atomics@0.2.0-draft"
BATCH = "wasi:keyvalue/batch@0.2.0-draft"

PAGE_KEYS_MAX = 100
"""Small, so that tests page."""
U64_MAX = 2**64 - 1


class MemoryConfig(BaseModel):
    """See the module."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bucket: str = ""
    fail: str = ""
    hang: bool = False
    down: str = ""


@resource("bucket")
class MemoryBucket:
    """A bucket in a component's hands."""

    identifier: str


@dataclass(eq=False, slots=True)
class Connection:
    """What a link holds."""

    link: Link
    config: MemoryConfig
    data: dict[str, bytes]


class MemoryKeyValue(Provider):
    """wasi:keyvalue in memory. What was stored outlives links, not the provider.

    Attributes:
        buckets: What is stored, by bucket.
        connections: What is open now.
        opened: How often a link was opened.
    """

    resources = (MemoryBucket,)

    def __init__(self) -> None:
        self.buckets: dict[str, dict[str, bytes]] = {}
        self.connections: set[Connection] = set()
        self.opened = 0

    async def open_link(self, link: Link) -> Connection:
        config = link.config_as(MemoryConfig)
        if config.fail:
            raise ConnectionError(config.fail)
        if config.hang:
            await asyncio.Event().wait()
        data = self.buckets.setdefault(config.bucket or f"{link.source_id}.{link.name}", {})
        connection = Connection(link, config, data)
        self.connections.add(connection)
        self.opened += 1
        return connection

    async def close_link(self, link: Link, connection: Connection) -> None:
        self.connections.remove(connection)  # raises when it is closed twice

    async def check_link(self, link: Link, connection: Connection) -> None:
        if connection.config.down:
            raise ConnectionError(connection.config.down)

    # --- wasi:keyvalue/store -------------------------------------------------------------------------

    @operation(STORE)
    async def open(self, call: Call[Connection], identifier: str) -> MemoryBucket:
        if identifier not in ("", "default"):
            raise OpError(Variant("no-such-store"))
        return MemoryBucket(identifier)

    @operation(STORE, "[method]bucket.get")
    async def get(self, call: Call[Connection], bucket: MemoryBucket, key: str) -> bytes | None:
        return call.held.data.get(key)

    @operation(STORE, "[method]bucket.set")
    async def set(self, call: Call[Connection], bucket: MemoryBucket, key: str, value: bytes) -> None:
        call.held.data[key] = value

    @operation(STORE, "[method]bucket.delete")
    async def delete(self, call: Call[Connection], bucket: MemoryBucket, key: str) -> None:
        call.held.data.pop(key, None)

    @operation(STORE, "[method]bucket.exists")
    async def exists(self, call: Call[Connection], bucket: MemoryBucket, key: str) -> bool:
        return key in call.held.data

    @operation(STORE, "[method]bucket.list-keys")
    async def list_keys(self, call: Call[Connection], bucket: MemoryBucket, cursor: int | None) -> Record:
        keys = list(call.held.data)
        begin = cursor or 0
        end = begin + PAGE_KEYS_MAX
        return Record(keys=keys[begin:end], cursor=end if end < len(keys) else None)

    # --- wasi:keyvalue/atomics -----------------------------------------------------------------------

    @operation(ATOMICS)
    async def increment(self, call: Call[Connection], bucket: MemoryBucket, key: str, delta: int) -> int:
        current = call.held.data.get(key, b"0")
        if not current.isdigit():
            raise OpError(Variant("other", "the key holds no decimal number, so it cannot be incremented"))
        total = int(current) + delta
        if total > U64_MAX:
            raise OpError(Variant("other", f"{total} is above the largest number of 64 bits"))
        call.held.data[key] = b"%d" % total
        return total

    # --- wasi:keyvalue/batch -------------------------------------------------------------------------

    @operation(BATCH)
    async def get_many(
        self, call: Call[Connection], bucket: MemoryBucket, keys: list[str]
    ) -> list[tuple[str, bytes] | None]:
        data = call.held.data
        return [(key, data[key]) if key in data else None for key in keys]

    @operation(BATCH)
    async def set_many(
        self, call: Call[Connection], bucket: MemoryBucket, key_values: list[tuple[str, bytes]]
    ) -> None:
        call.held.data.update(key_values)

    @operation(BATCH)
    async def delete_many(self, call: Call[Connection], bucket: MemoryBucket, keys: list[str]) -> None:
        for key in keys:
            call.held.data.pop(key, None)


if __name__ == "__main__":
    MemoryKeyValue.main()
