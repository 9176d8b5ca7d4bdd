"""Link verbs on the bus: ping, vping, purge and pull; requests and replies.

One request goes to everybody; each participant (a provider instance, or a host for the links its components
route by) answers with a summary. Details travel where the asker's own count disagrees, page by page.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from lath.model.link import LinkSelector, LinkState
from lath.model.presence import ParticipantKind
from lath.model.revision import RevisionText
from lath.names import Name

DETAILS_MAX = 100
"""A participant that holds at most so many of the selected links tells of each one in its first reply."""
PAGE_BYTES_MAX = 256 * 1024
"""A page of details; well below the bus's `max_payload`, so that pages interleave with calls."""


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class HeldLink(_Wire):
    """What one participant says of one link that it holds.

    Attributes:
        key: The link's key.
        role: Which end of the link the participant is on.
        state: See `LinkState`.
        revision: The revision that it applied, or tried to.
        uptime_ms: Since the link became active there; 0 when it is not.
        error: Why it failed.
        attempt: How often opening was tried, for a failed link.
        retry_in_ms: Until the next try, for a failed link.
        check_ms: Round trip of the provider's `check_link`, for a deep ping.
        values: The resolved config, secrets redacted; only in a vping.
    """

    key: str
    role: Literal["source", "target"]
    state: LinkState
    revision: RevisionText
    uptime_ms: int = 0
    error: str | None = None
    attempt: int | None = None
    retry_in_ms: int | None = None
    check_ms: float | None = None
    values: dict[str, str] | None = None


class PingRequest(_Wire):
    """Asks for the links that a participant holds.

    Attributes:
        selector: Which links.
        deep: Check each link's backend too.
        after: For a page of details: the key to go on after, empty for the first page; None asks for a
            summary.
        await_key: Answer only once this link is settled: applied at `await_revision` or later, or failed.
        await_revision: See `await_key`.
        timeout_ms: How long an answer may take, checks and waiting included.
    """

    type: Literal["lath.link.ping.v1"] = "lath.link.ping.v1"
    selector: LinkSelector = LinkSelector()
    deep: bool = False
    after: str | None = None
    await_key: str | None = None
    await_revision: RevisionText | None = None
    timeout_ms: Annotated[int, Field(ge=1, le=600_000)] = 5_000


class LostParticipant(_Wire):
    """A participant that should be there: one that a host supervises, or one that was lost.

    Lost means that its presence ended without its saying goodbye.

    Attributes:
        host_id: The host that supervises or runs it; for a host, its own id; empty for a provider that
            stands alone.
        lost_ago_ms: Since its presence ended; 0 for one that a host says should be running.
    """

    target: Name
    instance_id: Name
    kind: ParticipantKind
    host_id: str = ""
    lost_ago_ms: int


class PingReply(_Wire):
    """One participant's answer.

    Attributes:
        kind: `provider`, or `host` (for the links of its components).
        id: The provider id, or the host id.
        instance_id: The provider instance; for a host, its host id.
        serves: The ids whose links it answers for: the provider's own; for a host, its components.
        count: How many selected links it holds.
        active: How many of them are active.
        digest: `digest_of` over the (key, revision) of all selected links it holds, whatever their state;
            empty in a page.
        links: All of them when there are at most `DETAILS_MAX` (or in a page), else those not active; in
            either case no more than a page holds.
        next_after: What to ask the next page with; empty after a summary that does not tell of every link;
            None when nothing is left.
        expected: Hosts only: every provider instance that it supervises and that should be running now.
            What it does not name of its own providers was ended or replaced, and is not waited for.
        lost: Hosts only: who was lost in the last ten minutes.
    """

    type: Literal["lath.link.pong.v1"] = "lath.link.pong.v1"
    kind: Literal["host", "provider"]
    id: Name
    instance_id: Name
    host_id: str = ""
    serves: tuple[str, ...] = ()
    uptime_ms: int
    count: int
    active: int
    digest: str
    links: tuple[HeldLink, ...] = ()
    next_after: str | None = None
    expected: tuple[LostParticipant, ...] = ()
    lost: tuple[LostParticipant, ...] = ()


class PurgeRequest(_Wire):
    """Asks to drop all that is held for the selected links.

    Attributes:
        hold: Leave them `purged`; otherwise they are opened again at once.
    """

    type: Literal["lath.link.purge.v1"] = "lath.link.purge.v1"
    selector: LinkSelector = LinkSelector()
    hold: bool = False
    timeout_ms: Annotated[int, Field(ge=1, le=600_000)] = 5_000


class PullRequest(_Wire):
    """Asks to read the selected links from KV again, and to open what is `purged` or failed."""

    type: Literal["lath.link.pull.v1"] = "lath.link.pull.v1"
    selector: LinkSelector = LinkSelector()
    timeout_ms: Annotated[int, Field(ge=1, le=600_000)] = 5_000


class VerbAck(_Wire):
    """A participant's acknowledgement of a purge or pull: done, not merely accepted.

    Attributes:
        links: The links it was done for, as they stand afterwards (at most `DETAILS_MAX`, failed ones first).
        count: How many links it was done for.
        error: Why it could not be done, where it could not. An answer to any verb that failed has this form.
        host_id, serves, expected, lost: As in `PingReply`.
    """

    type: Literal["lath.link.ack.v1"] = "lath.link.ack.v1"
    kind: Literal["host", "provider"]
    id: Name
    instance_id: Name
    host_id: str = ""
    count: int
    links: tuple[HeldLink, ...] = ()
    error: str | None = None
    serves: tuple[str, ...] = ()
    expected: tuple[LostParticipant, ...] = ()
    lost: tuple[LostParticipant, ...] = ()
