"""What an operator is told: reports that join what KV, providers and hosts say."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from lath.model.link import LinkState
from lath.model.revision import RevisionText

Verdict = Literal["unserved", "failed", "silent", "stale", "purged", "degraded", "live"]
"""Per link, the first that applies:

unserved: no instance serves the target; failed: a participant could not open it; silent: a participant that
should answer did not; stale: one applied an older revision; purged: one holds it purged; degraded:
participants differ (one is still opening, or does not hold it, or nobody may be judged yet); live: all agree
that it is active.
"""


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ParticipantView(_Report):
    """What one participant says of one link.

    Attributes:
        state: Its state there; `missing` when it should hold the link and does not, `silent` when it gave
            no answer, `unjudged` when it gave none and may still be coming back (`PingReport.settling`).
        uptime_ms: Since the link became active there; None where the participant's digest agreed and its
            links were too many to tell of each one.
    """

    kind: Literal["host", "provider"]
    id: str
    instance_id: str
    role: Literal["source", "target"]
    state: LinkState | Literal["missing", "silent", "unjudged"]
    revision: RevisionText | None = None
    uptime_ms: int | None = None
    error: str | None = None
    check_ms: float | None = None
    values: dict[str, str] | None = None


class LinkReport(_Report):
    """One link, and what everybody says of it."""

    source_id: str
    target: str
    name: str
    wit_namespace: str
    wit_package: str
    interfaces: tuple[str, ...]
    revision: RevisionText
    verdict: Verdict
    participants: tuple[ParticipantView, ...] = ()

    @property
    def reason(self) -> str:
        """That nobody serves the target, or the first error among the participants; else empty."""
        if self.verdict == "unserved":
            return f"nobody serves {self.target}: start it"
        return next((p.error for p in self.participants if p.error), "")


class Orphan(_Report):
    """A link that a participant holds and KV does not, or a stored value that is no link."""

    key: str
    participant: str
    instance_id: str
    kind: Literal["host", "provider", "kv"]
    state: LinkState | Literal["unreadable"]
    detail: str = ""


class PingReport(_Report):
    """The answer of `lath link ping`.

    Attributes:
        expected: Instance ids that should have answered (a host's is its host id).
        answered: Those that did.
        silent: Those that did not, looked up once more.
        unjudged: Those that did not, while nobody is judged.
        settling: The asker's connection came back less than one presence TTL ago: presence may not be whole
            yet, so nobody is called silent and no link unserved (such links are `degraded`).
        names: For each of these ids, the participant's name for people: `kv/AbC…` or the host's name.
    """

    type: Literal["lath.link.report.v1"] = "lath.link.report.v1"
    lattice: str
    elapsed_ms: int
    expected: tuple[str, ...]
    answered: tuple[str, ...]
    silent: tuple[str, ...]
    unjudged: tuple[str, ...] = ()
    settling: bool = False
    names: dict[str, str] = {}
    links: tuple[LinkReport, ...]
    orphans: tuple[Orphan, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether every link is live, everybody answered and there are no orphans."""
        complete = not (self.silent or self.unjudged or self.orphans)
        return complete and all(link.verdict == "live" for link in self.links)


class VerbReport(_Report):
    """The answer of `lath link purge` and `lath link pull`.

    Attributes:
        failed: Reason by instance id.
        links: How many links it was done for, by instance id.
        unjudged, settling: As in `PingReport`.
        names: As in `PingReport`.
    """

    type: Literal["lath.link.verb.v1"] = "lath.link.verb.v1"
    verb: Literal["purge", "pull"]
    lattice: str
    elapsed_ms: int
    expected: tuple[str, ...]
    answered: tuple[str, ...]
    silent: tuple[str, ...]
    unjudged: tuple[str, ...] = ()
    settling: bool = False
    names: dict[str, str] = {}
    failed: dict[str, str] = {}
    links: dict[str, int] = {}

    @property
    def complete(self) -> bool:
        """Whether everybody acknowledged that it was done."""
        return not (self.silent or self.unjudged or self.failed)
