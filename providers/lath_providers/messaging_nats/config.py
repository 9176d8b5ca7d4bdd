"""The config of links to and from the messaging provider on NATS."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from lath.bus import Credentials
from lath_providers.messaging.config import Patterns, SendingConfig, TakingConfig


class NatsServers(BaseModel):
    """Which servers, and how to be let in.

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


class NatsSendingConfig(NatsServers, SendingConfig):
    """The target config of a link, whose component sends. Every value is text in KV.

    Attributes:
        acknowledged_publish: Subjects with wildcards, separated by commas: a publish to one of them returns
            once a stream has stored the message, and fails where none does. To others it returns once the
            message was sent.
    """

    acknowledged_publish: Patterns = ()


class NatsTakingConfig(NatsServers, TakingConfig):
    """The source config of a link, whose component takes messages. Every value is text in KV."""
