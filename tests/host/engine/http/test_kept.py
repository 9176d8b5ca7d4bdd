"""What a host keeps for a guest outside its memory, headers and bodies, has an end."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from http_components import serving
from http_served import serving_pool, whole

from lath.errors import LimitExceeded
from lath.testing import eventually
from lath_host.engine import Engine
from lath_host.engine.http.bodies import Pipe, Source
from lath_host.engine.http.fields import FIELDS_BYTES_MAX, Fields
from lath_host.engine.http.messages import HttpFailure
from lath_host.engine.http.outgoing import ANSWERS, FutureResponse, IncomingResponse, OutgoingMessageRequest
from lath_host.engine.http.responses import OutgoingResponse
from lath_host.engine.limits import Limits
from lath_host.engine.values import KEPT_BYTES_MAX, Kept
from lath_host.engine.wasi import WasiGuest
from lath_host.engine.wasi.bodies import BODY_BYTES

_ANSWER = """
    (local.set $body (call $answer (local.get $out)))
    (call $end (local.get $body) (call $sink (local.get $body)))
    (call $drop-request (local.get $request))"""
_MANY = """
    (local.set $at (i32.const 600))
    (loop $again
      {each}
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (br_if $again (local.get $at)))"""
_HEADER = """
      (local.set $size (call $fields))
      (call $append (local.get $size) (i32.const 1024) (i32.const 1)
        (i32.const 2048) (i32.const 60000) (i32.const 0))
"""
_BODY = """
      (local.set $size (call $response (call $fields)))
      (call $body (local.get $size) (i32.const 0))
      (local.set $body (i32.load (i32.const 4)))
"""
PATIENT = Limits(timeout_ms=60_000)
"""36 MB of headers take seconds where others want the machine as well."""
_SET_PATH = "[method]outgoing-request.set-path-with-query"
_SPACES = "a" + " " * 62000


def guest() -> WasiGuest:
    return cast("WasiGuest", SimpleNamespace(kept=Kept()))


def drop(name: str, local: str) -> str:
    return f"(call $drop-{name} (local.get ${local}))"


@pytest.mark.parametrize("each", [_HEADER, _BODY], ids=["headers", "bodies"])
async def test_a_guest_that_drops_none_of_them_is_stopped(engine: Engine, each: str) -> None:
    compiled = await engine.compile(serving(_MANY.format(each=each) + _ANSWER, data=_SPACES))
    async with serving_pool(engine, compiled, PATIENT) as served:
        with pytest.raises(LimitExceeded, match=str(KEPT_BYTES_MAX)):
            await served.ask()


@pytest.mark.parametrize(
    "each",
    [_HEADER + drop("fields", "size"), _BODY + drop("body-out", "body") + drop("response", "size")],
    ids=["headers", "bodies"],
)
async def test_a_guest_that_drops_them_goes_on(engine: Engine, each: str) -> None:
    compiled = await engine.compile(serving(_MANY.format(each=each) + _ANSWER, data=_SPACES))
    async with serving_pool(engine, compiled, PATIENT) as served:
        assert await whole(await served.ask()) == b""


def test_a_header_that_grows_and_shrinks_counts_for_what_it_is() -> None:
    kept, fields = Kept(), Fields([("a", b"1")])
    fields.held(kept)
    alone = kept.size
    fields.add("b", bytes(1000))
    assert kept.size > alone + 1000
    fields.remove("b")
    assert kept.size == alone
    fields.let_go()
    assert kept.size == 0


def test_a_message_counts_for_its_header_and_a_request_for_what_is_set() -> None:
    fields = Fields([("a", bytes(FIELDS_BYTES_MAX // 2))])
    assert OutgoingResponse(fields).kept_bytes == fields.kept_bytes
    request, set_path = OutgoingMessageRequest(fields), ANSWERS["wasi:http/types", _SET_PATH].at_once
    assert set_path is not None
    set_path(guest(), [request, "/" + "a" * 999])
    assert request.kept_bytes == fields.kept_bytes + 1000
    set_path(guest(), [request, None])
    assert request.kept_bytes == fields.kept_bytes


async def test_a_body_that_is_written_counts_until_it_is_read() -> None:
    kept, pipe = Kept(), Pipe(None, "HTTP-request-body-size")
    pipe.open(kept)
    pipe.put(b"a")
    pipe.finish([])
    assert kept.size == BODY_BYTES
    assert [chunk async for chunk in pipe] == [b"a"]
    assert kept.size == 0


@pytest.mark.parametrize("body", [Pipe(None, ""), Source(None)], ids=["written", "read"])
def test_a_body_that_nobody_wants_any_more_counts_no_more(body: Any) -> None:
    kept = Kept()
    body.open(kept)
    assert kept.size == BODY_BYTES
    body.close()
    body.close()
    assert kept.size == 0


async def test_the_body_of_a_request_that_came_to_nothing_counts_no_more() -> None:
    async def refused() -> IncomingResponse:
        raise HttpFailure("connection-refused")

    kept, request = Kept(), OutgoingMessageRequest(Fields())
    request.body.open(kept)
    request.body.put(b"nobody reads it")
    response = FutureResponse(request, asyncio.create_task(refused()))
    await eventually(response.ready)
    await eventually(lambda: kept.size == 0)
