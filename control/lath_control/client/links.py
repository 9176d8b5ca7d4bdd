"""Links: put, get, delete, and the verbs that ask participants: ping, vping, purge, pull."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lath.errors import LinkNotFound
from lath.links import LinkListing
from lath.model import Link, LinkReport, LinkSelector, LinkSpec, PingReport, VerbReport
from lath_control.client.telling import tell_link_deleted, tell_link_set

if TYPE_CHECKING:
    from lath_control.client import Client

VERB_MS: Final = 5_000
"""How long the participants may take to answer a link verb."""
APPLY_MS: Final = 30_000
"""How long `put(wait_ms=…)` of the command line waits: opening a backend may need a few tries."""
EVERY_LINK: Final = LinkSelector()


class Links:
    """`client.links`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def put(self, spec: LinkSpec) -> Link:
        """Writes a link, the configs that it names resolved into it.

        Raises:
            Conflict: This source, package, name and interface has another target; the message names it.
            NotFound: A named config does not exist.
        """
        link = await self._client.link_store.put(spec)
        await tell_link_set(self._client.bus, spec)
        return link

    async def put_and_wait(self, spec: LinkSpec, *, wait_ms: int = APPLY_MS) -> LinkReport:
        """Writes a link and waits until every participant that should has applied it.

        Where nobody serves the target until the time is over, its verdict is `unserved`.

        Raises:
            LinkFailed: A participant could not open it; its reason is the message.
            DeadlineExceeded: Not all had applied it in time.
            Conflict, NotFound: As for `put`.
        """
        return await self._client.link_ops.await_applied(await self.put(spec), wait_ms)

    async def list(self, selector: LinkSelector = EVERY_LINK) -> LinkListing:
        """The links in KV that match, and the keys of values there that are no links."""
        return await self._client.link_store.list(selector)

    async def get(self, selector: LinkSelector) -> Link:
        """The one link that matches.

        Raises:
            LinkNotFound: None does.
        """
        links = (await self.list(selector)).links
        if not links:
            raise LinkNotFound(f"no link matches {selector.model_dump_json(exclude_none=True)}")
        return next(iter(links.values()))

    async def delete(
        self,
        source_id: str,
        namespace: str,
        package: str,
        *,
        name: str = "default",
        target: str | None = None,
    ) -> Link:
        """Removes a link: its participants let go of it.

        Args:
            source_id: Its source.
            namespace: Of its WIT package.
            package: Of its WIT package.
            name: The link's name.
            target: Its target; given, only a link to that one is removed.

        Raises:
            LinkNotFound: There is no such link.
        """
        removed = await self._client.link_store.delete(source_id, namespace, package, name, target=target)
        if removed is None:
            to = f" to {target}" if target else ""
            raise LinkNotFound(f"there is no link {name} of {source_id}{to} for {namespace}:{package}")
        await tell_link_deleted(self._client.bus, removed)
        return removed

    async def ping(
        self, selector: LinkSelector = EVERY_LINK, *, deep: bool = False, timeout_ms: int = VERB_MS
    ) -> PingReport:
        """Asks every participant for its links and joins that with KV: a verdict per link.

        Args:
            selector: Which links; all by default.
            deep: Providers check each link's backend too, with the round trip.
            timeout_ms: How long answers are waited for; it ends as soon as all have come.
        """
        return await self._client.link_ops.ping(selector, deep=deep, timeout_ms=timeout_ms)

    async def vping(self, selector: LinkSelector = EVERY_LINK, *, timeout_ms: int = VERB_MS) -> PingReport:
        """Like `ping`, with the resolved config values, secrets redacted. Permissions may forbid it."""
        return await self._client.link_ops.vping(selector, timeout_ms=timeout_ms)

    async def purge(
        self, selector: LinkSelector = EVERY_LINK, *, hold: bool = False, timeout_ms: int = VERB_MS
    ) -> VerbReport:
        """Has participants drop all that they hold for links.

        Args:
            selector: Which links; all by default.
            hold: Leave them purged, so that calls fail, until `pull`; otherwise they open again at once.
            timeout_ms: How long acknowledgements are waited for.
        """
        return await self._client.link_ops.purge(selector, hold=hold, timeout_ms=timeout_ms)

    async def pull(self, selector: LinkSelector = EVERY_LINK, *, timeout_ms: int = VERB_MS) -> VerbReport:
        """Has participants read links from KV again, and open what is purged or failed."""
        return await self._client.link_ops.pull(selector, timeout_ms=timeout_ms)
