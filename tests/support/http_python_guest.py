"""A Python component that serves HTTP, built in its tool's usual way: asyncio over the tool's own loop.

Beside that it chooses among its links, in `test:words/front`.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Final

from python_guest import build_python_guest

_WORLD: Final = """
package demo:web@0.1.0;
world app {
  import wasi:clocks/monotonic-clock@0.2.0;
  import wasi:http/outgoing-handler@0.2.0;
  import wasmcloud:bus/lattice@2.0.1;
  import test:words/echo@1.0.0;
  export wasi:http/incoming-handler@0.2.0;
  export test:words/front@1.0.0;
}
package test:words@1.0.0 {
  interface echo { say: func(text: string) -> string; }
  interface front { say: func(text: string) -> string; }
}
package wasmcloud:bus@2.0.1 {
  interface lattice {
    resource call-target-interface {
      constructor(namespace: string, %package: string, %interface: string);
    }
    set-link-name: func(name: string, interfaces: list<call-target-interface>) -> result<_, string>;
  }
}
"""
_SOURCE: Final = """
import asyncio
import time
import poll_loop
from componentize_py_types import Err, Ok
from poll_loop import PollLoop, Sink, Stream
from wit_world.imports import echo as linked, monotonic_clock, outgoing_handler, poll
from wit_world.imports.lattice import CallTargetInterface, set_link_name
from wit_world.imports.types import (
    ErrorCode_ConfigurationError, Fields, IncomingBody, OutgoingBody, OutgoingRequest, OutgoingResponse,
    Method_Other, RequestOptions, ResponseOutparam, Scheme_Http, Scheme_Https,
)

seen = 0


class IncomingHandler:
    def handle(self, request, out):
        global seen
        seen += 1
        path = request.path_with_query().partition("?")[0]
        loop = PollLoop()
        asyncio.set_event_loop(loop)
        loop.run_until_complete(globals()[path.strip("/").replace("-", "_")](request, out))


class Front:
    def say(self, text):
        try:
            set_link_name(text, [CallTargetInterface("test", "words", "echo")])
        except Err as error:
            return f"not chosen: {error.value}"
        return linked.say(text)


def begin(out, headers=(), status=200):
    response = OutgoingResponse(Fields.from_list(list(headers)))
    response.set_status_code(status)
    body = response.body()
    ResponseOutparam.set(out, Ok(response))
    return body


async def say(out, text, headers=(), status=200):
    sink = Sink(begin(out, headers, status))
    await sink.send(text.encode())
    sink.close()


async def hello(request, out):
    await say(out, "hello")


async def about(request, out):
    headers = request.headers().entries()
    say_ = f"{type(request.method()).__name__} {type(request.scheme()).__name__} {request.authority()} "
    await say(out, say_ + request.path_with_query(), headers, 418)


async def count(request, out):
    await say(out, str(seen))


async def echo(request, out):
    stream, sink = Stream(request.consume()), Sink(begin(out))
    while (chunk := await stream.next()) is not None:
        await sink.send(chunk)
    sink.close()


async def trailers(request, out):
    body = request.consume()
    with body.stream() as stream:
        stream.blocking_read(1)
    future = IncomingBody.finish(body)
    with future.subscribe() as pollable:
        pollable.block()
    came = future.get().value.value
    answer = begin(out)
    OutgoingBody.finish(answer, Fields.from_list([*came.entries(), ("x-more", b"1")]) if came else None)


async def echo_trailers(request, out):
    body = request.consume()
    answer = begin(out)
    with body.stream() as source, answer.write() as sink:
        try:
            while True:
                sink.blocking_splice(source, 1 << 20)
        except Err:
            pass
    future = IncomingBody.finish(body)
    with future.subscribe() as pollable:
        pollable.block()
    OutgoingBody.finish(answer, Fields.from_list(future.get().value.value.entries()))


async def trap(request, out):
    raise ValueError("before the head")


async def head_then_trap(request, out):
    sink = Sink(begin(out))
    await sink.send(b"so far")
    raise ValueError("after the head")


async def hang(request, out):
    time.sleep(3600)


async def hang_midway(request, out):
    sink = Sink(begin(out))
    await sink.send(b"so far")
    time.sleep(3600)


async def forget(request, out):
    pass


async def refuse(request, out):
    ResponseOutparam.set(out, Err(ErrorCode_ConfigurationError()))


async def short(request, out):
    body = begin(out, [("content-length", b"10")])
    with body.write() as stream:
        stream.blocking_write_and_flush(b"12345")
    try:
        OutgoingBody.finish(body, None)
    except Err as error:
        print("finish:", type(error.value).__name__, error.value.value)


async def flood(request, out):
    sink = Sink(begin(out))
    while True:
        await sink.send(bytes(65536))


