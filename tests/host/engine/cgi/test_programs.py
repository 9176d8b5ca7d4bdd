"""Programs answer requests through CGI: what they are told, what they reply, and how they end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cgi_programs import (
    ARGUMENTS,
    ECHO,
    ENVIRONMENT,
    HEAD,
    POUR,
    SLEEP,
    SPIN,
    TRAP,
    exiting,
    program,
    reading,
)
from cgi_served import serving_program
from engine_guests import SLOTS
from http_served import chunks, whole
from program_python_guest import build_program_guest

from lath.errors import CallCancelled, DeadlineExceeded, LimitExceeded, Overloaded, Trap
from lath.testing import eventually
from lath_host.engine import Engine
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext
from lath_host.engine.wasi.bodies import PIPE_BYTES_MAX
from lath_host.testing import CACHE_DIR

MIB = 1 << 20
FOREVER_NS = (1 << 63) - 1


async def environment(
    engine: Engine, path: str = "/", env: dict[str, str] | None = None, **request: Any
) -> Any:
    """What a program finds in its environment."""
    async with serving_program(engine, program(HEAD, ENVIRONMENT), env=env) as script:
        status, body = await script.reply(path, **request)
    assert status == 200, body
    return dict(line.split("=", 1) for line in body.decode().split("\0") if line)


# -- what it is told -----------------------------------------------------------------------------------------


async def test_a_program_finds_its_request_in_its_environment(engine: Engine) -> None:
    told = await environment(
        engine, "/a%20b/%C3%BC?x=%201&y", method="DELETE", scheme="https", authority="example.com:8443",
        headers=[
            ("X-Asked", b"me"), ("accept", b"a"), ("Accept", b"b"), ("cookie", b"a=1"), ("cookie", b"b=2"),
        ],
        peer="[2001:db8::7]:4711",
    )  # fmt: skip
    assert told == {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": "lath/1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "example.com",
        "SERVER_PORT": "8443",
        "REQUEST_METHOD": "DELETE",
        "REQUEST_SCHEME": "https",
        "REQUEST_URI": "/a%20b/%C3%BC?x=%201&y",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/ü",
        "QUERY_STRING": "x=%201&y",
        "REMOTE_ADDR": "2001:db8::7",
        "REMOTE_PORT": "4711",
        "HTTPS": "on",
        "HTTP_HOST": "example.com:8443",
        "HTTP_X_ASKED": "me",
        "HTTP_ACCEPT": "a, b",
        "HTTP_COOKIE": "a=1; b=2",
    }


@pytest.mark.parametrize(
    ("authority", "name", "port"),
    [
        ("example.com", "example.com", "80"),
        ("[::1]", "[::1]", "80"),
        ("[::1]:8080", "[::1]", "8080"),
        ("", "", "80"),
    ],
)
async def test_server_name_and_port_come_from_the_authority(
    engine: Engine, authority: str, name: str, port: str
) -> None:
    told = await environment(engine, authority=authority)
    assert (told["SERVER_NAME"], told["SERVER_PORT"]) == (name, port)


async def test_the_length_and_type_of_a_body_are_told_where_there_is_one(engine: Engine) -> None:
    headers = [("content-length", b"3"), ("content-type", b"text/x")]
    for body in (b"abc", chunks(b"abc")):
        told = await environment(engine, method="POST", headers=headers, body=body)
        assert (told["CONTENT_LENGTH"], told["CONTENT_TYPE"]) == ("3", "text/x")
        assert not {"HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE"} & told.keys()
    assert "CONTENT_LENGTH" not in await environment(engine, method="POST", body=chunks(b"abc"))
    assert "CONTENT_TYPE" not in await environment(engine, headers=headers)


async def test_a_component_has_its_own_environment_below_the_requests(engine: Engine) -> None:
    told = await environment(engine, env={"GREETING": "hello", "REQUEST_METHOD": "mine", "HTTP_X": "mine"})
    assert (told["GREETING"], told["REQUEST_METHOD"], told["HTTP_X"]) == ("hello", "GET", "mine")


async def test_no_header_becomes_a_proxy_or_passes_for_another(engine: Engine) -> None:
    told = await environment(
        engine,
        headers=[
            ("Proxy", b"http://evil"), ("X_Real_IP", b"evil"), ("x.real.ip", b"evil"), ("x-real-ip", b"good"),
            ("proxy-authorization", b"secret"), ("authorization", b"Bearer good"), ("connection", b"close"),
        ],
    )  # fmt: skip
    assert {name: value for name, value in told.items() if name.startswith("HTTP_")} == {
        "HTTP_X_REAL_IP": "good",
        "HTTP_AUTHORIZATION": "Bearer good",
    }


async def test_bytes_that_are_no_utf8_reach_a_program_as_latin1(engine: Engine) -> None:
    assert (await environment(engine, headers=[("x-name", b"Zo\xeb")]))["HTTP_X_NAME"] == "Zoë"


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"path": "/%00"}, "PATH_INFO"),
        ({"path": "/a%0aSet-Cookie:x"}, "PATH_INFO"),
        ({"path": "/%FF"}, "the path is not UTF-8"),
        ({"headers": [("x-a", b"a\0b")]}, "HTTP_X_A"),
        ({"authority": "a\nb"}, "SERVER_NAME"),
    ],
)
async def test_a_request_that_cannot_be_put_to_a_program_is_400_and_runs_nothing(
    engine: Engine, request_: dict[str, Any], said: str
) -> None:
    async with serving_program(engine, program(HEAD)) as script:
        status, body = await script.reply(**request_)
        assert status == 400 and said in body.decode()
        assert script.pool.stats.calls == 0


async def test_its_first_argument_is_the_name_of_its_component(engine: Engine) -> None:
    async with serving_program(engine, program(HEAD, ARGUMENTS)) as script:
        assert await script.reply() == (200, b"script\0")


# -- bodies --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 4096, 65_535, 300_000])
async def test_a_body_reaches_stdin_and_stdout_reaches_the_client(engine: Engine, size: int) -> None:
    sent = bytes(index * 7 % 256 for index in range(size))
    pieces = [sent[at : at + 5000] for at in range(0, size, 5000)]
    async with serving_program(engine, program(HEAD, ECHO)) as script:
        assert await script.reply(method="POST", body=chunks(*pieces)) == (200, sent)
        assert await script.reply(method="POST", body=sent) == (200, sent)
        assert (script.pool.usage.bytes_in, script.pool.usage.bytes_out) == (2 * size, 2 * (len(HEAD) + size))


async def test_a_large_body_passes_both_ways_without_being_kept(engine: Engine) -> None:
    fetched = returned = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal fetched
        for _ in range(64):
            fetched += 65_536
            yield bytes(65_536)

    async with serving_program(engine, program(HEAD, ECHO)) as script:
        response = await script.ask(method="POST", body=body())
        async for chunk in response.body:
            returned += len(chunk)
            assert fetched - returned < PIPE_BYTES_MAX + 4 * 65_536
    assert returned == 4 * MIB


async def test_a_program_need_not_read_its_stdin(engine: Engine) -> None:
    fetched = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal fetched
        while True:
            fetched += 1
            yield bytes(1000)

    async with serving_program(engine, program(reading(10), HEAD, b"enough")) as script:
        assert await script.reply(method="POST", body=body()) == (200, b"enough")
        assert fetched <= 2


async def test_with_the_program_ends_the_wait_for_more_of_its_stdin(engine: Engine) -> None:
    ended: list[str] = []

    async def body() -> AsyncIterator[bytes]:
        yield b"some"
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("fetching")

    async with serving_program(engine, program(ECHO)) as script:
        with pytest.raises(DeadlineExceeded):
            await script.ask(method="POST", body=body(), timeout_ms=50)
        await eventually(lambda: ended == ["fetching"])


async def test_a_client_that_goes_away_ends_the_program(engine: Engine) -> None:
    async with serving_program(engine, program(HEAD, POUR)) as script:
        response = await script.ask()
        assert await anext(aiter(response.body))
        await response.body.aclose()
        await eventually(lambda: script.pool.stats.running == 0)
        task = asyncio.ensure_future(script.ask())
        await asyncio.wait([task])
        await task.result().body.aclose()
        await eventually(lambda: script.pool.stats.running == 0)


async def test_a_caller_that_is_cancelled_ends_the_program(engine: Engine) -> None:
    async with serving_program(engine, program(SLEEP.format(ns=FOREVER_NS))) as script:
        task = asyncio.ensure_future(script.ask())
        await eventually(lambda: script.pool.stats.running == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: script.pool.stats.running == 0)


async def test_the_answer_to_head_has_no_body(engine: Engine) -> None:
    for steps in ([b"Content-Type: a/b\nContent-Length: 5\n\nhello"], [HEAD, POUR]):
        async with serving_program(engine, program(*steps), Limits(timeout_ms=100)) as script:
            assert await script.reply(method="HEAD") == (200, b"")
            await eventually(lambda script=script: script.pool.stats.running == 0)  # type: ignore[misc]


async def test_a_reply_that_is_there_at_once_is_whole(engine: Engine) -> None:
    for head, body in ((HEAD, b"hello"), (b"Content-Type: a/b\nContent-Length: 3\n\n", b"hel")):
        async with serving_program(engine, program(head, b"hello")) as script:
            response = await script.ask()
            assert response.whole == body == await whole(response)
    async with serving_program(engine, program(HEAD, b"hello", SLEEP.format(ns=1000))) as script:
        response = await script.ask()
        assert response.whole is None
        assert await whole(response) == b"hello"


async def test_what_is_written_beyond_the_content_length_is_cut_off(engine: Engine) -> None:
    source = program(b"Content-Type: a/b\nContent-Length: 5\n\nhello and more")
    async with serving_program(engine, source) as script:
        assert await script.reply() == (200, b"hello")


@pytest.mark.parametrize("size", [100, 65_536])
async def test_a_program_whose_reply_is_whole_is_told_that_nobody_reads_on(engine: Engine, size: int) -> None:
    pour = f"""
      (i32.store (i32.const 500) (i32.const 65536)) (i32.store (i32.const 504) (i32.const {size}))
      (loop $again
        (i32.store (i32.const 600)
          (call $fd_write (i32.const 1) (i32.const 500) (i32.const 1) (i32.const 508)))
        (br_if $again (i32.eqz (i32.load (i32.const 600)))))
      (call $warn (i32.const 600) (i32.const 1))
    """
    source = program(b"Content-Type: a/b\nContent-Length: 5\n\nhello", pour)
    async with serving_program(engine, source) as script:
        assert await script.reply() == (200, b"hello")
        await eventually(lambda: script.lines == [("stderr", "@")])  # 64, pipe
        await eventually(lambda: script.pool.stats.running == 0)


async def test_a_body_short_of_its_content_length_breaks_off(engine: Engine) -> None:
    source = program(b"Content-Type: a/b\nContent-Length: 50\n\nhello")
    async with serving_program(engine, source) as script:
        response = await script.ask()
        with pytest.raises(Trap, match="45 bytes before its content-length"):
            await whole(response)


# -- how it ends ---------------------------------------------------------------------------------------------


async def test_every_request_finds_an_instance_that_has_served_nobody(engine: Engine) -> None:
    count = "(i32.store8 (i32.const 70000) (i32.add (i32.load8_u (i32.const 70000)) (i32.const 49)))"
    source = program(HEAD, count, "(call $say (i32.const 70000) (i32.const 1))")
    async with serving_program(engine, source) as script:
        assert [await script.reply() for _ in range(3)] == [(200, b"1")] * 3


async def test_stderr_goes_to_the_log(engine: Engine) -> None:
    source = program(HEAD, "(call $warn (i32.const 1024) (i32.const 12))")
    async with serving_program(engine, source) as script:
        await script.reply()
        await eventually(lambda: script.lines)
        assert script.lines == [("stderr", "Content-Type")]


async def test_a_program_that_ends_itself_well_has_not_failed(engine: Engine) -> None:
    async with serving_program(engine, program(HEAD, b"done", exiting(0))) as script:
        assert await script.reply() == (200, b"done")
        assert (script.pool.stats.calls, script.pool.stats.failures) == (1, 0)


async def test_in_any_other_call_a_guest_that_ends_itself_has_failed(engine: Engine) -> None:
    async with serving_program(engine, program(exiting(0))) as script:
        with pytest.raises(Trap, match="exit status 0"):
            await script.pool.call("wasi:cli/run@0.2.0", "run", [], context=CallContext())
        assert (script.pool.stats.calls, script.pool.stats.failures) == (1, 1)


@pytest.mark.parametrize("status", [1, 3, 255, 4711])
async def test_a_program_that_fails_without_a_reply_is_a_502_with_its_exit_status(
    engine: Engine, status: int
) -> None:
    async with serving_program(engine, program(exiting(status))) as script:
        answered, body = await script.reply()
        assert answered == 502 and f"exit status {min(status, 255)} after 0 bytes" in body.decode()
        assert script.pool.stats.failures == 1


async def test_a_program_that_fails_after_its_reply_has_replied(engine: Engine) -> None:
    async with serving_program(engine, program(HEAD, b"done", exiting(1))) as script:
        assert await script.reply() == (200, b"done")


async def test_a_trap_before_the_reply_is_a_trap_and_one_after_it_breaks_the_body_off(engine: Engine) -> None:
    async with serving_program(engine, program(b"Content-Type: a/b\n", TRAP)) as script:
        with pytest.raises(Trap, match="unreachable"):
            await script.ask()
    async with serving_program(engine, program(HEAD, b"some", TRAP)) as script:
        response = await script.ask()
        with pytest.raises(Trap, match="unreachable"):
            await whole(response)
        await eventually(lambda: script.pool.stats.running == 0)


@pytest.mark.parametrize("steps", [[SPIN], [SLEEP.format(ns=FOREVER_NS)], [b"Content-Type: a/b\n", SPIN]])
async def test_a_program_that_never_answers_is_out_of_time(engine: Engine, steps: list[Any]) -> None:
    async with serving_program(engine, program(*steps)) as script:
        with pytest.raises(DeadlineExceeded, match="did not answer within 50 ms"):
            await script.ask(timeout_ms=50)
        await eventually(lambda: script.pool.stats.running == 0)


async def test_a_program_that_does_not_go_on_is_out_of_time(engine: Engine) -> None:
    async with serving_program(engine, program(HEAD, b"some", SLEEP.format(ns=FOREVER_NS))) as script:
        response = await script.ask(timeout_ms=50)
        with pytest.raises(DeadlineExceeded, match="did not go on"):
            await whole(response)
        await eventually(lambda: script.pool.stats.running == 0)


async def test_a_slow_reader_costs_the_program_none_of_its_time(engine: Engine) -> None:
    async with serving_program(engine, program(HEAD, ECHO)) as script:
        response = await script.ask(method="POST", body=bytes(MIB), timeout_ms=100)
        until = time.monotonic() + 0.3
        await eventually(lambda: time.monotonic() > until)
        assert len(await whole(response)) == MIB


async def test_programs_have_the_limits_of_their_component(engine: Engine) -> None:
    async with serving_program(engine, program(SPIN), Limits(fuel_max=100_000)) as script:
        with pytest.raises(LimitExceeded, match="fuel_max 100000"):
            await script.ask()
    limits = Limits(max_instances=1, queue_max=0)
    async with serving_program(engine, program(SLEEP.format(ns=FOREVER_NS)), limits) as script:
        first = asyncio.ensure_future(script.ask())
        await eventually(lambda: script.pool.stats.running == 1)
        with pytest.raises(Overloaded):
            await script.ask()
        first.cancel()
        await asyncio.wait([first])


async def test_closing_the_pool_ends_a_program_and_its_reply(engine: Engine) -> None:
    async with serving_program(engine, program(HEAD, b"some", SLEEP.format(ns=FOREVER_NS))) as script:
        response = await script.ask()
        assert await anext(aiter(response.body)) == b"some"
        closing = asyncio.ensure_future(script.pool.close())
        with pytest.raises(CallCancelled):
            await whole(response)
        await closing


# -- as tools build them -------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
async def test_a_wsgi_application_is_served_by_the_standard_librarys_cgi_handler() -> None:
    engine = Engine(cache_dir=CACHE_DIR, threads=2, instances_max=SLOTS)
    async with engine, serving_program(engine, build_program_guest(), env={"GREETING": "hello"}) as script:
        for body in (b"12345", b""):
            response = await script.ask(
                "/x?q=1",
                method="POST",
                headers=[("x-asked", b"me"), ("content-length", b"%d" % len(body))],
                body=body,
            )
            assert (response.status, dict(response.headers)["X-Greeting"]) == (201, b"hello")
            assert await whole(response) == b"POST q=1 me " + body
        await eventually(lambda: ("stderr", "asked for /x") in script.lines)
