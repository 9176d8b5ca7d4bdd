"""The links that this host's components route by: looked up for every call, told of in link pings.

The host is a participant of its own here: it holds each link that has one of its components at either end,
at the revision that its mirror of the bucket has.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, Literal, Protocol

from lath.errors import LinkFailed, LinkNotFound, NotFound
from lath.links import LinkChange, LinkView
from lath.mirror import Change, Mirror
from lath.model import HeldLink, Link, LinkSelector, LostParticipant, Revision
from lath.names import shown
from lath.redact import redacted

CATCH_UP_SECONDS_MAX: Final = 2.0
"""How long a call waits for a link that its caller has seen already. The mirror is milliseconds behind; a
caller that names a revision which never comes does not keep the call longer than this."""


class Served(Protocol):
    """What the routes need to know of the components that run here."""

    def component_ids(self) -> tuple[str, ...]:
        """The components that run on this host."""

    def fault_of_link(self, link: Link) -> str | None:
        """Why the target of `link`, where it runs here, cannot serve it; None when it can, or is not here."""


class RouteFollower(Protocol):
    """Something that keeps what follows from links. Told before anything else sees the change."""

    def routes_changed(self, sources: Collection[str]) -> None:
        """Links of these sources lead elsewhere, or nowhere, or again."""

    def routes_purged(self, sources: Collection[str]) -> None:
        """What is kept for links of these sources is to be dropped; where they still hold, made again."""


class Routes:
    """Routing by links, and the host's part in the link verbs (it is a `lath.verbs` link holder).

    Args:
        host_id: The host.
        mirror: The mirrored bucket of links, of the whole lattice.
        view: The typed view of `mirror`.
        served: The components here.
        expected: The provider instances that this host supervises and that should be running.
        lost: Whom this host saw vanish lately.
        on_state: Told when a link of this host's components changed its state, or is gone (second argument).
    """

    kind: Literal["host"] = "host"

    def __init__(
        self,
        host_id: str,
        mirror: Mirror,
        view: LinkView,
        served: Served,
        *,
        expected: Callable[[], tuple[LostParticipant, ...]],
        lost: Callable[[], tuple[LostParticipant, ...]],
        on_state: Callable[[HeldLink, bool], None],
    ) -> None:
        self.id = self.instance_id = self.host_id = host_id
        self._mirror = mirror
        self._view = view
        self._served = served
        self._expected = expected
        self._lost = lost
        self._on_state = on_state
        self._purged: set[str] = set()
        self._active_since: dict[str, float] = {}
        self._started = time.monotonic()
        self._incarnation = 0
        self._sequence_seen = 0
        for link in view.links.values():
            self._note_revision(link.revision)
        self._followers: list[RouteFollower] = []
        self._undo = (view.on_change(self._changed), mirror.on_change(self._seen))

    # --- routing ---------------------------------------------------------------------------------------

    def find(self, source: str, namespace: str, package: str, name: str, interface: str) -> Link:
        """The link that a call goes by.

        Raises:
            LinkNotFound: There is none.
            LinkFailed: It is purged here and held so.
        """
        link = self._view.find(source, namespace, package, name, interface)
        if link is None:
            raise LinkNotFound(
                f"no link {shown(name)} leads from {source} to {namespace}:{package}/{interface}: "
                f"put one with `lath link put`"
            )
        if self._purged and link.key in self._purged:
            raise LinkFailed(f"link {link.key} is purged and held so: `lath link pull` opens it again")
        return link

    def active(self, source: str, namespace: str, package: str, name: str, interface: str) -> Link | None:
        """The link that a call would go by; None where there is none, or it is held."""
        link = self._view.find(source, namespace, package, name, interface)
        return None if link is None or (self._purged and link.key in self._purged) else link

    async def admit(
        self,
        call: tuple[str, str, str, str, str],
        target: str,
        revision: Revision | None,
        deadline: float,
    ) -> None:
        """Lets a call to `target` pass when a link allows it.

        Args:
            call: source, namespace, package, link name, interface.
            target: The component that is called.
            revision: Of the link that the caller routed by; the mirror here may have to catch up with it.
            deadline: Of the call, in the loop's time (seconds).

        Raises:
            LinkNotFound: No link allows it.
            LinkFailed: The link is purged and held so.
        """
        if self.allow(call, target, revision):
            return
        link = self._view.find(*call)
        held_back = link is not None and link.key in self._purged
        if revision is not None and not held_back and not self._has_seen(revision):
            limit = min(deadline, asyncio.get_running_loop().time() + CATCH_UP_SECONDS_MAX)
            try:
                async with asyncio.timeout_at(limit):
                    await self._mirror.wait_until(lambda: self.allow(call, target, revision))
                return
            except TimeoutError:
                pass
        link = self.find(*call)
        if link.target != target:
            raise LinkNotFound(f"link {link.key} leads to {link.target}, not to {target}")
        # The link is there, at an older revision than the caller's: the mirror may be starved, the link is
        # allowed all the same, so the call passes.

    def allow(self, call: tuple[str, str, str, str, str], target: str, revision: Revision | None) -> bool:
        """Whether a call passes at once; see `admit`."""
        link = self._view.find(*call)
        if link is None or link.target != target or (self._purged and link.key in self._purged):
            return False
        return revision is None or not link.revision < revision

    def _has_seen(self, revision: Revision) -> bool:
        """Whether the mirror is past a write: then what it says of the link is the answer."""
        return revision.incarnation == self._incarnation and revision.sequence <= self._sequence_seen

    # --- the link verbs --------------------------------------------------------------------------------

    @property
    def serves(self) -> tuple[str, ...]:
        return self._served.component_ids()

    @property
    def uptime_ms(self) -> int:
        return int((time.monotonic() - self._started) * 1000)

    def held(self, selector: LinkSelector) -> list[HeldLink]:
        mine = frozenset(self.serves)
        links = self._view.links
        if not mine:
            return []
        return [
            self._describe(links[key], mine)
            for key in sorted(links)
            if (links[key].source_id in mine or links[key].target in mine) and selector.matches(links[key])
        ]

    async def check(self, key: str) -> float:
        """A host has no backend of its own behind a link: only a fault can be told, and it costs no time."""
        link = self._require(key)
        fault = self._served.fault_of_link(link)
        if fault:
            raise LinkFailed(fault)
        return 0.0

    def values(self, key: str) -> Mapping[str, str]:
        link = self._require(key)
        mine = frozenset(self.serves)
        return redacted(link.source_config_values if link.source_id in mine else link.target_config_values)

    async def purge(self, selector: LinkSelector, hold: bool) -> list[HeldLink]:
        purging = self.held(selector)
        for held in purging:
            self._active_since.pop(held.key, None)
            if hold:
                self._purged.add(held.key)
        for follower in self._followers:
            follower.routes_purged(_sources(held.key for held in purging))
        await self._mirror.resync()
        self._mark_active()
        return self.held(selector)

    async def pull(self, selector: LinkSelector) -> list[HeldLink]:
        pulling = self.held(selector)
        for held in pulling:
            self._purged.discard(held.key)
        for follower in self._followers:
            follower.routes_changed(_sources(held.key for held in pulling))
        await self._mirror.resync()
        self._mark_active()
        return self.held(selector)

    async def settled(self, key: str, revision: Revision) -> HeldLink:
        def reached() -> bool:
            link = self._view.links.get(key)
            return link is not None and not link.revision < revision

        await self._mirror.wait_until(reached)
        return self._describe(self._require(key), frozenset(self.serves))

    def expected(self) -> tuple[LostParticipant, ...]:
        return self._expected()

    def lost(self) -> tuple[LostParticipant, ...]:
        return self._lost()

    def _require(self, key: str) -> Link:
        link = self._view.links.get(key)
        if link is None:
            raise NotFound(f"link {shown(key)} is not held by this host")
        return link

    def _describe(self, link: Link, mine: frozenset[str]) -> HeldLink:
        role: Literal["source", "target"] = "source" if link.source_id in mine else "target"
        if link.key in self._purged:
            return HeldLink(key=link.key, role=role, state="purged", revision=link.revision)
        fault = self._served.fault_of_link(link)
        if fault:
            return HeldLink(
                key=link.key, role=role, state="failed", revision=link.revision, error=fault, attempt=1
            )
        since = self._active_since.setdefault(link.key, time.monotonic())
        uptime_ms = int((time.monotonic() - since) * 1000)
        return HeldLink(key=link.key, role=role, state="active", revision=link.revision, uptime_ms=uptime_ms)

    # --- following the mirror --------------------------------------------------------------------------

    def follow(self, follower: RouteFollower) -> None:
        """Has `follower` told of every change, at once."""
        self._followers.append(follower)

    def components_changed(self) -> None:
        """Call it after a component started or stopped: the uptimes of its links begin or end."""
        mine = frozenset(self.serves)
        for key in [key for key in self._active_since if not self._touches(key, mine)]:
            del self._active_since[key]
        self._mark_active()

    def _mark_active(self) -> None:
        now = time.monotonic()
        mine = frozenset(self.serves)
        for link in self._view.links.values():
            if link.source_id in mine or link.target in mine:
                self._active_since.setdefault(link.key, now)

    def _touches(self, key: str, mine: frozenset[str]) -> bool:
        source, target, *_ = key.split(".", 2)
        return source in mine or target in mine

    def _note_revision(self, revision: Revision) -> None:
        if revision.incarnation > self._incarnation:
            self._incarnation = revision.incarnation
            self._sequence_seen = revision.sequence
        self._sequence_seen = max(self._sequence_seen, revision.sequence)

    def _seen(self, changes: Sequence[Change]) -> None:
        """Deletions have a sequence too, but no record to tell their incarnation: it is the current."""
        for change in changes:
            if change.new is None and change.tombstone is not None:
                self._sequence_seen = max(self._sequence_seen, change.tombstone.sequence)

    def _changed(self, changes: Sequence[LinkChange]) -> None:
        for change in changes:
            if change.new is not None:
                self._note_revision(change.new.revision)
            else:
                self._purged.discard(change.key)
                self._active_since.pop(change.key, None)
        for follower in self._followers:
            follower.routes_changed(_sources(change.key for change in changes))
        mine = frozenset(self.serves)
        for change in changes:
            link = change.new or change.old
            if link is None or not (link.source_id in mine or link.target in mine):
                continue
            if change.new is not None and change.old is not None and not change.new.same_values(change.old):
                self._active_since.pop(change.key, None)
            self._on_state(self._describe(link, mine), change.new is None)

    def close(self) -> None:
        """Stops following the mirror."""
        for undo in self._undo:
            undo()


def _sources(keys: Iterable[str]) -> frozenset[str]:
    return frozenset(key.partition(".")[0] for key in keys)
