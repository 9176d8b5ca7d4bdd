"""The header of a CGI reply: what it becomes, and why it is refused where it is malformed."""

from __future__ import annotations

import pytest
from cgi_programs import ENVIRONMENT, HEAD, program
from cgi_served import serving_program
from http_served import whole

from lath.testing import eventually
from lath_host.engine import Engine
from lath_host.engine.cgi.reply import FIELDS_MAX, HEAD_BYTES_MAX, Malformed, end_of_head, read_reply


@pytest.mark.parametrize(
    ("head", "status", "headers"),
    [
        (b"Content-Type: text/plain\n\n", 200, [("Content-Type", b"text/plain")]),
        (
            b"content-type:text/plain \r\nX-A:\t1\r\n\r\n",
            200,
            [("content-type", b"text/plain"), ("X-A", b"1")],
        ),
        (b"Status: 404 Not Found\nContent-Type: a/b\n\n", 404, [("Content-Type", b"a/b")]),
        (b"Status:204\n\n", 204, []),
        (b"Status: 500 \n\n", 500, []),
        (b"Location: https://other/?x\n\n", 302, [("Location", b"https://other/?x")]),
        (b"Status: 303 See Other\nLocation: /here\n\n", 303, [("Location", b"/here")]),
        (b"Status: 201\nLocation: new\n\n", 201, [("Location", b"new")]),
        (b"Set-Cookie: a\nSet-Cookie: b\nStatus: 200\n\n", 200, [("Set-Cookie", b"a"), ("Set-Cookie", b"b")]),
        (b"Connection: close\nTransfer-Encoding: chunked\nStatus: 200\n\n", 200, []),
        (b"Content-Type: text/plain; x=\xfc\n\n", 200, [("Content-Type", b"text/plain; x=\xfc")]),
    ],
)
def test_a_header_is_read(head: bytes, status: int, headers: list[tuple[str, bytes]]) -> None:
    assert end_of_head(head + b"body\n\n") == len(head)
    reply = read_reply(head)
    assert (reply.status, reply.headers, reply.local) == (status, headers, "")


MALFORMED = [
    (b"", "ended after 0 bytes, without the empty line"),
    (b"hello", "ended after 5 bytes, without the empty line"),
    (b"Content-Type: text/plain", "without the empty line"),
    (b"Content-Type: text/plain\n", "without the empty line"),
    (b"\n", "none of content-type, location and status"),
    (b"\nContent-Type: text/plain\n\n", "none of content-type, location and status"),
    (b"X-A: 1\n\n", "none of content-type, location and status"),
    (b"<html>hello</html>\n\n", "the line '<html>hello</html>', which is no field"),
    (b"HTTP/1.1 200 OK\nContent-Type: a/b\n\n", "'HTTP/1.1 200 OK', which is no field"),
    (b": x\n\n", "which is no field"),
    (b"Content Type: a/b\n\n", "which is no field"),
    (b"Content-Type : a/b\n\n", "which is no field"),
    (b"Content-Type: a/b\n x=1\n\n", "which is no field"),
    (b"Content-Type: a\rSet-Cookie: b\n\n", "Content-Type has control characters"),
    (b"Content-Type: a\0b\n\n", "Content-Type has control characters"),
    (b"X\xff: a\nStatus: 200\n\n", "which is no field"),
    (b"Content-Type: a/b\ncontent-type: c/d\n\n", "content-type twice"),
    (b"Status: 200\nStatus: 404\n\n", "status twice"),
    (b"Status: 200\nContent-Length: 5\nContent-Length: 5\n\n", "content-length twice"),
    (b"Status: ok\n\n", "its status is 'ok': three digits"),
    (b"Status: 99\n\n", "three digits from 200 to 599"),
    (b"Status: 100 Continue\n\n", "three digits from 200 to 599"),
    (b"Status: 700\n\n", "three digits from 200 to 599"),
    (b"Status: 2000\n\n", "three digits from 200 to 599"),
    (b"Status:\n\n", "three digits from 200 to 599"),
    (b"Content-Type: a/b\nContent-Length: -5\n\n", "content-length is '-5'"),
    (b"Content-Type: a/b\nContent-Length: 1,2\n\n", "content-length is '1,2'"),
    (b"Content-Type: a/b\nContent-Length: " + b"9" * 40 + b"\n\n", "which is no number of bytes"),
    (b"Location: other\n\n", "its location 'other' is neither a path nor a URL"),
    (b"Location:\n\n", "its location '' is neither"),
    (b"Location: http://a b/\n\n", "is neither a path nor a URL"),
    (b"Status: 200\n" + b"A: b\n" * FIELDS_MAX + b"\n", f"has {FIELDS_MAX + 1} fields"),
    (b"X-A: " + b"a" * 50_000, "without the empty line"),
]