async def race(request, out):
    order = []
    body = request.consume()
    stream = body.stream()
    bytes_come = stream.subscribe()
    times = [monotonic_clock.subscribe_duration(ms * 1_000_000) for ms in (5, 60_000)]
    order.append(poll.poll([bytes_come, *times]))
    order.append(poll.poll([times[1], bytes_come]))
    await say(out, f"{order} {stream.read(10)}")


async def fields(request, out):
    def refused(call):
        try:
            call()
        except Err as error:
            return type(error.value).__name__
        return "good"

    ours = Fields.from_list([("X-One", b"1"), ("x-one", b"2"), ("two", b"")])
    read_only = request.headers()
    await say(out, repr([
        ours.get("x-ONE"), ours.has("TWO"), ours.has("three"),
        refused(lambda: ours.append("bad name", b"")), refused(lambda: ours.append("a", b"x\\r\\ny")),
        refused(lambda: ours.set("Connection", [b"close"])), refused(lambda: ours.delete("x-one")),
        ours.entries(), refused(lambda: read_only.append("a", b"b")),
        refused(lambda: read_only.clone().append("a", b"b")),
        refused(lambda: Fields.from_list([("Host", b"x")])),
    ]))


async def toil(request, out):
    stream, sink = Stream(request.consume()), Sink(begin(out))
    while (chunk := await stream.next()) is not None:
        total = 0
        for number in range(60_000):
            total += number & 3
        await sink.send(chunk)
        await sink.send(f" {total};".encode())
    sink.close()


async def forward(request, out):
    asked = OutgoingRequest(Fields.from_list([]))
    asked.set_method(Method_Other("PROPFIND"))
    asked.set_authority("other")
    options = RequestOptions()
    options.set_connect_timeout(1_500_000_000)
    options.set_first_byte_timeout(1)
    body = asked.body()
    future = outgoing_handler.handle(asked, options)
    incoming = request.consume()
    with incoming.stream() as stream, body.write() as sink:
        try:
            while True:
                sink.blocking_splice(stream, 1 << 20)
        except Err:
            pass
    OutgoingBody.finish(body, Fields.from_list([("x-sum", b"7")]))
    with future.subscribe() as pollable:
        pollable.block()
    response = future.get().value.value
    came = response.consume()
    with came.stream() as stream:
        read = stream.blocking_read(100)
    future = IncomingBody.finish(came)
    with future.subscribe() as pollable:
        pollable.block()
    trailers = future.get().value.value
    await say(out, f"{read} {trailers.entries()}")


async def abandon(request, out):
    asked = OutgoingRequest(Fields.from_list([]))
    future = outgoing_handler.handle(asked, None)
    with future.subscribe() as pollable:
        assert not pollable.ready()
    future.__exit__(None, None, None)
    await say(out, "gone")


async def wait_for_other(request, out):
    await poll_loop.send(OutgoingRequest(Fields.from_list([])))


async def bad_requests(request, out):
    def refused(call, *value):
        try:
            call(*value)
        except Err:
            return True
        return False

    asked = OutgoingRequest(Fields.from_list([]))
    await say(out, repr([
        refused(asked.set_method, Method_Other("GE T")), refused(asked.set_authority, "user@other"),
        refused(asked.set_authority, "other/path"), refused(asked.set_path_with_query, "/a b"),
        refused(asked.set_path_with_query, "/a\\r\\nx: y"), refused(asked.set_path_with_query, "/a?b=c"),
        refused(asked.set_authority, "[::1]:80"),
    ]))


async def fetch(request, out):
    url = request.path_with_query().partition("?")[2] or "http://other:80/there"
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    asked = OutgoingRequest(Fields.from_list([("x-asked", b"1")]))
    asked.set_scheme(Scheme_Https() if scheme == "https" else Scheme_Http())
    asked.set_authority(authority)
    asked.set_path_with_query(slash + path)
    try:
        response = await poll_loop.send(asked)
    except Err as error:
        await say(out, type(error.value).__name__)
        return
    sink = Sink(begin(out, response.headers().entries(), response.status()))
    stream = Stream(response.consume())
    while (chunk := await stream.next()) is not None:
        await sink.send(chunk)
    sink.close()
"""


def _nested(name: str) -> str:
    """The text of a shipped package as one nested in another package's text."""
    text = resources.files("lath.wit").joinpath(f"wasi-{name}-0.2.0.wit").read_text()
    return re.sub(r"^(package [^;]+);(.*)$", r"\1 {\2}", text, count=1, flags=re.DOTALL)


def build_http_guest() -> bytes:
    """The component, built now or before."""
    return build_python_guest("\n".join([_WORLD, *map(_nested, ("io", "clocks", "http"))]), _SOURCE)
