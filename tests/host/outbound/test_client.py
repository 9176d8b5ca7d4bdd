"""What a component sends arrives as it was said, and what comes back is what was answered."""

from __future__ import annotations

import asyncio
import gzip
import socket

import pytest
from outbound_servers import Answers, Asking, Body, Server, asking, head, ok, read, serving

from lath.testing import eventually
from lath_host.engine.http.messages import HttpFailure
from lath_host.outbound.transport import CONNECTIONS_PER_TARGET_MAX
from lath_host.outbound.ways import WaysOut

pytestmark = pytest.mark.timeout(60)

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def sent(server: Server) -> list[str]:
    """The lines of the one request that came."""
    (request,) = server.requests
    return request.removesuffix("\r\n\r\n").split("\r\n")


async def test_a_request_is_sent_as_the_guest_said_it_and_nothing_is_added() -> None:
    async with serving(ok(b"hello", "X-Answer: 1")) as server, asking(server.origin) as component:
        response = await component.ask(
            server.origin + "/a%20b//../c?d=%zz&e", headers={"X-Asked": b"\xc3\xa9", "two": b""}
        )
        assert response.status == 200 and ("X-Answer", b"1") in response.headers
        assert await read(response) == b"hello"
    assert sent(server) == [
        "GET /a%20b//../c?d=%zz&e HTTP/1.1", f"Host: 127.0.0.1:{server.port}", "X-Asked: Ã©", "two: ",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "line"),
    [("", "GET / HTTP/1.1"), ("?a=b", "GET /?a=b HTTP/1.1"), ("//evil/x", "GET //evil/x HTTP/1.1")],
)
async def test_a_path_is_a_path_whatever_it_looks_like(path: str, line: str) -> None:
    async with serving(ok()) as server, asking(server.origin) as component:
        response = await component.ask(server.origin, path_with_query=path)
        await read(response)
    assert sent(server)[0] == line


@pytest.mark.parametrize(
    "path", ["@evil", ".evil", ":81/", "\\evil", "/a b", "/a\r\nx: y", "/a\tb", "/é", "/a#b", "*"]
)
async def test_what_is_no_path_is_refused(path: str) -> None:
    async with serving(ok()) as server, asking("*", server.origin) as component:
        assert await component.failure(server.origin, path_with_query=path) == "HTTP-request-URI-invalid"
    assert server.connections == 0


@pytest.mark.parametrize("value", [b"1\r\nx: y", b"1\ny", b"\0", b"\x7f"])
async def test_a_header_cannot_bring_in_another(value: bytes) -> None:
    async with serving(ok()) as server, asking(server.origin) as component:
        assert await component.failure(server.origin, headers={"a": value}) == "internal-error"
    assert server.requests == []


async def test_a_header_that_cannot_be_sent_is_named() -> None:
    async with serving(ok()) as server, asking(server.origin) as component:
        code = await component.error_code(server.origin, headers={"x-name": b"\xff"})
    assert code == {"internal-error": "the header x-name is not UTF-8, which cannot be sent"}


async def test_the_header_of_a_response_comes_byte_for_byte() -> None:
    reply = ok(b"", "X-Bytes: \xff\xe9", "Set-Cookie: a=1", "set-cookie: b=2", "Content-Type: x")
    async with serving(reply) as server, asking(server.origin) as component:
        response = await component.ask(server.origin)
        await read(response)
        await read(await component.ask(server.origin))
    assert response.headers == [
        ("X-Bytes", b"\xff\xe9"), ("Set-Cookie", b"a=1"), ("set-cookie", b"b=2"), ("Content-Type", b"x"),
        ("content-length", b"0"),
    ]  # fmt: skip
    assert all("ookie" not in request for request in server.requests)


async def test_what_is_compressed_stays_so() -> None:
    packed = gzip.compress(b"hello")
    async with serving(ok(packed, "content-encoding: gzip")) as server, asking(server.origin) as component:
        assert await read(await component.ask(server.origin)) == packed
    assert "ncoding" not in server.requests[0]


@pytest.mark.parametrize(
    ("method", "reply", "body"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", b""),
        (
            "GET",
            CHUNKED + b"2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            b"abc",
        ),
        (
            "GET",
            CHUNKED + b"1\r\na\r\n0\r\nx-late: 1\r\n\r\n",
            b"a",
        ),
        ("GET", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + ok(b"abc"), b"abc"),
        ("PROPFIND", ok(b"abc"), b"abc"),
        ("DELETE", ok(b"abc"), b"abc"),
    ],
)
async def test_a_response_ends_where_its_header_says_and_the_connection_serves_the_next(
    method: str, reply: bytes, body: bytes
) -> None:
    async with serving(reply) as server, asking(server.origin) as component:
        for _ in range(2):
            async with asyncio.timeout(5):
                assert await read(await component.ask(server.origin, method)) == body
        assert server.connections == 1
        assert server.requests[0].startswith(method + " ")


