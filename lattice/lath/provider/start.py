"""What a host tells a provider process that it supervises: one line of JSON on its standard input."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from lath.bus import Credentials
from lath.model import PRESENCE_TTL_MS, PresenceTtl
from lath.names import Name, Target, new_id
from lath.secrets import ParticipantKeys
from lath.secrets.keys import key_bytes

ENV_SUPERVISED: Final = "LATH_SUPERVISED"
"""Set to 1 by a host: the start record comes on standard input, whose end means that the host is gone."""
START_BYTES_MAX: Final = 1 << 20
"""Longest start record; config values are short, and a line without end must not fill the memory."""


class StartCredentials(BaseModel):
    """Credentials as they travel to a supervised provider: over its standard input, never its arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str = ""
    password: str = Field(default="", repr=False)
    token: str = Field(default="", repr=False)
    nkey_seed: str = Field(default="", repr=False)
    creds_path: str = ""
    inbox_prefix: str | None = None

    @staticmethod
    def of(credentials: Credentials) -> StartCredentials:
        return StartCredentials(
            user=credentials.user,
            password=credentials.password,
            token=credentials.token,
            nkey_seed=credentials.nkey_seed,
            creds_path=credentials.creds_path,
            inbox_prefix=credentials.inbox_prefix,
        )

    def credentials(self) -> Credentials:
        return Credentials(**self.model_dump())


class ProviderStart(BaseModel):
    """How a provider instance is to start.

    Attributes:
        lattice: The lattice to join.
        nats_url: Its bus; several servers parted by commas.
        provider_id: What links name.
        instance_id: New for every start.
        host_id: The host that supervises it; empty when it stands alone.
        config: The provider's own config, resolved.
        presence_ttl_ms: How long its presence holds without renewal.
        credentials: For the bus; absent: none.
        secret_keys: Private keys for its secrets, the current one first, base64.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["lath.provider.start.v1"] = "lath.provider.start.v1"
    lattice: Name
    nats_url: str
    provider_id: Target
    instance_id: Name = Field(default_factory=new_id)
    host_id: str = ""
    config: dict[str, str] = Field(default={}, repr=False)
    presence_ttl_ms: PresenceTtl = PRESENCE_TTL_MS
    credentials: StartCredentials | None = Field(default=None, repr=False)
    secret_keys: tuple[str, ...] = Field(default=(), repr=False)

    def to_line(self) -> bytes:
        """The line that a host writes to the provider's standard input."""
        return self.model_dump_json().encode() + b"\n"

    def keys(self) -> ParticipantKeys | None:
        """What opens its secrets; None: it has nothing to open them with."""
        return _keys(self.provider_id, self.secret_keys)


class ProviderUpdate(BaseModel):
    """What has changed for a provider that runs: any number of such lines follow the first.

    Attributes:
        config: The provider's own config, resolved, whole.
        secret_keys: As in `ProviderStart`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["lath.provider.update.v1"] = "lath.provider.update.v1"
    config: dict[str, str] = Field(default={}, repr=False)
    secret_keys: tuple[str, ...] = Field(default=(), repr=False)

    def to_line(self) -> bytes:
        """The line that a host writes to the provider's standard input."""
        return self.model_dump_json().encode() + b"\n"

    def keys(self, provider_id: str) -> ParticipantKeys | None:
        """As in `ProviderStart`."""
        return _keys(provider_id, self.secret_keys)


def _keys(provider_id: str, texts: tuple[str, ...]) -> ParticipantKeys | None:
    keys = [key_bytes(text, "a key for secrets") for text in texts]
    return ParticipantKeys(provider_id, keys) if keys else None
