"""The header, the balance, the budgets and the wheel, each by itself."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lath.errors import (
    KINDS,
    DeadlineExceeded,
    Draining,
    InvalidArgument,
    LinkFailed,
    Overloaded,
    Trap,
    Unavailable,
)
from lath.model.presence import Presence
from lath.model.revision import Revision
from lath.names import InterfaceName
from lath.rpc.balance import ATTEMPTS_MAX, Balance, RetryBudget, may_retry
from lath.rpc.budget import ByteBudget
from lath.rpc.deadlines import DeadlineWheel
from lath.rpc.header import TIMEOUT_MS_DEFAULT, TIMEOUT_MS_MAX, CallHeader
from lath.rpc.replies import may_answer
from lath.rpc.routes import Route
from lath.subjects import call_tail

revisions = st.builds(
    Revision,
    incarnation=st.integers(min_value=0, max_value=2**63),
    sequence=st.integers(min_value=1, max_value=2**63),
)


@given(
    st.builds(
        CallHeader,
        ms_left=st.integers(min_value=0, max_value=TIMEOUT_MS_MAX),
        call_id=st.from_regex(r"\A[A-Za-z0-9_-]{1,64}\Z"),
        revision=st.none() | revisions,
        interface_version=st.from_regex(r"\A([0-9]+\.[0-9]+\.[0-9]+(-[a-z.]+)?)?\Z"),
        app_version=st.text(max_size=40),
    )
)
def test_a_header_is_read_as_it_was_written(header: CallHeader) -> None:
    assert CallHeader.parse(header.encode()) == header


@given(st.text(max_size=60) | st.from_regex(r"\A[^,]*(,[^,]*){4}\Z"))
def test_any_text_is_a_header_or_an_invalid_argument(text: str) -> None:
    with contextlib.suppress(InvalidArgument):
        CallHeader.parse(text)


def test_a_missing_timeout_means_the_default_and_an_absurd_one_is_cut() -> None:
    assert CallHeader.parse(",a,,,").ms_left == TIMEOUT_MS_DEFAULT
    assert CallHeader.parse("9999999999,a,,,").ms_left == TIMEOUT_MS_MAX


def presence(instance: str) -> Presence:
    return Presence(kind="component", target="t", instance_id=instance, started_ms=0, version="0")


def test_the_less_loaded_of_two_is_picked() -> None:
    balance = Balance()
    instances = [presence("a"), presence("b")]
    balance.began("a")
    assert {balance.pick(instances, ()) for _ in range(50)} == {"b"}
    balance.began("b")
    balance.began("b")
    assert {balance.pick(instances, ()) for _ in range(50)} == {"a"}
    balance.ended("a")
    assert balance.outstanding("a") == 0


def test_an_instance_that_was_tried_is_not_picked_again() -> None:
    balance = Balance()
    instances = [presence(name) for name in "abc"]
    assert {balance.pick(instances, ["a"]) for _ in range(100)} == {"b", "c"}
    assert balance.pick(instances, ["a", "b", "c"]) == ""


def test_the_retry_budget_ends_and_refills_with_calls() -> None:
    budget = RetryBudget(per_call=0.5, tokens_max=2)
    assert [budget.withdraw() for _ in range(3)] == [True, True, False]
    budget.deposit()
    assert not budget.withdraw()
    budget.deposit()
    assert budget.withdraw()


def test_only_what_did_not_run_elsewhere_is_retried() -> None:
    retried = {kind for kind, cls in KINDS.items() if may_retry(cls("x"), 1, 1)}
    assert retried == {"unavailable", "draining", "link_failed", "overloaded"}
    assert not may_retry(Overloaded("x"), 2, 2)
    for error in (Unavailable("x"), Draining("x"), LinkFailed("x"), Trap("x"), DeadlineExceeded("x")):
        assert not may_retry(error, ATTEMPTS_MAX, 0)


async def test_the_byte_budget_serves_first_come_first_and_survives_cancelled_waiters() -> None:
    budget = ByteBudget(10)
    assert await budget.acquire(8) == 8
    big = asyncio.create_task(budget.acquire(1000))
    small = asyncio.create_task(budget.acquire(1))
    await asyncio.sleep(0)
    assert not small.done()
    big.cancel()
    assert await small == 1
    budget.release(9)
    assert budget.used_bytes == 0


async def test_the_wheel_expires_what_was_not_removed() -> None:
    expired: asyncio.Queue[str] = asyncio.Queue()
    wheel: DeadlineWheel[str] = DeadlineWheel(expired.put_nowait)
    now = asyncio.get_running_loop().time()
    wheel.add("gone", now + 0.03).discard("gone")
    wheel.add("late", now + 0.06)
    wheel.add("early", now + 0.01)
    async with asyncio.timeout(5):
        assert [await expired.get(), await expired.get()] == ["early", "late"]
    wheel.close()


@pytest.mark.parametrize(
    "reply",
    ["", "$JS.ACK.x", "$JS.API.STREAM.DELETE.x", "$KV.lath-links-a.b", "lath.rpc.a", "wasmbus.ctl.v1.a"],
)
def test_only_an_inbox_is_answered(reply: str) -> None:
    assert not may_answer(reply)
    assert may_answer("_INBOX_p.x")


@pytest.mark.parametrize(
    "tail", ["", "a.b", "a.b.c.d.e.*", "a.b.c.d.e.>", "a.b.c.d.e.f g", "a.b.c.d.e.f\r\n"]
)
def test_a_tail_with_a_wildcard_or_a_missing_token_makes_no_route(tail: str) -> None:
    with pytest.raises(InvalidArgument):
        Route("default", "t", tail)


def test_spans_are_named_after_the_function() -> None:
    bucket = InterfaceName("wasi", "keyvalue", "store", "0.2.0")
    route = Route("default", "kv", call_tail("app", "default", bucket, "[method]bucket.get"))
    assert route.name == "wasi:keyvalue/store.[method]bucket.get"
    assert Route("default", "t", call_tail("app", "default", None, "run")).name == "run"
