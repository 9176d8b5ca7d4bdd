"""What a participant answers, made from what it holds: summaries and pages. Pure functions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from lath import subjects
from lath.errors import InvalidArgument, LathError
from lath.model import (
    DETAILS_MAX,
    PAGE_BYTES_MAX,
    HeldLink,
    LinkSelector,
    PingReply,
    VerbAck,
)
from lath.names import shown
from lath.verbs.holder import LinkHolder, digest_of

KEY_TOKENS = 5
PAGE_LINKS_MAX = 1_000
"""Links in one page, so that making a page holds up the participant's other work for milliseconds only."""


def check_selector(selector: LinkSelector) -> None:
    """Refuses a selector whose key cannot be a link's.

    Raises:
        InvalidArgument: It is not five tokens that name a link.
    """
    if selector.key is not None:
        check_key(selector.key)


def check_key(key: str) -> None:
    """Refuses what cannot be a link's key.

    Raises:
        InvalidArgument: It is not five tokens that name a link.
    """
    tokens = key.split(".", KEY_TOKENS)
    if len(tokens) != KEY_TOKENS:
        raise InvalidArgument(f"key {shown(key)} is not a link's: source.target.namespace.package.name")
    subjects.link_key(*tokens)


def summary(
    holder: LinkHolder, held: Sequence[HeldLink], shown_links: Sequence[HeldLink] | None = None
) -> PingReply:
    """A first answer: counts and a digest of all links, and details of those that it has room for.

    Args:
        holder: Who answers.
        held: All selected links.
        shown_links: The same links with more to tell (checks, values); all of them or those that differ.
    """
    told = held if shown_links is None else shown_links
    few = len(held) <= DETAILS_MAX
    links = _page_of(told if few else [link for link in told if link.state != "active"])
    whole = few and len(links) == len(held)
    digest = digest_of((link.key, link.revision) for link in held)
    return _reply(holder, told, digest, links, None if whole else "")


def page(holder: LinkHolder, held: Sequence[HeldLink], shown_links: Sequence[HeldLink]) -> PingReply:
    """One page: as many of `shown_links`, which begin after the asked key, as fit."""
    links = _page_of(shown_links)
    more = len(links) < len(shown_links)
    return _reply(holder, held, "", links, links[-1].key if more else None)


def after(held: Sequence[HeldLink], key: str) -> Sequence[HeldLink]:
    """The links that a page after `key` may tell of: no more than a page can hold and one."""
    start = bisect_right(held, key, key=lambda link: link.key)
    return held[start : start + PAGE_LINKS_MAX + 1]


def ack(holder: LinkHolder, links: Sequence[HeldLink]) -> VerbAck:
    """What a participant says once a purge or pull is done."""
    ordered = sorted(links, key=lambda link: (link.state != "failed", link.key))
    return VerbAck(
        kind=holder.kind,
        id=holder.id,
        instance_id=holder.instance_id,
        host_id=holder.host_id,
        count=len(links),
        links=tuple(_page_of(ordered[:DETAILS_MAX])),
        serves=holder.serves,
        expected=holder.expected(),
        lost=holder.lost(),
    )


def refusal(holder: LinkHolder, error: LathError) -> VerbAck:
    """What a participant says of a verb that it could not do."""
    return VerbAck(
        kind=holder.kind,
        id=holder.id,
        instance_id=holder.instance_id,
        host_id=holder.host_id,
        count=0,
        error=str(error),
    )


def _reply(
    holder: LinkHolder, all_links: Sequence[HeldLink], digest: str, told: Sequence[HeldLink], rest: str | None
) -> PingReply:
    return PingReply(
        kind=holder.kind,
        id=holder.id,
        instance_id=holder.instance_id,
        host_id=holder.host_id,
        serves=holder.serves,
        uptime_ms=holder.uptime_ms,
        count=len(all_links),
        active=sum(link.state == "active" for link in all_links),
        digest=digest,
        links=tuple(told),
        next_after=rest,
        expected=holder.expected(),
        lost=holder.lost(),
    )


def _page_of(links: Sequence[HeldLink]) -> list[HeldLink]:
    """The first links that fit a page, at least one where there is one."""
    chosen: list[HeldLink] = []
    size = 0
    for link in links[:PAGE_LINKS_MAX]:
        size += len(link.model_dump_json(exclude_none=True)) + 1
        if chosen and size > PAGE_BYTES_MAX:
            break
        chosen.append(link)
    return chosen
