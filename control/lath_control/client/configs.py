"""Named configs: flat maps of text that links and components take by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lath.errors import NotFound
from lath.names import check_name
from lath_control.client.models import ConfigView
from lath_control.client.telling import tell_config

if TYPE_CHECKING:
    from lath_control.client import Client


class Configs:
    """`client.configs`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def put(self, name: str, values: Mapping[str, str]) -> ConfigView:
        """Writes a config as a whole; links that name it are applied again everywhere."""
        revision = await self._client.config_store.put(check_name(name, "config name"), dict(values))
        await tell_config(self._client.bus, "config_set", name)
        return ConfigView(name=name, values=dict(values), revision=str(revision))

    async def get(self, name: str) -> ConfigView:
        """One config.

        Raises:
            NotFound: There is none of that name.
        """
        values = await self._client.config_store.get(check_name(name, "config name"))
        if values is None:
            raise NotFound(f"there is no config {name}: 'lath config put {name} KEY=VALUE' makes one")
        return ConfigView(name=name, values=values)

    async def list(self) -> list[ConfigView]:
        """All configs that can be read, by name."""
        listing = await self._client.config_store.list()
        return [ConfigView(name=name, values=values) for name, values in sorted(listing.configs.items())]

    async def delete(self, name: str, *, force: bool = False) -> None:
        """Removes a config.

        Raises:
            NotFound: There is none of that name.
            Conflict: Links name it, and `force` is not set; the message lists them.
        """
        if not await self._client.config_store.delete(check_name(name, "config name"), force=force):
            raise NotFound(f"there is no config {name}")
        await tell_config(self._client.bus, "config_deleted", name)
