"""The join of KV, providers and hosts, and the verdict per link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lath.model import HeldLink, Link, LinkState, ParticipantView, PingReply, Revision
from lath.verbs import digest_of
from lath.verbs.report import Kept, Opinion, join


def revision(sequence: int) -> Revision:
    return Revision(incarnation=7, sequence=sequence)


def link(source: str = "app", target: str = "kv", name: str = "default", sequence: int = 5) -> Link:
    return Link(
        source_id=source,
        target=target,
        name=name,
        wit_namespace="wasi",
        wit_package="keyvalue",
        interfaces=("store",),
        incarnation=7,
        revision=revision(sequence),
    )


LINK = link()


def held(
    of: Link = LINK,
    state: LinkState = "active",
    sequence: int | None = None,
    role: Literal["source", "target"] = "target",
    error: str | None = None,
) -> HeldLink:
    return HeldLink(
        key=of.key,
        role=role,
        state=state,
        revision=of.revision if sequence is None else revision(sequence),
        error=error,
    )


def provider(*links: HeldLink, instance: str = "i1", id: str = "kv") -> Opinion:
    return Opinion("provider", id, instance, frozenset({id}), "told", {one.key: one for one in links})


def host(*links: HeldLink, id: str = "h1", serves: Sequence[str] = ("app",)) -> Opinion:
    return Opinion("host", id, id, frozenset(serves), "told", {one.key: one for one in links})


def quiet(opinion: Opinion, stance: Literal["silent", "unjudged"] = "silent") -> Opinion:
    return replace(opinion, stance=stance, held={})


ROUTE = held(role="source")

TABLE: list[tuple[str, list[Opinion], str]] = [
    ("nobody serves the target", [], "unserved"),
    ("only a host that runs the source is there", [host(ROUTE)], "unserved"),
    ("one instance has it active", [provider(held())], "live"),
    ("instance and host have it active", [provider(held()), host(ROUTE)], "live"),
    ("a newer revision than the asker read", [provider(held(sequence=6)), host(ROUTE)], "live"),
    (
        "one of two instances failed",
        [provider(held()), provider(held(state="failed"), instance="i2")],
        "failed",
    ),
    ("failed beats silent", [provider(held(state="failed")), quiet(provider(instance="i2"))], "failed"),
    ("the only instance is silent", [quiet(provider())], "silent"),
    ("the host of the source is silent", [provider(held()), quiet(host())], "silent"),
    ("silent beats stale", [provider(held(sequence=4)), quiet(provider(instance="i2"))], "silent"),
    ("an older revision is active", [provider(held(sequence=4))], "stale"),
    (
        "the host routes by an older revision",
        [provider(held()), host(held(sequence=4, role="source"))],
        "stale",
    ),
    (
        "stale beats purged",
        [provider(held(sequence=4)), provider(held(state="purged"), instance="i2")],
        "stale",
    ),
    ("purged at an older revision", [provider(held(state="purged", sequence=4))], "stale"),
    ("held purged", [provider(held(state="purged"))], "purged"),
    ("purged beats degraded", [provider(held(state="purged")), provider(instance="i2")], "purged"),
    ("still opening", [provider(held(state="opening"))], "degraded"),
    ("closing", [provider(held(state="closing"))], "degraded"),
    ("one instance does not hold it", [provider(held()), provider(instance="i2")], "degraded"),
    ("no instance holds it", [provider()], "degraded"),
    ("the host has no route", [provider(held()), host()], "degraded"),
    ("a component is the target", [host(held(), serves=["kv"]), host(ROUTE, id="h2")], "live"),
    ("one host runs both ends", [host(ROUTE, serves=["app", "kv"])], "live"),
    ("a provider is the source", [provider(held()), provider(ROUTE, id="app", instance="i9")], "live"),
    ("an instance of somebody else", [provider(id="other", instance="i3")], "unserved"),
]


@pytest.mark.parametrize(("opinions", "verdict"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_verdict_is_the_first_that_applies(opinions: list[Opinion], verdict: str) -> None:
    (report,), orphans = join(Kept({LINK.key: LINK}), opinions)
    assert report.verdict == verdict
    assert orphans == ()


def test_the_participants_say_who_holds_what() -> None:
    opinions = [
        provider(held(sequence=4, error=None)),
        provider(held(state="failed", error="no route to redis"), instance="i2"),
        provider(instance="i3"),
        quiet(provider(instance="i4")),
        host(ROUTE),
    ]
    (report,), _ = join(Kept({LINK.key: LINK}), opinions)
    told = {view.instance_id: (view.state, view.role, str(view.revision)) for view in report.participants}
    assert told == {
        "i1": ("active", "target", "7:4"),
        "i2": ("failed", "target", "7:5"),
        "i3": ("missing", "target", "None"),
        "i4": ("silent", "target", "None"),
        "h1": ("active", "source", "7:5"),
    }
    assert report.reason == "no route to redis"


def test_what_is_held_and_not_in_kv_is_an_orphan_and_so_is_a_stored_value_that_is_no_link() -> None:
    gone = link(name="gone")
    kept = Kept({LINK.key: LINK}, {"a.b.c.d.e": "link is not valid: target: missing"})
    (report,), orphans = join(kept, [provider(held(), held(gone)), host(ROUTE, held(gone, role="source"))])
    assert report.verdict == "live"
    assert [(o.key, o.participant, o.kind, o.state) for o in orphans] == [
        ("a.b.c.d.e", "", "kv", "unreadable"),
        (gone.key, "h1", "host", "active"),
        (gone.key, "kv", "provider", "active"),
    ]


def test_who_holds_a_link_of_which_it_serves_neither_end_is_shown_too() -> None:
    stranger = provider(held(sequence=4), id="other", instance="i5")
    (report,), _ = join(Kept({LINK.key: LINK}), [provider(held()), stranger])
    assert report.verdict == "stale"
    assert {view.instance_id for view in report.participants} == {"i1", "i5"}


def test_an_agreeing_digest_stands_for_every_link_that_is_not_told_of() -> None:
    links = {one.key: one for one in (LINK, link(name="two"), link(name="three"))}
    agrees = replace(provider(held(link(name="two"), state="failed", error="x")), stance="agrees")
    reports, _ = join(Kept(links), [agrees])
    assert {r.name: r.verdict for r in reports} == {"default": "live", "two": "failed", "three": "live"}
    assert next(r for r in reports if r.name == "default").participants[0].uptime_ms is None


def test_nobody_is_judged_while_presence_settles() -> None:
    kept = Kept({LINK.key: LINK})
    assert join(kept, [], settling=True)[0][0].verdict == "degraded"
    unjudged = [provider(held()), quiet(host(), "unjudged")]
    assert join(kept, unjudged, settling=True)[0][0].verdict == "degraded"
    assert join(kept, [provider(held(state="failed"))], settling=True)[0][0].verdict == "failed"


# --- digests ------------------------------------------------------------------------------------------


def reply(
    links: Sequence[HeldLink], told: Sequence[HeldLink] = (), serves: tuple[str, ...] = ("kv",)
) -> PingReply:
    return PingReply(
        kind="provider",
        id="kv",
        instance_id="i1",
        serves=serves,
        uptime_ms=1,
        count=len(links),
        active=sum(one.state == "active" for one in links),
        digest=digest_of((one.key, one.revision) for one in links),
        links=tuple(told),
        next_after="",
    )


def test_a_summary_agrees_only_with_the_same_links_at_the_same_revisions() -> None:
    two, other = link(name="two", sequence=6), link(target="blob")
    kept = Kept({one.key: one for one in (LINK, two, other)})
    failed = held(two, state="failed")
    assert kept.agrees(reply([held(), held(two)]))
    assert kept.agrees(reply([held(), failed], told=[failed]))
    assert kept.agrees(reply([held(), held(two), held(other)], serves=("kv", "blob")))
    assert not kept.agrees(reply([held(), failed]))  # says one differs, and does not tell which
    assert not kept.agrees(reply([held()]))
    assert not kept.agrees(reply([held(), held(two, sequence=5)]))
    assert not kept.agrees(reply([held(), held(two), held(link(name="zombie"))]))


@settings(deadline=None)
@given(st.lists(st.tuples(st.text("abc.", max_size=5), st.integers(0, 5), st.integers(0, 5)), max_size=8))
def test_a_digest_does_not_depend_on_order_and_tells_different_sets_apart(
    pairs: list[tuple[str, int, int]],
) -> None:
    made = {(key, Revision(incarnation=i, sequence=s)) for key, i, s in pairs}
    ordered = sorted(made, key=str)
    assert digest_of(ordered) == digest_of(reversed(ordered))
    for one in made:
        assert digest_of(made - {one}) != digest_of(made)


# --- properties of the join ---------------------------------------------------------------------------

STATES: tuple[LinkState, ...] = ("opening", "active", "failed", "purged", "closing")
KV = [link(source, target, name, 5) for source in "ab" for target in "kb" for name in ("x", "y")]


@st.composite
def opinions(draw: st.DrawFn) -> list[Opinion]:
    found = []
    for index in range(draw(st.integers(0, 5))):
        kind: Literal["host", "provider"] = draw(st.sampled_from(("host", "provider")))
        serves = draw(st.sets(st.sampled_from("abk"), min_size=1, max_size=2 if kind == "host" else 1))
        stance: Literal["told", "silent"] = draw(st.sampled_from(("told", "told", "told", "silent")))
        links = [
            held(one, draw(st.sampled_from((*STATES, "active", "active", "active"))), draw(st.integers(3, 6)))
            for one in KV
            if {one.source_id, one.target} & serves and draw(st.integers(0, 9))
        ]
        mine = {one.key: one for one in links} if stance == "told" else {}
        id = f"{kind[0]}{index}" if kind == "host" else min(serves)
        found.append(Opinion(kind, id, f"{kind[0]}{index}", frozenset(serves), stance, mine))
    return found


kept_links = st.lists(st.sampled_from(KV), unique_by=lambda one: one.key).map(
    lambda chosen: {one.key: one for one in chosen}
)


@settings(deadline=None)
@given(kept_links, opinions(), st.randoms(use_true_random=False))
def test_the_order_of_opinions_does_not_matter(
    kept: dict[str, Link], said: list[Opinion], random: object
) -> None:
    shuffled = list(said)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert join(Kept(kept), said) == join(Kept(dict(reversed(kept.items()))), shuffled)


@settings(deadline=None)
@given(kept_links, opinions())
def test_a_link_is_live_just_when_somebody_serves_its_target_and_all_who_should_have_it_active(
    kept: dict[str, Link], said: list[Opinion]
) -> None:
    reports, orphans = join(Kept(kept), said)
    for report in reports:
        one = next(
            k
            for k in kept.values()
            if (k.source_id, k.target, k.name) == (report.source_id, report.target, report.name)
        )
        should = [o for o in said if o.serves & {one.source_id, one.target}]
        good = all(
            (mine := o.held.get(one.key)) is not None
            and mine.state == "active"
            and mine.revision >= one.revision
            for o in should
        )
        served = any(one.target in o.serves for o in should)
        assert (report.verdict == "live") == (good and served)
        assert (report.verdict == "unserved") == (not served)
        assert {view.instance_id for view in report.participants} == {o.instance_id for o in should}
    held_keys = {(o.instance_id, key) for o in said for key in o.held}
    assert {(o.instance_id, o.key) for o in orphans} == {pair for pair in held_keys if pair[1] not in kept}


def test_views_are_made_of_known_states_only() -> None:
    for state in (*STATES, "missing", "silent", "unjudged"):
        ParticipantView(kind="host", id="h", instance_id="h", role="source", state=state)  # type: ignore[arg-type]
