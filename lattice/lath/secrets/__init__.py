"""Secrets: sealed to the key of the participant that they are for, on the wire and at rest."""

from __future__ import annotations

from lath.secrets.keys import LatticeKeys, ParticipantKeys, new_seed
from lath.secrets.participant import ParticipantSecrets
from lath.secrets.sealing import SECRET_BYTES_MAX, read_secret, seal, unseal
from lath.secrets.store import SecretListing, SecretStore

__all__ = [
    "SECRET_BYTES_MAX",
    "LatticeKeys",
    "ParticipantKeys",
    "ParticipantSecrets",
    "SecretListing",
    "SecretStore",
    "new_seed",
    "read_secret",
    "seal",
    "unseal",
]