async def test_a_response_without_a_length_ends_with_its_connection() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nall of it")

    async with serving(answer) as server, asking(server.origin) as component:
        assert await component.text(server.origin) == "all of it"


async def test_redirects_are_the_guests_to_follow() -> None:
    async with serving(ok(b"secret")) as inner:
        reply = b"HTTP/1.1 302 Found\r\nlocation: %s/\r\ncontent-length: 0\r\n\r\n" % inner.origin.encode()
        async with serving(reply) as outer, asking(outer.origin) as component:
            response = await component.ask(outer.origin)
            assert response.status == 302 and ("location", inner.origin.encode() + b"/") in response.headers
            assert await component.failure(inner.origin) == "HTTP-request-denied"
        assert inner.connections == 0


async def test_a_connection_is_reused_by_its_component_and_by_no_other() -> None:
    async with serving(ok()) as server:
        ways = WaysOut()
        async with asking(server.origin, ways=ways) as one, asking(server.origin, ways=ways) as other:
            for component in (one, one, other):
                await component.text(server.origin)
        assert (server.connections, len(server.requests)) == (2, 3)


async def test_a_connection_that_the_server_has_closed_meanwhile_costs_a_get_nothing() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(ok(b"again"))
        await head(reader)  # the next request finds the connection closed

    async with serving(once) as server, asking(server.origin) as component:
        assert await component.text(server.origin) == "again"
        assert await component.text(server.origin) == "again"
        assert await component.failure(server.origin, "POST", body=Body([b"once"])) == "connection-terminated"
        assert server.connections == 2


async def test_a_response_that_nobody_asked_for_is_nobodys_answer() -> None:
    unasked = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(ok(b"answer"))
        await unasked.wait()
        writer.write(ok(b"unasked"))
        await head(reader)

    async with serving(answer) as server, asking(server.origin) as component:
        assert await component.text(server.origin) == "answer"
        assert component.waiting() == [False]
        unasked.set()
        await eventually(lambda: component.waiting() == [True])
        assert await component.text(server.origin) == "answer"
        assert server.connections == 2


async def test_a_name_that_was_given_is_asked_by_that_name() -> None:
    ways = WaysOut(resolver=Answers(db_test=["127.0.0.1"]))
    async with serving(ok(b"by name")) as server:
        patterns = (f"db.test:{server.port}", f"127.0.0.1:{server.port}")
        async with asking(*patterns, ways=ways) as component:
            assert await component.text(f"http://DB.test.:{server.port}/") == "by name"
    assert sent(server)[1] == f"Host: db.test:{server.port}"


async def test_localhost_is_the_machine_itself_and_is_not_looked_up() -> None:
    ways = WaysOut(resolver=Answers())
    async with serving(ok(b"here")) as server, asking(f"localhost:{server.port}", ways=ways) as component:
        assert await component.text(f"http://localhost:{server.port}/") == "here"


async def test_a_guest_that_wants_no_answer_any_more_closes_the_connection() -> None:
    gone = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        assert await reader.read() == b""
        gone.set()

    async with serving(hang) as server, asking(server.origin) as component:
        asked = asyncio.create_task(component.ask(server.origin))
        await eventually(lambda: server.connections == 1)
        asked.cancel()
        async with asyncio.timeout(5):
            await gone.wait()


async def test_a_guest_that_wants_no_more_of_a_body_closes_the_connection() -> None:
    gone = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345")
        assert await reader.read() == b""
        gone.set()

    async with serving(hang) as server, asking(server.origin) as component:
        response = await component.ask(server.origin)
        assert response.body is not None and await anext(response.body) == b"12345"
        await response.body.aclose()
        async with asyncio.timeout(5):
            await gone.wait()


@pytest.mark.parametrize(
    ("headers", "body", "failure"),
    [
        ({"content-length": b"5"}, None, "HTTP-request-body-size"),
        ({"content-length": b"+3"}, [b"abc"], "HTTP-request-body-size"),
        ({"content-length": b"3, 3"}, [b"abc"], "HTTP-request-body-size"),
        ({"content-length": b"3", "Content-Length": b"4"}, [b"abc"], "HTTP-request-body-size"),
    ],
)
async def test_a_request_that_says_another_length_than_it_has_is_not_sent(
    headers: dict[str, bytes], body: list[bytes] | None, failure: str
) -> None:
    async with serving(ok()) as server, asking(server.origin) as component:
        given = Body(body) if body is not None else None
        assert await component.failure(server.origin, "POST", headers, body=given) == failure
    assert server.connections == 0


