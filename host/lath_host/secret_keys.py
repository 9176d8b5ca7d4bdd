"""The keys of the lattice's secrets, as a host has them: from its key file, followed as that changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lath.errors import LathError, NotFound
from lath.secrets import LatticeKeys, ParticipantKeys
from lath.secrets.keyfile import read_lattice_keys
from lath.telemetry import get_logger

_log = get_logger(__name__)

LOOK_SECONDS: Final = 2.0
"""How soon a changed key file is read again: after a new seed was put into it, nobody need restart a host."""


class SecretKeys:
    """See the module.

    Args:
        path: The key file; None: the host has no keys.
        lattice: The lattice.
    """

    def __init__(self, path: Path | None, lattice: str) -> None:
        self._path = path
        self._lattice = lattice
        self._keys: LatticeKeys | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._refused = ""

    @property
    def there(self) -> bool:
        """Whether the host has keys at all."""
        return self._keys is not None

    def on_change(self, callback: Callable[[], None]) -> None:
        """Has `callback` called when the keys have become others."""
        self._callbacks.append(callback)

    async def start(self) -> None:
        """Reads the key file, and follows it from then on.

        Raises:
            InvalidArgument: It is not safe, or no key file.
            NotFound: It does not exist.
        """
        if self._path is not None:
            self._keys = await asyncio.to_thread(read_lattice_keys, self._path, self._lattice)
            self._task = asyncio.create_task(self._follow(), name="secrets key file")

    async def close(self) -> None:
        """Follows the file no longer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def refresh(self) -> None:
        """Reads the file again, now. One that has become unreadable changes nothing, and is logged once."""
        if self._path is None:
            return
        try:
            keys = await asyncio.to_thread(read_lattice_keys, self._path, self._lattice)
        except LathError as e:
            if e.message != self._refused:
                _log.error("the key file cannot be read; the keys that were read stay", reason=e.message)
            self._refused = e.message
            return
        self._refused = ""
        if keys != self._keys:
            self._keys = keys
            _log.info("the keys of the lattice's secrets have changed")
            for callback in self._callbacks:
                callback()

    def lattice_keys(self) -> LatticeKeys:
        """All keys.

        Raises:
            NotFound: The host has none.
        """
        if self._keys is None:
            raise NotFound(
                "this host has no key for secrets: start all hosts of the lattice with --secrets-key, and "
                "the same file"
            )
        return self._keys

    def of(self, participant: str) -> ParticipantKeys | None:
        """The keys of one participant; None where the host has none."""
        return None if self._keys is None else self._keys.of(participant)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.refresh()
