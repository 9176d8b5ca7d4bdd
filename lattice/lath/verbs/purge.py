"""Link purge and pull: tells everybody, and gathers who has done it."""

from __future__ import annotations

import time
from typing import Literal

from lath.links import LinkStore
from lath.model import PullRequest, PurgeRequest, VerbAck, VerbReport
from lath.verbs.answer import check_selector
from lath.verbs.ask import Asked, Asker
from lath.verbs.expect import Expectation, relevant_to


async def run_verb(
    asker: Asker, store: LinkStore, request: PurgeRequest | PullRequest, timeout_ms: int
) -> VerbReport:
    """Has everybody purge or pull the selected links; returns once all have, or names who has not.

    Raises:
        InvalidArgument: The selector names no possible link.
        NotConnected: There is no connection to the bus.
    """
    check_selector(request.selector)
    started = time.monotonic()
    listing = await store.list(request.selector)
    there, lost = await asker.who_is_there(timeout_ms)
    expectation = Expectation(there, lost, relevant=relevant_to(request.selector, listing.links))
    verb: Literal["purge", "pull"] = "purge" if isinstance(request, PurgeRequest) else "pull"
    asked: Asked[VerbAck] = await asker.ask_all(verb, request, expectation, VerbAck, timeout_ms)
    failed = dict(asked.errors)
    for instance_id, ack in asked.replies.items():
        if reason := _failure(ack):
            failed[instance_id] = reason
    expected = (expectation.required & asked.answered) | asked.silent | asked.unjudged
    people = expectation.participants
    return VerbReport(
        verb=verb,
        lattice=asker.bus.lattice,
        elapsed_ms=round((time.monotonic() - started) * 1000),
        expected=tuple(sorted(expected)),
        answered=tuple(sorted(asked.answered)),
        silent=tuple(sorted(asked.silent)),
        unjudged=tuple(sorted(asked.unjudged)),
        settling=asker.settling,
        names={i: people[i].label for i in sorted(expected | asked.answered)},
        failed=failed,
        links={i: ack.count for i, ack in sorted(asked.replies.items())},
    )


def _failure(ack: VerbAck) -> str:
    """What went wrong at one participant: its own error, or the links that did not open again."""
    if ack.error:
        return ack.error
    failed = [link for link in ack.links if link.state == "failed"]
    if not failed:
        return ""
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return f"link {failed[0].key} did not open again: {failed[0].error or 'no reason given'}{more}"
