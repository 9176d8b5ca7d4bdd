"""A Python component that serves HTTP, built by its usual tool against wasi:http 0.2."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from http_served import Served, chunks, serving_pool, whole

from lath.errors import DeadlineExceeded, Trap
from lath.testing import eventually
from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.http.messages import NoResponse
from lath_host.engine.limits import Limits
from lath_host.engine.wasi.bodies import PIPE_BYTES_MAX

pytestmark = pytest.mark.timeout(300)


async def test_what_a_request_says_reaches_the_guest_and_its_answer_comes_back(python: Served) -> None:
    response = await python.ask(
        "/about?x=1", method="POST", scheme="https", authority="me:1",
        headers=[("X-A", b"\xff"), ("x-a", b"2"), ("Host", b"me:1"), ("connection", b"close")],
    )  # fmt: skip
    assert response.status == 418
    assert response.headers == [("X-A", b"\xff"), ("x-a", b"2")]
    assert await whole(response) == b"Method_Post Scheme_Https me:1 /about?x=1"


async def test_trailers_pass_both_ways(python: Served) -> None:
    response = await python.ask(
        "/trailers", method="POST", body=chunks(b"a", b"b" * 100_000, b"c"),
        trailers=lambda: [("x-sum", b"7")],
    )  # fmt: skip
    assert await whole(response) == b""
    assert response.trailers == [("x-sum", b"7"), ("x-more", b"1")]


async def test_a_body_without_trailers_has_none(python: Served) -> None:
    response = await python.ask("/trailers", method="POST", body=chunks(b"a"))
    assert await whole(response) == b""
    assert response.trailers == []


async def test_chunks_of_every_odd_size_arrive_whole(python: Served) -> None:
    sizes = [1, 0, 2, 3, 4095, 0, 4096, 4097, 16_383, 16_384, 16_385, 65_537, 1, PIPE_BYTES_MAX + 1]
    pieces = [bytes([index]) * size for index, size in enumerate(sizes)]
    response = await python.ask("/echo", method="POST", body=chunks(*pieces))
    assert await whole(response) == b"".join(pieces)


async def test_a_trap_before_the_head_is_the_callers_error(python: Served) -> None:
    with pytest.raises(Trap, match="unreachable"):
        await python.ask("/trap")
    assert python.pool.stats.running == 0


async def test_a_trap_after_the_head_ends_the_body(python: Served) -> None:
    response = await python.ask("/head-then-trap")
    assert await anext(aiter(response.body)) == b"so far"
    with pytest.raises(Trap, match="unreachable"):
        await anext(aiter(response.body))
    assert python.pool.stats.running == 0


async def test_a_guest_that_never_answers_is_cancelled_at_the_deadline(python: Served) -> None:
    with pytest.raises(DeadlineExceeded, match="did not answer within 300 ms"):
        await python.ask("/hang", timeout_ms=300)
    assert python.pool.stats.running == 0


async def test_a_guest_that_does_not_go_on_is_cancelled_too(python: Served) -> None:
    response = await python.ask("/hang-midway", timeout_ms=2000)
    assert await anext(aiter(response.body)) == b"so far"
    with pytest.raises(DeadlineExceeded, match="did not go on with its body within 2000 ms"):
        await anext(aiter(response.body))
    assert python.pool.stats.running == 0


@pytest.mark.parametrize("path", ["/flood", "/hang-midway"])
async def test_a_client_that_is_gone_ends_the_guest_and_frees_its_permit(python: Served, path: str) -> None:
    response = await python.ask(path)
    assert await anext(aiter(response.body))
    assert python.pool.stats.running == 1
    await response.body.aclose()
    assert python.pool.stats.running == 0


async def test_a_caller_that_gives_up_before_the_head_ends_the_guest(python: Served) -> None:
    asked = asyncio.ensure_future(python.ask("/hang"))
    await eventually(lambda: python.pool.stats.running == 1)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert python.pool.stats.running == 0


async def test_a_guest_that_sets_no_answer_is_an_error_that_says_so(python: Served) -> None:
    with pytest.raises(NoResponse, match="without setting it"):
        await python.ask("/forget")


async def test_an_error_code_in_place_of_a_response_is_told(python: Served) -> None:
    with pytest.raises(NoResponse, match="configuration-error") as caught:
        await python.ask("/refuse")
    assert caught.value.code == {"configuration-error": None}


async def test_a_body_that_is_shorter_than_the_header_says_fails_on_both_sides(
    python_engine: Engine, python_web: CompiledComponent
) -> None:
    lines: list[tuple[str, str]] = []
    async with serving_pool(python_engine, python_web, log=lambda *line: lines.append(line)) as python:
        response = await python.ask("/short")
        assert await anext(aiter(response.body)) == b"12345"
        with pytest.raises(Trap, match="HTTP-response-body-size"):
            await anext(aiter(response.body))


async def test_instances_serve_request_after_request_where_they_are_reused(
    python_engine: Engine, python_web: CompiledComponent
) -> None:
    async with serving_pool(python_engine, python_web, Limits(reuse=True, max_instances=1)) as python:
        assert [await python.text("/count") for _ in range(3)] == ["1", "2", "3"]
        together = await asyncio.gather(*(python.text("/count") for _ in range(3)))
        assert sorted(together) == ["4", "5", "6"]


async def test_an_instance_serves_one_request_where_they_are_not(python: Served) -> None:
    assert [await python.text("/count") for _ in range(2)] == ["1", "1"]


async def test_a_poll_mixes_timers_and_streams(python: Served) -> None:
    sent = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        await sent.wait()
        yield b"late"

    asked = asyncio.ensure_future(python.text("/race", method="POST", body=body()))
    async with asyncio.timeout(60):
        await eventually(lambda: python.pool.stats.running == 1)
        asyncio.get_running_loop().call_later(0.5, sent.set)
        assert await asked == "[[1], [1]] b'late'"


async def test_fields_follow_the_rules(python: Served) -> None:
    assert await python.text("/fields", headers=[("x", b"y")]) == repr(
        [
            [b"1", b"2"], True, False,
            "HeaderError_InvalidSyntax", "HeaderError_InvalidSyntax",
            "HeaderError_Forbidden", "good",
            [("two", b"")], "HeaderError_Immutable",
            "good", "HeaderError_Forbidden",
        ]
    )  # fmt: skip


async def test_a_guest_that_computes_goes_on_in_threads_and_streams_all_the_same(python: Served) -> None:
    pieces = [bytes([index]) * 1000 for index in range(8)]
    asked = (python.ask("/toil", method="POST", body=chunks(*pieces)) for _ in range(3))
    for answer in await asyncio.gather(*(whole(response) for response in await asyncio.gather(*asked))):
        assert answer == b"".join(piece + b" 90000;" for piece in pieces)
