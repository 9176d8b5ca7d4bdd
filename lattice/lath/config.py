"""Named config: maps of string to string that links name. For operators and hosts; providers read links."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lath.bus.buckets import BucketStore
from lath.bus.connection import Bus
from lath.errors import Conflict, InvalidArgument
from lath.links.record import config_bytes, read_config
from lath.links.store import LinkStore
from lath.model import Revision
from lath.names import check_name

_LINKS_SHOWN_MAX: Final = 5
_REFRESH_AT_ONCE_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class ConfigListing:
    """All configs at one moment.

    Attributes:
        configs: Values by name.
        unreadable: By name, what is wrong with an entry that is no config.
    """

    configs: dict[str, dict[str, str]]
    unreadable: dict[str, str]


class ConfigStore:
    """Reads and writes the named configs of a lattice.

    Args:
        bus: A connection that may read and write the buckets of links and config.
    """

    def __init__(self, bus: Bus) -> None:
        self._bucket = BucketStore(bus, "config")
        self._links = LinkStore(bus)

    async def put(self, name: str, values: Mapping[str, str]) -> Revision:
        """Writes a config, then stores the links that name it again, with the new values.

        Raises:
            InvalidArgument: The name or the values are not valid, or too large.
            Unavailable: The lattice has no buckets, or JetStream no leader.
        """
        revision = await self._bucket.put(check_name(name, "config"), config_bytes(name, dict(values)))
        await self.refresh_links(name)
        return revision

    async def refresh_links(self, name: str) -> int:
        """Stores the links again that name a config and have older values; returns how many name it."""
        links = await self._links.naming(name)
        slots = asyncio.Semaphore(_REFRESH_AT_ONCE_MAX)

        async def refresh(key: str) -> None:
            async with slots:
                await self._links.refresh(key)

        await asyncio.gather(*(refresh(link.key) for link in links))
        return len(links)

    async def get(self, name: str) -> dict[str, str] | None:
        """The values of a config; None when there is none.

        Raises:
            InvalidArgument: What stands there is no config.
        """
        entry = await self._bucket.get(check_name(name, "config"))
        return None if entry is None else read_config(entry)

    async def delete(self, name: str, *, force: bool = False) -> bool:
        """Removes a config; False when there was none.

        Args:
            name: Which one.
            force: Also while links name it: they keep the values that they have.

        Raises:
            Conflict: Links name it; the message lists them.
        """
        if await self._bucket.get(check_name(name, "config")) is None:
            return False
        if not force:
            keys = [link.key for link in await self._links.naming(name)]
            if keys:
                shown = ", ".join(keys[:_LINKS_SHOWN_MAX])
                more = f" and {len(keys) - _LINKS_SHOWN_MAX} more" if len(keys) > _LINKS_SHOWN_MAX else ""
                raise Conflict(f"config {name} is named by links: {shown}{more}")
        await self._bucket.delete(name)
        return True

    async def list(self) -> ConfigListing:
        """All configs."""
        listing = ConfigListing({}, {})
        for entry in await self._bucket.list():
            try:
                listing.configs[entry.key] = read_config(entry)
            except InvalidArgument as e:
                listing.unreadable[entry.key] = e.message
        return listing