@pytest.mark.parametrize(("written", "reason"), MALFORMED, ids=[repr(head[:30]) for head, _ in MALFORMED])
async def test_a_malformed_reply_is_a_502_that_says_why(engine: Engine, written: bytes, reason: str) -> None:
    async with serving_program(engine, program(written)) as script:
        response = await script.ask()
        assert response.status == 502
        said = (await whole(response)).decode()
        assert said.startswith("the reply of script is malformed: ") and reason in said
        await eventually(lambda: script.pool.stats.running == 0)


async def test_a_header_without_end_is_given_up(engine: Engine) -> None:
    endless = "(loop $again (call $say (i32.const 1024) (i32.const 5)) (br $again))"
    async with serving_program(engine, program(b"A: b\n", endless)) as script:
        status, body = await script.reply()
        assert status == 502 and f"no end in the first {HEAD_BYTES_MAX} bytes" in body.decode()
        await eventually(lambda: script.pool.stats.running == 0)


def test_a_header_is_found_however_it_is_cut() -> None:
    for end in (b"\n\n", b"\r\n\r\n", b"\n\r\n"):
        whole_ = b"Status: 200" + end + b"rest"
        for first in range(len(whole_)):
            written = bytearray(whole_[:first])
            found = end_of_head(written)
            if found is None:
                written += whole_[first:]
                found = end_of_head(written, first)
            assert found == len(whole_) - 4


def test_a_header_that_is_as_large_as_it_may_be_is_read() -> None:
    head = b"Status: 200\nA: " + b"a" * (HEAD_BYTES_MAX - 17) + b"\n\n"
    assert end_of_head(head) == len(head) == HEAD_BYTES_MAX
    with pytest.raises(Malformed, match="no end"):
        end_of_head(head.replace(b"A: ", b"A: a"))


# -- local redirects -----------------------------------------------------------------------------------------

ONCE = """
  (drop (call $environ_sizes_get (i32.const 16) (i32.const 20)))
  (drop (call $environ_get (i32.const 65536) (i32.const 131072)))
  (local.set $n (i32.const 131072))
  (block $found (loop $next
    (br_if $found (i64.eq (i64.load (local.get $n)) (i64.const 0x464e495f48544150))) ;; PATH_INF
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br $next)))
  (if (i32.eq (i32.load8_u (i32.add (local.get $n) (i32.const 11))) (i32.const 97)) (then ;; /a…
"""
"""What follows, up to `))`, is for paths that begin with an a."""


async def test_a_local_redirect_is_answered_as_though_it_had_been_asked_for(engine: Engine) -> None:
    source = program(ONCE, b"Location: /there?q=2\n\n", ") (else ", HEAD, ENVIRONMENT, "))")
    async with serving_program(engine, source) as script:
        headers = [("content-type", b"a/b"), ("content-length", b"3"), ("x-kept", b"1")]
        status, body = await script.reply("/a?q=1", method="POST", headers=headers, body=b"abc")
        told = dict(line.split("=", 1) for line in body.decode().split("\0") if line)
        assert status == 200
        assert (told["REQUEST_METHOD"], told["PATH_INFO"], told["QUERY_STRING"]) == ("GET", "/there", "q=2")
        assert told["HTTP_X_KEPT"] == "1" and "CONTENT_LENGTH" not in told
        assert script.pool.stats.calls == 2


async def test_local_redirects_in_a_circle_are_a_502(engine: Engine) -> None:
    async with serving_program(engine, program(b"Location: /again\n\n")) as script:
        status, body = await script.reply()
        assert status == 502 and "leads to itself more than 10 times" in body.decode()
        await eventually(lambda: script.pool.stats.running == 0)
