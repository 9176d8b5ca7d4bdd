"""Who holds links: what a provider instance and a host offer to the link verbs, and the digest of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

from lath.model import HeldLink, LinkSelector, LostParticipant, Revision


class LinkHolder(Protocol):
    """A participant that holds links. The provider SDK and the host implement it; `VerbServer` serves it.

    A holder holds every link that has one of its `serves` at either end, each key once.

    Attributes:
        kind: What it is.
        id: The provider id, or the host id.
        instance_id: The provider instance; for a host, its host id.
        host_id: The host that it runs on; empty for a provider that stands alone.
        serves: The ids whose links it holds: a provider's own id; for a host, its components.
        uptime_ms: Since it started.
    """

    @property
    def kind(self) -> Literal["provider", "host"]: ...
    @property
    def id(self) -> str: ...
    @property
    def instance_id(self) -> str: ...
    @property
    def host_id(self) -> str: ...
    @property
    def serves(self) -> tuple[str, ...]: ...
    @property
    def uptime_ms(self) -> int: ...

    def held(self, selector: LinkSelector) -> list[HeldLink]:
        """The selected links as they stand here, sorted by key."""
        ...

    async def check(self, key: str) -> float:
        """Checks the backend of one link. Returns the round trip in milliseconds; raises when it is down."""
        ...

    def values(self, key: str) -> Mapping[str, str]:
        """The resolved config of one link, secrets redacted."""
        ...

    async def purge(self, selector: LinkSelector, hold: bool) -> list[HeldLink]:
        """Drops all that is held for the selected links; opens them again unless `hold`.

        Returns the links as they stand afterwards.
        """
        ...

    async def pull(self, selector: LinkSelector) -> list[HeldLink]:
        """Reads the selected links from KV again and opens what is purged or failed.

        Returns the links as they stand afterwards.
        """
        ...

    async def settled(self, key: str, revision: Revision) -> HeldLink:
        """Waits until the link is applied at `revision` or later, or is failed or purged at it."""
        ...

    def expected(self) -> tuple[LostParticipant, ...]:
        """Every provider instance that this host supervises and that should be running; empty elsewhere."""
        ...

    def lost(self) -> tuple[LostParticipant, ...]:
        """Whom this host lost in the last ten minutes; empty for a provider."""
        ...


def digest_of(pairs: Iterable[tuple[str, Revision]]) -> str:
    """One word for which links are held at which revisions, whatever their order.

    It is the SHA-256, in hex, of the lines `{key} {revision}`, each ended by a newline, sorted.
    """
    lines = sorted(f"{key} {revision}\n" for key, revision in pairs)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
