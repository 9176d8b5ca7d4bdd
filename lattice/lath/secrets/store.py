"""The bucket of secrets, for operators and hosts: sealed values go in, sealed values come out."""

from __future__ import annotations

from dataclasses import dataclass

from lath import subjects
from lath.bus.buckets import BucketStore
from lath.bus.connection import Bus
from lath.errors import Conflict, InvalidArgument, LathError
from lath.model import Rekeyed, Revision, SealedSecret
from lath.secrets.keys import LatticeKeys
from lath.secrets.sealing import read_secret, seal, unseal


@dataclass(frozen=True, slots=True)
class SecretListing:
    """Which secrets there are.

    Attributes:
        secrets: By participant and name, each as it stands, sealed.
        unreadable: By key, what is wrong with an entry that is no secret.
    """

    secrets: dict[tuple[str, str], SealedSecret]
    unreadable: dict[str, str]


class SecretStore:
    """Reads and writes the secrets of a lattice, sealed.

    Args:
        bus: A connection that may read and write the bucket of secrets.
    """

    def __init__(self, bus: Bus) -> None:
        self._bucket = BucketStore(bus, "secrets")

    async def put(self, participant: str, name: str, secret: SealedSecret) -> Revision:
        """Writes a secret.

        Raises:
            InvalidArgument: A name is not valid.
            Unavailable: The lattice has no buckets, or JetStream no leader.
        """
        key = subjects.secret_key(participant, name)
        return await self._bucket.put(key, secret.model_dump_json().encode())

    async def delete(self, participant: str, name: str) -> bool:
        """Removes a secret; False when there was none."""
        key = subjects.secret_key(participant, name)
        if await self._bucket.get(key) is None:
            return False
        await self._bucket.delete(key)
        return True

    async def list(self, participant: str | None = None) -> SecretListing:
        """All secrets, or those of one participant."""
        listing = SecretListing({}, {})
        filter_ = subjects.secrets_of_participant_filter(participant) if participant else ">"
        for entry in await self._bucket.list(filter_):
            whose, dot, name = entry.key.partition(".")
            try:
                if not dot:
                    raise InvalidArgument("its key is not of the form PARTICIPANT.NAME")
                listing.secrets[whose, name] = read_secret(entry)
            except InvalidArgument as e:
                listing.unreadable[entry.key] = e.message
        return listing

    async def rekey(self, keys: LatticeKeys, participant: str | None = None) -> Rekeyed:
        """Seals what is sealed to an older key to the current one. For a host: the values are opened.

        Args:
            keys: With the old seed and the new one.
            participant: Whose secrets; None: everybody's.
        """
        resealed, current, failed = 0, 0, {}
        filter_ = subjects.secrets_of_participant_filter(participant) if participant else ">"
        for entry in await self._bucket.list(filter_):
            whose, _, name = entry.key.partition(".")
            try:
                own, secret = keys.of(whose), read_secret(entry)
                if secret.public_key == own.public_key:
                    current += 1
                    continue
                anew = seal(own.public_key, whose, name, unseal(own, name, secret))
                await self._bucket.put_if(
                    entry.key, anew.model_dump_json().encode(), expected_sequence=entry.sequence
                )
                resealed += 1
            except Conflict:
                current += 1  # somebody has put it meanwhile, sealed as it should be or not: not ours to undo
            except LathError as e:
                failed[entry.key] = e.message
        return Rekeyed(resealed=resealed, current=current, failed=failed)
