"""Bodies between a message and its stream: whoever makes them is told when nobody wants more."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from lath.errors import InvalidArgument, Trap
from lath.streamed.parts import Ahead, Continued


async def made(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def failing() -> AsyncIterator[bytes]:
    yield b"rest"
    raise Trap("out of bounds")


class Closed:
    """Counts how often a body was closed."""

    times = 0

    async def __call__(self) -> None:
        self.times += 1


async def test_a_body_that_goes_on_is_whole_and_closed_at_its_end() -> None:
    closed, ended = Closed(), list[bool]()
    body = Continued(b"first", made(b"rest"), lambda: ended.append(True), close=closed)
    assert [chunk async for chunk in body] == [b"first", b"rest"]
    assert (ended, closed.times) == ([True], 1)


async def test_a_body_that_breaks_off_is_closed() -> None:
    closed = Closed()
    body = Continued(b"first", failing(), lambda: None, close=closed)
    with pytest.raises(Trap):
        _ = [chunk async for chunk in body]
    assert closed.times == 1


async def test_a_body_whose_trailers_are_malformed_is_closed_too() -> None:
    closed = Closed()

    def refuse() -> None:
        raise InvalidArgument("trailers")

    body = Continued(b"", made(b"rest"), refuse, close=closed)
    assert await anext(body) == b"rest"
    with pytest.raises(InvalidArgument, match="trailers"):
        await anext(body)
    assert closed.times == 1


async def test_what_fails_while_it_is_read_ahead_is_raised_behind_what_came_before() -> None:
    body = Ahead(failing())
    assert await body.begin(100) == b"rest"
    assert not body.whole
    with pytest.raises(Trap):
        await anext(body)