async def test_nobody_gets_a_way_through() -> None:
    async with serving(ok()) as server, asking(server.origin) as component:
        for method in ("CONNECT", "connect"):
            assert await component.failure(server.origin, method) == "HTTP-request-method-invalid"
    assert server.connections == 0


async def test_a_server_that_changes_the_protocol_is_left() -> None:
    reply = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nraw"
    async with serving(reply) as server, asking(server.origin) as component:
        assert await component.failure(server.origin) == "HTTP-upgrade-failed"


async def test_a_closed_client_has_closed_its_connections() -> None:
    gone = asyncio.Event()

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(ok(b"x"))
        assert await reader.read() == b""
        gone.set()

    async with serving(keep) as server:
        async with asking(server.origin) as component:
            await component.text(server.origin)
        async with asyncio.timeout(5):
            await gone.wait()


async def test_a_host_without_a_client_says_what_to_install() -> None:
    ways = WaysOut()
    ways.installed = False
    async with asking("*", ways=ways) as component:
        for _ in range(2):
            code = await component.error_code("http://example.com")
            assert "lath[http]" in code["internal-error"]


async def test_a_server_may_answer_before_it_has_read_the_request() -> None:
    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(ok(b"no, thanks", "connection: close"))

    body = Body([b"x" * 65536] * 1000)
    async with serving(early) as server, asking(server.origin) as component:
        response = await component.ask(server.origin, "POST", body=body)
        assert await read(response) == b"no, thanks"
        await eventually(lambda: body.closed)
    assert body.given < 1000 * 65536


async def test_a_body_that_the_guest_breaks_off_is_never_whole_for_the_server() -> None:
    came = asyncio.get_running_loop().create_future()

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        came.set_result(await reader.read())

    broken = HttpFailure("internal-error", "the guest dropped it")
    async with serving(keep) as server, asking(server.origin) as component:
        code = await component.error_code(server.origin, "POST", body=Body([b"abc"], broken))
        assert code == broken.code
        async with asyncio.timeout(5):
            assert await came == b"3\r\nabc\r\n"


async def test_requests_that_are_given_up_at_any_moment_leave_no_connection_behind() -> None:
    open_now = [0]

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now[0] += 1
        try:
            while said := await head(reader):
                if said.startswith("POST"):
                    await reader.readuntil(b"0\r\n\r\n")
                writer.write(CHUNKED)
                for _ in range(4):
                    writer.write(b"1000\r\n" + bytes(4096) + b"\r\n")
                    await writer.drain()
                    await asyncio.sleep(0)
                writer.write(b"0\r\n\r\n")
        finally:
            open_now[0] -= 1

    async def give_up(component: Asking, turns: int) -> None:
        body = Body([b"a" * 4096] * 4) if turns % 2 else None
        work = asyncio.create_task(component.text(server.origin, "POST" if body else "GET", body=body))
        for _ in range(turns):
            await asyncio.sleep(0)
        work.cancel()
        await asyncio.wait([work])

    async with serving(echo) as server, asking(server.origin) as component:
        for _ in range(4):
            await asyncio.gather(*(give_up(component, turns) for turns in range(CONNECTIONS_PER_TARGET_MAX)))
        texts = [component.text(server.origin) for _ in range(CONNECTIONS_PER_TARGET_MAX)]
        assert {len(text) for text in await asyncio.gather(*texts)} == {4 * 4096}
        await eventually(lambda: open_now[0] <= CONNECTIONS_PER_TARGET_MAX)
    await eventually(lambda: open_now[0] == 0)


async def test_a_body_is_sent_once_whatever_becomes_of_it() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        await reader.readuntil(b"0\r\n\r\n")

    async with serving(hang_up) as server, asking(server.origin) as component:
        failure = await component.failure(server.origin, "PUT", body=Body([b"abc"]))
        assert (failure, server.connections) == ("connection-terminated", 1)


async def test_an_address_of_ipv6_is_reached_by_its_literal() -> None:
    if not _has_ipv6():
        pytest.skip("this machine has no loopback over IPv6")
    async with serving(ok(b"six"), host="::1") as server, asking(f"[0::1]:{server.port}") as component:
        assert await component.text(f"http://[::1]:{server.port}/") == "six"
    assert sent(server)[1] == f"Host: [::1]:{server.port}"


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False
