"""The secrets of one participant, opened when they are asked for, and told of when they change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Final

from lath import subjects
from lath.bus.connection import Bus
from lath.errors import InvalidArgument, NotFound, Unavailable
from lath.mirror import Change, Mirror
from lath.secrets.keys import ParticipantKeys
from lath.secrets.sealing import read_secret, unseal

ARRIVAL_SECONDS: Final = 5.0
"""How long the first reading of the bucket may take."""

ChangedSecrets = Callable[[Set[str]], None]
"""Told the names of secrets that changed."""


class ParticipantSecrets:
    """See the module. The bucket is read from the first time on that a secret is asked for.

    Args:
        bus: A connection that may read this participant's secrets.
        participant: Its id.
        keys: Its private keys; None: it has none, and can open nothing.
        on_change: Told when secrets were put or deleted, or the keys are others; not before the first
            `opened`.
    """

    def __init__(
        self, bus: Bus, participant: str, keys: ParticipantKeys | None, on_change: ChangedSecrets
    ) -> None:
        self._participant = participant
        self._keys = keys
        self._on_change = on_change
        self._mirror = Mirror(bus, "secrets", (subjects.secrets_of_participant_filter(participant),))
        self._following = False

    async def opened(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """The values of secrets as text, for a config.

        Args:
            wanted: Names of secrets, by field.

        Raises:
            NotFound: One does not exist; the message names it.
            Unavailable: The participant has no key, or another one, or the bucket could not be read.
            InvalidArgument: One is not a secret, or not text.
        """
        if not wanted:
            return {}
        keys = self._keys
        if keys is None:
            raise Unavailable(
                f"{self._participant} has no key to open secret {next(iter(wanted.values()))} with: start "
                "its host, or the provider itself, with --secrets-key"
            )
        await self._read()
        return {field: self._text(keys, name) for field, name in wanted.items()}

    def use(self, keys: ParticipantKeys | None) -> None:
        """Opens by other keys from now on."""
        before, self._keys = self._keys, keys
        if self._following and (before is None or keys is None or before.private != keys.private):
            self._on_change({key.partition(".")[2] for key in self._mirror.entries})

    async def close(self) -> None:
        """Stops reading."""
        await self._mirror.close()

    async def _read(self) -> None:
        await self._mirror.start()
        try:
            async with asyncio.timeout(ARRIVAL_SECONDS):
                await self._mirror.wait_until(lambda: self._mirror.ever_synced)
        except TimeoutError:
            reason = self._mirror.error.message if self._mirror.error else "they have not arrived"
            raise Unavailable(f"the secrets of {self._participant} cannot be read: {reason}") from None
        if not self._following:
            self._following = True  # from here on: what the first reading brings is no change
            self._mirror.on_change(self._changed)

    def _text(self, keys: ParticipantKeys, name: str) -> str:
        title = f"secret {name} of {self._participant}"
        entry = self._mirror.entries.get(subjects.secret_key(self._participant, name))
        if entry is None:
            raise NotFound(
                f"{title} does not exist: put it with `lath secret put {self._participant} {name}`"
            )
        try:
            value = unseal(keys, name, read_secret(entry))
        except Unavailable as e:
            raise Unavailable(f"{title} cannot be opened: {e.message}") from None
        if isinstance(value, bytes):
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise InvalidArgument(f"{title} is bytes that are not UTF-8, and a config is text") from None
        return value

    def _changed(self, changes: Sequence[Change]) -> None:
        self._on_change({change.key.partition(".")[2] for change in changes})
