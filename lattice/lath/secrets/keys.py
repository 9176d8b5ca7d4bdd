"""The keys that secrets are sealed to: an X25519 pair per participant, derived from a seed of the lattice.

Hosts have the seed, so that any of them can open the secrets of what it runs; a provider in a process of its
own has its own private key alone. The derivation is keyed BLAKE2b (RFC 7693), the seal is libsodium's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Sequence
from typing import Final

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from lath.errors import InvalidArgument, Unavailable
from lath.names import check_name, check_target

KEY_BYTES: Final = 32
"""Of a seed, and of an X25519 key."""
_PURPOSE: Final = b"lath.secrets.v1"
"""BLAKE2b's personalization: keys for another purpose would be others."""


def new_seed() -> bytes:
    """A seed for a lattice, at random."""
    return secrets.token_bytes(KEY_BYTES)


def key_text(key: bytes) -> str:
    """A key as it stands in records and files: base64."""
    return base64.b64encode(key).decode()


def key_bytes(text: str, what: str) -> bytes:
    """The key that `key_text` wrote.

    Raises:
        InvalidArgument: It is none. The text is not repeated: it may be a private key.
    """
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgument(f"{what} is not base64") from None
    if len(key) != KEY_BYTES:
        raise InvalidArgument(f"{what} has {len(key)} bytes, not {KEY_BYTES}")
    return key


def public_key(text: str) -> PublicKey:
    """Reads a public key.

    Raises:
        InvalidArgument: It is none.
    """
    return PublicKey(key_bytes(text, "public key"))


class ParticipantKeys:
    """The private keys of one participant, the current one first. Shown without them.

    Args:
        participant: Whose.
        private: At least one.
    """

    def __init__(self, participant: str, private: Sequence[bytes]) -> None:
        if not private:
            raise InvalidArgument(f"{participant} has no key")
        self.participant: Final = participant
        self.private: Final = tuple(private)
        keys = [PrivateKey(key) for key in self.private]
        self._keys = {key_text(bytes(key.public_key)): key for key in keys}

    def __repr__(self) -> str:
        return f"ParticipantKeys({self.participant!r}, public_key={self.public_key!r})"

    @property
    def public_key(self) -> str:
        """The current one: what new secrets are sealed to."""
        return next(iter(self._keys))

    def open(self, sealed_to: str, sealed: bytes) -> bytes:
        """Opens a sealed box.

        Args:
            sealed_to: The public key that it is sealed to.
            sealed: The box.

        Raises:
            Unavailable: That key is not one of these.
            InvalidArgument: The box was damaged, or is not sealed to that key.
        """
        key = self._keys.get(sealed_to)
        if key is None:
            raise Unavailable(
                f"it is sealed to another key of {self.participant} than those that are here: put it again, "
                "or give the hosts the key file that it was sealed by"
            )
        try:
            return SealedBox(key).decrypt(sealed)
        except CryptoError:
            raise InvalidArgument("its sealed value was damaged, or is sealed to another key") from None


class LatticeKeys:
    """The keys of all participants of a lattice. Shown without them.

    Args:
        lattice: Its name.
        seeds: At least one, the current one first; the others open what was sealed before.
    """

    def __init__(self, lattice: str, seeds: Sequence[bytes]) -> None:
        if not seeds:
            raise InvalidArgument("a lattice needs at least one seed")
        self.lattice: Final = check_name(lattice, "lattice")
        self._seeds = tuple(seeds)
        self._known: dict[str, ParticipantKeys] = {}

    def __repr__(self) -> str:
        return f"LatticeKeys({self.lattice!r}, {len(self._seeds)} seeds)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LatticeKeys) and (self.lattice, self._seeds) == (other.lattice, other._seeds)

    __hash__ = None  # type: ignore[assignment]

    def of(self, participant: str) -> ParticipantKeys:
        """The keys of one participant.

        Raises:
            InvalidArgument: It cannot be the id of one.
        """
        known = self._known.get(participant)
        if known is None:
            name = check_target(participant, "participant")
            known = ParticipantKeys(name, [self._derived(seed, name) for seed in self._seeds])
            self._known[participant] = known
        return known

    def _derived(self, seed: bytes, participant: str) -> bytes:
        whose = f"{self.lattice}.{participant}".encode()  # neither name has a dot in it
        return hashlib.blake2b(whose, key=seed, person=_PURPOSE, digest_size=KEY_BYTES).digest()
