"""What a guest asks of others goes through the client that its pool was given, and through nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from http_served import chunks, serving_pool, whole

from lath.errors import DeadlineExceeded
from lath.testing import eventually
from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.http.messages import HttpFailure, IncomingResponse, OutgoingRequest
from lath_host.engine.surroundings import Surroundings

pytestmark = pytest.mark.timeout(300)


class Answering:
    """A client that answers by itself."""

    def __init__(self) -> None:
        self.asked: list[OutgoingRequest] = []

    async def send(self, request: OutgoingRequest) -> IncomingResponse:
        self.asked.append(request)
        await asyncio.sleep(0)
        return IncomingResponse(
            203, [("x-answered", b"1"), ("connection", b"close")], chunks(b"from ", b"there")
        )


class Failing:
    async def send(self, request: OutgoingRequest) -> IncomingResponse:
        raise HttpFailure("connection-refused")


async def test_a_guest_asks_others_through_the_client_that_it_was_given(
    python_engine: Engine, python_web: CompiledComponent
) -> None:
    client = Answering()
    async with serving_pool(python_engine, python_web, surroundings=Surroundings(outbound=client)) as python:
        response = await python.ask("/fetch")
        assert (response.status, response.headers) == (203, [("x-answered", b"1")])
        assert await whole(response) == b"from there"
    (asked,) = client.asked
    assert (asked.method, asked.scheme, asked.authority, asked.path_with_query) == (
        "GET", "http", "other:80", "/there",
    )  # fmt: skip
    assert (asked.headers, asked.body) == ([("x-asked", b"1")], None)


@pytest.mark.parametrize(
    ("client", "told"), [(None, "ErrorCode_HttpRequestDenied"), (Failing(), "ErrorCode_ConnectionRefused")]
)
async def test_a_request_that_is_not_answered_is_an_error_code(
    python_engine: Engine, python_web: CompiledComponent, client: Any, told: str
) -> None:
    async with serving_pool(python_engine, python_web, surroundings=Surroundings(outbound=client)) as python:
        assert await python.text("/fetch") == told


class Reading(Answering):
    """Reads the request to its end before it answers."""

    async def send(self, request: OutgoingRequest) -> IncomingResponse:
        assert request.body is not None
        self.read = b"".join([chunk async for chunk in request.body])
        self.asked.append(request)
        return IncomingResponse(200, [], chunks(b"thanks"), lambda: [("x-late", b"2")])


async def test_bodies_and_trailers_stream_to_others_and_back(
    python_engine: Engine, python_web: CompiledComponent
) -> None:
    client, sent = Reading(), [b"a" * 300_000, b"b", b"c" * 300_000]
    async with serving_pool(python_engine, python_web, surroundings=Surroundings(outbound=client)) as python:
        assert await python.text("/forward", method="POST", body=chunks(*sent)) == (
            "b'thanks' [('x-late', b'2')]"
        )
    (asked,) = client.asked
    assert client.read == b"".join(sent)
    assert (asked.method, asked.scheme, asked.path_with_query) == ("PROPFIND", "https", "")
    assert asked.trailers == [("x-sum", b"7")]
    assert (asked.connect_timeout_ms, asked.first_byte_timeout_ms) == (1500, 1)
    assert asked.between_bytes_timeout_ms is None


class Hanging:
    """Never answers, and notes when it is told to stop."""

    def __init__(self) -> None:
        self.asked = self.stopped = 0

    async def send(self, request: OutgoingRequest) -> IncomingResponse:
        self.asked += 1
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            self.stopped += 1


async def test_a_request_whose_guest_wants_no_answer_is_cancelled(
    python_engine: Engine, python_web: CompiledComponent
) -> None:
    client = Hanging()
    async with serving_pool(python_engine, python_web, surroundings=Surroundings(outbound=client)) as python:
        assert await python.text("/abandon") == "gone"
        await eventually(lambda: client.stopped == client.asked)


async def test_a_request_of_a_guest_that_is_cancelled_is_cancelled_with_it(
    python_engine: Engine, python_web: CompiledComponent
) -> None:
    client = Hanging()
    async with serving_pool(python_engine, python_web, surroundings=Surroundings(outbound=client)) as python:
        with pytest.raises(DeadlineExceeded):
            await python.ask("/wait-for-other", timeout_ms=1000)
        await eventually(lambda: client.asked == client.stopped == 1)


async def test_what_would_break_out_of_a_request_line_is_refused(
    python_engine: Engine, python_web: CompiledComponent
) -> None:
    async with serving_pool(python_engine, python_web) as python:
        assert await python.text("/bad-requests") == repr([True] * 5 + [False] * 2)


class Leaving(Answering):
    """Takes many turns of the loop to close the body of its response."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    async def send(self, request: OutgoingRequest) -> IncomingResponse:
        return IncomingResponse(200, [], LeavingBody(self))


class LeavingBody:
    def __init__(self, client: Leaving) -> None:
        self._client = client

    def __aiter__(self) -> LeavingBody:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration

    async def aclose(self) -> None:
        for _ in range(10_000):
            await asyncio.sleep(0)
        self._client.closed = True


async def test_a_component_ends_once_what_its_guests_had_of_others_is_closed(
    python_engine: Engine, python_web: CompiledComponent
) -> None:
    client = Leaving()
    async with serving_pool(python_engine, python_web, surroundings=Surroundings(outbound=client)) as python:
        assert await python.text("/fetch") == ""
    assert client.closed
