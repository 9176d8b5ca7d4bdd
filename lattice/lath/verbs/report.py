"""The join of what KV, providers and hosts say of each link, and the verdict. Pure functions.

A link should be held by everybody who serves one of its ends: the instances of its target provider, the hosts
that run its target component, and likewise for its source.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lath.model import (
    HeldLink,
    Link,
    LinkReport,
    Orphan,
    ParticipantView,
    PingReply,
    Revision,
    Verdict,
)
from lath.verbs.holder import digest_of

_TOLD = ("role", "state", "revision", "uptime_ms", "error", "check_ms", "values")


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one participant says of all links, or that it says nothing.

    Attributes:
        serves: The ids whose links it should hold.
        stance: `told`: `held` is all that it holds. `agrees`: it holds just what KV has, and what is not in
            `held` is active there. `silent`, `unjudged`: it gave no answer.
        error: Why it gave no usable answer, where it said so.
    """

    kind: Literal["host", "provider"]
    id: str
    instance_id: str
    serves: frozenset[str]
    stance: Literal["told", "agrees", "silent", "unjudged"]
    held: Mapping[str, HeldLink] = field(default_factory=dict)
    error: str | None = None

    @property
    def spoke(self) -> bool:
        return self.stance in ("told", "agrees")


class Kept:
    """The links that KV has, found by their ends.

    Args:
        links: By key.
        unreadable: Reasons by the keys of values that are no links.
    """

    def __init__(self, links: Mapping[str, Link], unreadable: Mapping[str, str] | None = None) -> None:
        self.links = links
        self.unreadable = dict(unreadable or {})
        self._by_end: defaultdict[str, set[str]] = defaultdict(set)
        for key, link in links.items():
            self._by_end[link.source_id].add(key)
            self._by_end[link.target].add(key)

    def keys_of(self, serves: Iterable[str]) -> set[str]:
        """The keys of the links that have one of these ids at either end."""
        return {key for end in serves if end in self._by_end for key in self._by_end[end]}

    def agrees(self, reply: PingReply) -> bool:
        """Whether a summary shows just what KV has, and tells of all links that are not active."""
        keys = self.keys_of(reply.serves)
        told = sum(link.state != "active" for link in reply.links)
        if reply.count != len(keys) or reply.count - reply.active != told:
            return False
        return reply.digest == digest_of((key, self.links[key].revision) for key in keys)


def join(
    kept: Kept, opinions: Iterable[Opinion], *, settling: bool = False
) -> tuple[tuple[LinkReport, ...], tuple[Orphan, ...]]:
    """Joins the opinions into one report per link, and the orphans.

    Args:
        kept: What KV has.
        opinions: One for each participant; their order does not matter.
        settling: Nobody may be judged yet: what would be `unserved` is `degraded`.
    """
    ordered = sorted(opinions, key=lambda o: (o.kind, o.id, o.instance_id))
    by_end: defaultdict[str, list[Opinion]] = defaultdict(list)
    strangers: defaultdict[str, list[Opinion]] = defaultdict(list)
    orphans = [
        Orphan(key=key, participant="", instance_id="", kind="kv", state="unreadable", detail=reason)
        for key, reason in kept.unreadable.items()
    ]
    for opinion in ordered:
        for end in opinion.serves:
            by_end[end].append(opinion)
        for key, held in opinion.held.items():
            link = kept.links.get(key)
            if link is None:
                orphans.append(_orphan(opinion, held))
            elif not opinion.serves.intersection((link.source_id, link.target)):
                strangers[key].append(opinion)
    reports = (
        _report(link, by_end[link.target], by_end[link.source_id], strangers.get(key, ()), settling)
        for key, link in sorted(kept.links.items())
    )
    return tuple(reports), tuple(sorted(orphans, key=lambda o: (o.key, o.kind, o.participant, o.instance_id)))


def verdict_of(
    revision: Revision, views: Sequence[ParticipantView], *, served: bool, settling: bool = False
) -> Verdict:
    """The first that applies, in the order of `Verdict`.

    Args:
        revision: The link's revision in KV.
        views: What each participant says of the link.
        served: Whether somebody serves the link's target, be it silent.
        settling: Nobody may be judged yet.
    """
    if not served and not settling:
        return "unserved"
    states = {view.state for view in views}
    if "failed" in states:
        return "failed"
    if "silent" in states:
        return "silent"
    if any(view.revision is not None and view.revision < revision for view in views):
        return "stale"
    if "purged" in states:
        return "purged"
    return "live" if served and states == {"active"} else "degraded"


def _report(
    link: Link,
    of_target: Sequence[Opinion],
    of_source: Sequence[Opinion],
    strangers: Sequence[Opinion],
    settling: bool,
) -> LinkReport:
    views = {o.instance_id: _view(link, o, "target") for o in of_target}
    for opinion in (*of_source, *strangers):
        if opinion.instance_id not in views:
            views[opinion.instance_id] = _view(link, opinion, "source")
    participants = tuple(views.values())
    return LinkReport(
        source_id=link.source_id,
        target=link.target,
        name=link.name,
        wit_namespace=link.wit_namespace,
        wit_package=link.wit_package,
        interfaces=link.interfaces,
        revision=link.revision,
        verdict=verdict_of(link.revision, participants, served=bool(of_target), settling=settling),
        participants=participants,
    )


def _view(link: Link, opinion: Opinion, role: Literal["source", "target"]) -> ParticipantView:
    view = ParticipantView(
        kind=opinion.kind, id=opinion.id, instance_id=opinion.instance_id, role=role, state="missing"
    )
    held = opinion.held.get(link.key)
    if opinion.stance == "silent" or opinion.stance == "unjudged":
        said: dict[str, object] = {"state": opinion.stance, "error": opinion.error}
    elif held is not None:
        said = {name: getattr(held, name) for name in _TOLD}
    elif opinion.stance == "agrees":
        said = {"state": "active", "revision": link.revision}
    else:
        said = {}
    return view.model_copy(update=said)


def _orphan(opinion: Opinion, held: HeldLink) -> Orphan:
    return Orphan(
        key=held.key,
        participant=opinion.id,
        instance_id=opinion.instance_id,
        kind=opinion.kind,
        state=held.state,
        detail=held.error or "",
    )
