"""The part of link config that says which NATS servers, for the providers that a link can send to others."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from lath.bus import Bus, Credentials
from lath.provider import ProviderContext

CONNECT_MS: Final = 5_000
"""How long to try to reach the backend before the link is `failed` (and tried again)."""


class NatsServers(BaseModel):
    """Which servers, and how to be let in. Every value is text in KV; unknown names are refused.

    Attributes:
        url: The NATS servers, several separated by commas; empty: the lattice's own.
        user: With `password`, for the servers.
        password: With `user`.
        token: For the servers.
        creds: The path of a `.creds` file, for the servers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = ""
    user: str = ""
    password: str = Field(default="", repr=False)
    token: str = Field(default="", repr=False)
    creds: str = ""

    def credentials(self, own: Credentials | None) -> Credentials:
        """What to show the servers: what the config says, else, on the lattice's own bus, the provider's."""
        if self.user or self.token or self.creds:
            return Credentials(
                user=self.user, password=self.password, token=self.token, creds_path=self.creds
            )
        return Credentials() if self.url or own is None else own

    async def connect(self, context: ProviderContext, name: str) -> Bus:
        """A connection for one link, under a name that the servers show."""
        return await Bus.connect(
            self.url or context.nats_url,
            lattice=context.lattice,
            name=name,
            credentials=self.credentials(context.credentials),
            connect_timeout_ms=CONNECT_MS,
        )
