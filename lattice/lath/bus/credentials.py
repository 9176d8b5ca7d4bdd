"""What a participant shows the bus to be let in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lath.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Credentials:
    """One way to authenticate, and the inbox prefix that the permissions allow. Empty: no authentication.

    Attributes:
        user: With `password`.
        password: With `user`.
        token: A server-wide token.
        nkey_seed: The seed of a user nkey (`SU…`).
        creds_path: A `.creds` file (JWT and seed).
        inbox_prefix: Where replies go, such as `_INBOX_kv`; None: nats-py's `_INBOX`.
    """

    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    nkey_seed: str = field(default="", repr=False)
    creds_path: str = ""
    inbox_prefix: str | None = None

    def __post_init__(self) -> None:
        ways = [bool(self.user), bool(self.token), bool(self.nkey_seed), bool(self.creds_path)]
        if sum(ways) > 1:
            raise InvalidArgument(
                "credentials name several of user, token, nkey seed and creds file: give one"
            )
        if self.inbox_prefix is not None and (
            not self.inbox_prefix or any(c in self.inbox_prefix for c in "*> \t\r\n")
        ):
            raise InvalidArgument(f"inbox prefix {self.inbox_prefix!r} is not a plain subject")

    @staticmethod
    def from_env(environ: Mapping[str, str] = os.environ) -> Credentials:
        """Reads `LATH_NATS_USER`, `…_PASSWORD`, `…_TOKEN`, `…_NKEY_SEED`, `…_CREDS` and `…_INBOX_PREFIX`.

        Raises:
            InvalidArgument: Several ways at once.
        """

        def value(name: str) -> str:
            return environ.get(f"LATH_NATS_{name}", "")

        return Credentials(
            user=value("USER"),
            password=value("PASSWORD"),
            token=value("TOKEN"),
            nkey_seed=value("NKEY_SEED"),
            creds_path=value("CREDS"),
            inbox_prefix=value("INBOX_PREFIX") or None,
        )

    def options(self) -> dict[str, Any]:
        """The arguments for nats-py's `connect`."""
        options: dict[str, Any] = {}
        if self.user:
            options |= {"user": self.user, "password": self.password}
        if self.token:
            options["token"] = self.token
        if self.nkey_seed:
            options["nkeys_seed_str"] = self.nkey_seed
        if self.creds_path:
            options["user_credentials"] = self.creds_path
        if self.inbox_prefix is not None:
            options["inbox_prefix"] = self.inbox_prefix.encode()
        return options
