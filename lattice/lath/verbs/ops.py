"""The operations on links that need everybody: ping, vping, purge, pull, and a put that waits."""

from __future__ import annotations

from typing import Final

from lath.bus import Bus
from lath.links import LinkStore
from lath.model import (
    PRESENCE_TTL_MS,
    Link,
    LinkReport,
    LinkSelector,
    LinkSpec,
    PingReport,
    PullRequest,
    PurgeRequest,
    VerbReport,
)
from lath.presence import PresenceView
from lath.verbs.ask import Asker
from lath.verbs.ping import Ping
from lath.verbs.purge import run_verb
from lath.verbs.wait import AppliedWait

PING_TIMEOUT_MS: Final = 5_000
"""The control interface's default for scatter/gather."""
WAIT_TIMEOUT_MS: Final = 30_000
"""Time for a provider that is still starting, and for a slow backend's first connection."""


class LinkOps:
    """Asks all participants about links, and tells them what to do with them.

    Args:
        bus: The bus.
        presence: Who is there; started and closed by its owner.
        links: The link store.
        presence_ttl_ms: How long presence holds, where nobody is there to say it.
    """

    def __init__(
        self,
        bus: Bus,
        presence: PresenceView,
        links: LinkStore,
        *,
        presence_ttl_ms: int = PRESENCE_TTL_MS,
    ) -> None:
        self._asker = Asker(bus, presence, presence_ttl_ms=presence_ttl_ms)
        self._links = links

    async def close(self) -> None:
        """Lets go of the bus. Closing twice is fine."""
        self._asker.close()

    async def ping(
        self,
        selector: LinkSelector | None = None,
        *,
        deep: bool = False,
        timeout_ms: int = PING_TIMEOUT_MS,
    ) -> PingReport:
        """Joins what KV, providers and hosts say of the selected links, with a verdict for each.

        Args:
            selector: Which links; None for all.
            deep: Whether each provider checks its backends too. Half of the time-out is theirs for that.
            timeout_ms: How long silence is waited for. Where everybody answers, it ends at once.

        Raises:
            InvalidArgument: The selector names no possible link.
            NotConnected: There is no connection to the bus.
            PermissionDenied: This process may not ping.
        """
        return await self._ping("ping", selector, deep, timeout_ms)

    async def vping(
        self,
        selector: LinkSelector | None = None,
        *,
        deep: bool = False,
        timeout_ms: int = PING_TIMEOUT_MS,
    ) -> PingReport:
        """Like `ping`, with the resolved values at each participant, secrets redacted.

        Raises:
            PermissionDenied: This process may not see values; otherwise as `ping`.
        """
        return await self._ping("vping", selector, deep, timeout_ms)

    async def purge(
        self,
        selector: LinkSelector | None = None,
        *,
        hold: bool = False,
        timeout_ms: int = PING_TIMEOUT_MS,
    ) -> VerbReport:
        """Has all participants drop what they hold for the selected links.

        Args:
            selector: Which links; None for all.
            hold: Leave them `purged`, their calls failing at once, until `pull`; otherwise they are opened
                again at once.
            timeout_ms: How long silence is waited for.

        Raises:
            InvalidArgument, NotConnected, PermissionDenied: As for `ping`.
        """
        request = PurgeRequest(selector=selector or LinkSelector(), hold=hold)
        return await run_verb(self._asker, self._links, request, timeout_ms)

    async def pull(
        self, selector: LinkSelector | None = None, *, timeout_ms: int = PING_TIMEOUT_MS
    ) -> VerbReport:
        """Has all participants read the selected links again and open what is purged or failed.

        Raises:
            InvalidArgument, NotConnected, PermissionDenied: As for `ping`.
        """
        request = PullRequest(selector=selector or LinkSelector())
        return await run_verb(self._asker, self._links, request, timeout_ms)

    async def put_and_wait(self, spec: LinkSpec, timeout_ms: int = WAIT_TIMEOUT_MS) -> LinkReport:
        """Puts a link, then waits as `await_applied` does.

        Raises:
            Conflict: Another link holds its place (then nothing was put), or see `await_applied`.
            NotFound: A config that it names does not exist.
            LinkFailed, DeadlineExceeded: See `await_applied`; the link stays put.
        """
        link = await self._links.put(spec)
        return await self.await_applied(link, timeout_ms)

    async def await_applied(self, link: Link, timeout_ms: int = WAIT_TIMEOUT_MS) -> LinkReport:
        """Waits until every participant that should has applied this revision of a link.

        Those that appear meanwhile are waited for too, and those that leave no longer. Where nobody serves
        the target until the time is over, the report's verdict is `unserved`.

        Raises:
            LinkFailed: A participant could not open it, or holds it purged; its reason is in the message.
            Conflict: The link was deleted or replaced meanwhile.
            DeadlineExceeded: Somebody has not applied it in time; the message names them.
        """
        return await AppliedWait(self._asker, self._links, link, timeout_ms).run()

    async def _ping(
        self, verb: str, selector: LinkSelector | None, deep: bool, timeout_ms: int
    ) -> PingReport:
        ping = Ping(
            self._asker,
            self._links,
            verb="vping" if verb == "vping" else "ping",
            selector=selector or LinkSelector(),
            deep=deep,
            timeout_ms=timeout_ms,
        )
        return await ping.run()
