"""Opens, closes and checks links by a provider's methods, whichever end of the link it is on."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from lath import model
from lath.errors import DeadlineExceeded
from lath.provider.base import Provider
from lath.provider.link import Link


class LinkOpener(Protocol):
    """What opens and closes links, with its time-outs in seconds."""

    @property
    def open_timeout_s(self) -> float: ...
    @property
    def close_timeout_s(self) -> float: ...
    async def open(self, link: model.Link) -> Any: ...
    async def close(self, link: model.Link, held: Any) -> None: ...


class ProviderOpener:
    """The table's way to the provider.

    Args:
        provider: Whose methods are called.
        provider_id: Tells which end of a link it is.
    """

    def __init__(self, provider: Provider, provider_id: str) -> None:
        self._provider = provider
        self._id = provider_id

    @property
    def open_timeout_s(self) -> float:
        return self._provider.open_timeout_s

    @property
    def close_timeout_s(self) -> float:
        return self._provider.close_timeout_s

    async def open(self, record: model.Link) -> Any:
        link = Link.of(record, self._id)
        if link.role == "source":
            return await self._provider.open_source_link(link)
        return await self._provider.open_link(link)

    async def close(self, record: model.Link, held: Any) -> None:
        link = Link.of(record, self._id)
        if link.role == "source":
            await self._provider.close_source_link(link, held)
        else:
            await self._provider.close_link(link, held)

    async def check(self, record: model.Link, held: Any) -> float:
        """Asks the link's backend. Returns the round trip in milliseconds.

        Raises:
            DeadlineExceeded: It took longer than the provider's `check_timeout_s`.
            Exception: What the provider's check raised.
        """
        link = Link.of(record, self._id)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(self._provider.check_timeout_s) as limit:
                if link.role == "source":
                    await self._provider.check_source_link(link, held)
                else:
                    await self._provider.check_link(link, held)
        except TimeoutError:
            if not limit.expired():
                raise
            raise DeadlineExceeded(
                f"check_link of {link.key} gave no answer within {self._provider.check_timeout_s:g} s"
            ) from None
        return (loop.time() - began) * 1000
