"""A secret as it stands in KV: sealed to the key of the participant that it is for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from lath.model.inventory import Ctl
from lath.names import Target

SEALED_CHARS_MAX = 128 * 1024
"""A sealed value in base64: one of 64 KiB, with room to spare."""


class SealedSecret(BaseModel):
    """One entry of the bucket of secrets.

    Attributes:
        type: Names this form of the record.
        public_key: The participant's X25519 key that it is sealed to, base64.
        sealed: A sealed box (libsodium's `crypto_box_seal`), base64, around a msgpack array: participant,
            name, value. The value is a str or bin.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["lath.secret.v1"] = "lath.secret.v1"
    public_key: Annotated[str, Field(max_length=64)]
    sealed: Annotated[str, Field(max_length=SEALED_CHARS_MAX)]


class RekeySecrets(Ctl):
    """Asks a host to seal secrets to the current key.

    Attributes:
        participant: Whose; absent: everybody's.
    """

    participant: Target | None = None


class SecretKey(BaseModel):
    """What a host answers when it is asked for a participant's public key.

    Attributes:
        participant: Whose.
        public_key: What its secrets are to be sealed to, base64.
        host_id: Who says so.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    participant: str
    public_key: str
    host_id: str = ""


class Rekeyed(BaseModel):
    """What became of the secrets that a host was asked to seal to the current key.

    Attributes:
        resealed: How many it has sealed anew.
        current: How many were sealed to the current key already.
        failed: By key, why one was left as it is.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    resealed: int = 0
    current: int = 0
    failed: dict[str, str] = {}
