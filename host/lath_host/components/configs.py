"""Named config as the host has it mirrored: what its components and providers are given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from typing import Final

from lath.errors import InvalidArgument, NotFound
from lath.links import read_config
from lath.mirror import Mirror

ARRIVAL_SECONDS: Final = 2.0
"""The mirror is milliseconds behind what was just written; a config that is not there by then is missing."""


class Configs:
    """Reads the mirrored bucket of config.

    Args:
        mirror: Of the bucket `config`, whole; started and closed by its owner.
    """

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror

    def on_change(self, callback: Callable[[Set[str]], None]) -> Callable[[], None]:
        """Has `callback` called with the names of configs that changed; returns what undoes this."""
        return self._mirror.on_change(lambda changes: callback({change.key for change in changes}))

    async def arrived(self, names: tuple[str, ...]) -> Mapping[str, str]:
        """Like `merged`, for configs that were just written: waits a moment until the mirror has them.

        Raises:
            NotFound: As `merged`.
            InvalidArgument: As `merged`.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(ARRIVAL_SECONDS):
                await self._mirror.wait_until(lambda: all(name in self._mirror.entries for name in names))
        return self.merged(names)

    def merged(self, names: tuple[str, ...]) -> Mapping[str, str]:
        """The values of several configs in one map, later ones before earlier ones.

        Raises:
            NotFound: One does not exist; the message names it.
            InvalidArgument: What stands under one of the names is no config.
        """
        values: dict[str, str] = {}
        for name in names:
            entry = self._mirror.entries.get(name)
            if entry is None:
                raise NotFound(f"config {name} does not exist: put it with `lath config put {name}`")
            values.update(read_config(entry))
        return values

    def present(self, names: tuple[str, ...]) -> Mapping[str, str]:
        """Like `merged`, for what runs already: a config that is gone counts as empty."""
        values: dict[str, str] = {}
        for name in names:
            try:
                values.update(self.merged((name,)))
            except (NotFound, InvalidArgument):
                continue
        return values
