"""Secrets: sealed here, before they go anywhere, to the key of the participant that they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lath.errors import NotFound
from lath.model import Rekeyed, RekeySecrets, SecretKey
from lath.names import check_name, check_target
from lath.secrets import SecretListing, seal
from lath_control.client.ctl import read_response
from lath_control.client.models import SecretView

if TYPE_CHECKING:
    from lath_control.client import Client


class Secrets:
    """`client.secrets`. No value can be read back: only its participant can open it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def put(self, participant: str, name: str, value: str | bytes) -> SecretView:
        """Seals a value, and writes it; components see it at their next `get`, links are opened anew.

        Args:
            participant: The component or provider that may open it. It need not run yet.
            name: What it is called there.
            value: Text, or bytes.

        Raises:
            InvalidArgument: A name is not valid, or the value is too large.
            NotFound: The host that was asked has no key for secrets.
        """
        check_name(name, "secret")
        key = await self.key(participant)
        secret = seal(key.public_key, participant, name, value)
        revision = await self._client.secret_store.put(participant, name, secret)
        return SecretView(
            participant=participant, name=name, public_key=key.public_key, revision=str(revision)
        )

    async def key(self, participant: str) -> SecretKey:
        """The public key that a participant's secrets are sealed to, from whichever host answers.

        Raises:
            NotFound: That host has no key for secrets.
        """
        asked = check_target(participant, "participant")
        answer = await self._client.control.any_host("secret", "key", asked)
        return read_response(SecretKey, answer, "secret key")

    async def list(self, participant: str | None = None) -> list[SecretView]:
        """The secrets that there are, without their values; of one participant, or all."""
        listing: SecretListing = await self._client.secret_store.list(participant)
        return [
            SecretView(participant=whose, name=name, public_key=secret.public_key)
            for (whose, name), secret in sorted(listing.secrets.items())
        ]

    async def delete(self, participant: str, name: str) -> None:
        """Removes a secret. Links that name it fail, saying so, the next time that they are opened.

        Raises:
            NotFound: There is none of that name.
        """
        check_target(participant, "participant")
        if not await self._client.secret_store.delete(participant, check_name(name, "secret")):
            raise NotFound(f"there is no secret {name} of {participant}")

    async def rekey(self, participant: str | None = None) -> Rekeyed:
        """Has a host seal what is sealed to an older key to the current one.

        Args:
            participant: Whose secrets; all by default.

        Raises:
            NotFound: The host that was asked has no key for secrets.
        """
        answer = await self._client.control.any_host(
            "secret", "rekey", body=RekeySecrets(participant=participant)
        )
        return read_response(Rekeyed, answer, "rekey reply")
