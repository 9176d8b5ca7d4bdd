"""Opens, closes and checks links by a provider's methods, whichever end of the link it is on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Protocol

from lath import model
from lath.errors import DeadlineExceeded, Unavailable
from lath.provider.base import Provider
from lath.provider.link import Link
from lath.secrets import ParticipantSecrets

_NONE: Final[Mapping[str, str]] = {}


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
        secrets: Opens those that links name; None: nothing does.
    """

    def __init__(
        self, provider: Provider, provider_id: str, secrets: ParticipantSecrets | None = None
    ) -> None:
        self._provider = provider
        self._id = provider_id
        self._secrets = secrets
        self._opened: dict[str, Mapping[str, str]] = {}

    @property
    def open_timeout_s(self) -> float:
        return self._provider.open_timeout_s

    @property
    def close_timeout_s(self) -> float:
        return self._provider.close_timeout_s

    def secrets_of(self, key: str) -> Mapping[str, str]:
        """The values of the secrets that a link was opened with, by field."""
        return self._opened.get(key, _NONE)

    def forget(self, key: str) -> None:
        """The link is gone, and the values of its secrets with it."""
        self._opened.pop(key, None)

    async def open(self, record: model.Link) -> Any:
        wanted = record.secrets_for(self._id)
        if wanted:
            if self._secrets is None:
                raise Unavailable("secrets of links are not opened here: give their values as config")
            self._opened[record.key] = await self._secrets.opened(wanted)
        else:
            self._opened.pop(record.key, None)
        link = self._seen(record)
        if link.role == "source":
            return await self._provider.open_source_link(link)
        return await self._provider.open_link(link)

    async def close(self, record: model.Link, held: Any) -> None:
        link = self._seen(record)
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
        link = self._seen(record)
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

    def _seen(self, record: model.Link) -> Link:
        return Link.of(record, self._id, self._opened.get(record.key))
