"""Who should answer, and who of the silent is named."""

from __future__ import annotations

import pytest
from link_participants import make_link

from lath.model import LinkSelector, LostParticipant, ParticipantKind, PingReply, Presence
from lath.verbs.expect import Expectation, relevant_to


def present(kind: ParticipantKind, target: str, instance: str, host: str = "") -> Presence:
    return Presence(
        kind=kind, target=target, instance_id=instance, host_id=host, started_ms=0, version="0", name=target
    )


def lost(kind: ParticipantKind, target: str, instance: str, host: str = "") -> LostParticipant:
    return LostParticipant(kind=kind, target=target, instance_id=instance, host_id=host, lost_ago_ms=20_000)


def answer(
    host: str,
    expected: tuple[LostParticipant, ...] = (),
    lost: tuple[LostParticipant, ...] = (),
    serves: tuple[str, ...] = (),
) -> PingReply:
    return PingReply(
        kind="host", id=host, instance_id=host, host_id=host, serves=serves, uptime_ms=1, count=0, active=0,
        digest="", expected=expected, lost=lost,
    )  # fmt: skip


H1 = present("host", "h1", "h1", "h1")


def test_presence_at_the_start_is_expected_components_aside() -> None:
    expectation = Expectation(
        [H1, present("provider", "kv", "p1", "h1"), present("component", "app", "c1", "h1")]
    )
    assert expectation.required == {"h1", "p1"}
    assert expectation.participants["h1"].serves == {"app"}
    assert expectation.silent({"h1"}) == {"p1"}


def test_whom_a_host_says_should_run_is_expected_though_it_is_not_in_presence() -> None:
    expectation = Expectation([H1])
    expectation.heard(answer("h1", expected=(lost("provider", "kv", "p1", "h1"),)))
    assert expectation.silent({"h1"}) == {"p1"}
    assert expectation.participants["p1"].serves == {"kv"}


def test_whom_a_host_lost_is_expected_and_named() -> None:
    expectation = Expectation([H1])
    expectation.heard(answer("h1", lost=(lost("provider", "kv", "alone"), lost("host", "h2", "h2", "h2"))))
    assert expectation.silent({"h1"}) == {"alone", "h2"}


def test_the_components_of_a_lost_host_are_known() -> None:
    gone = (lost("component", "app", "c1", "h2"), lost("host", "h2", "h2", "h2"))
    expectation = Expectation([H1])
    expectation.heard(answer("h1", lost=gone))
    assert expectation.required == {"h1", "h2"}
    assert expectation.participants["h2"].serves == {"app"}


def test_an_instance_that_its_supervisor_replaced_is_not_silent_for_ever() -> None:
    expectation = Expectation([H1, present("provider", "kv", "new", "h1")])
    now = lost("provider", "kv", "new", "h1")
    expectation.heard(answer("h1", expected=(now,), lost=(lost("provider", "kv", "old", "h1"),)))
    assert expectation.silent({"h1", "new"}) == set()


def test_a_replaced_instance_whose_presence_lingers_is_not_silent() -> None:
    expectation = Expectation(
        [H1, present("provider", "kv", "old", "h1"), present("provider", "kv", "new", "h1")]
    )
    expectation.heard(answer("h1", expected=(lost("provider", "kv", "new", "h1"),)))
    assert expectation.silent({"h1", "new"}) == set()


def test_a_lost_instance_that_its_supervisor_counts_on_is_named() -> None:
    expectation = Expectation([H1])
    frozen = lost("provider", "kv", "p1", "h1")
    expectation.heard(answer("h1", expected=(frozen,), lost=(frozen,)))
    assert expectation.silent({"h1"}) == {"p1"}


def test_another_hosts_word_does_not_release_an_instance() -> None:
    h2 = present("host", "h2", "h2", "h2")
    expectation = Expectation([H1, h2])
    gone = (lost("provider", "kv", "p2", "h2"),)
    expectation.heard(answer("h1", lost=gone))
    assert expectation.silent({"h1"}) == {"h2", "p2"}
    expectation.heard(answer("h2"))
    assert expectation.silent({"h1", "h2"}) == set()


def test_an_instance_that_came_back_is_judged_by_its_presence() -> None:
    back = present("provider", "kv", "p1")
    expectation = Expectation([H1, back], [lost("provider", "kv", "p1")])
    assert expectation.silent({"h1", "p1"}) == set()
    assert expectation.silent({"h1"}) == {"p1"}


def test_who_said_goodbye_meanwhile_is_not_silent_and_who_expired_is() -> None:
    expectation = Expectation([H1, present("provider", "kv", "left"), present("provider", "kv", "expired")])
    expectation.look([H1])
    expectation.add_lost([lost("provider", "kv", "expired")])
    assert expectation.silent({"h1"}) == {"expired"}


def test_a_fresh_word_of_the_supervisor_replaces_its_older_one() -> None:
    expectation = Expectation([H1])
    expectation.heard(answer("h1", expected=(lost("provider", "kv", "p1", "h1"),)))
    expectation.heard(answer("h1", expected=(lost("provider", "kv", "p2", "h1"),)))
    assert expectation.silent({"h1", "p2"}) == set()


def test_providers_that_a_selector_is_not_about_are_only_hoped_for() -> None:
    entries = [H1, present("provider", "kv", "p1"), present("provider", "blob", "p2")]
    expectation = Expectation(entries, relevant=frozenset({"app", "kv"}))
    assert expectation.required == {"h1", "p1"}
    assert expectation.hoped == {"p2"}
    assert expectation.silent(()) == {"h1", "p1"}


LINK = make_link("app", "kv")


@pytest.mark.parametrize(
    ("selector", "relevant"),
    [
        (LinkSelector(), None),
        (LinkSelector(name="default"), None),
        (LinkSelector(source_id="app"), {"app", "kv"}),
        (LinkSelector(target="blob"), {"app", "kv", "blob"}),
        (LinkSelector(key="web.http.wasi.http.default"), {"app", "kv", "web", "http"}),
    ],
)
def test_relevant_are_the_named_and_the_ends_of_the_links_found(
    selector: LinkSelector, relevant: set[str] | None
) -> None:
    assert relevant_to(selector, {LINK.key: LINK}) == relevant
