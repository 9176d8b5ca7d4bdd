"""Operations that take and make streams of bytes: the same holds over the bus and within a process."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from blob_provider import BLOBSTORE, CONTAINER, PIECE_BYTES, Blobs, Container
from pytest_asyncio import fixture

from lath.bus import Bus
from lath.codec import Wire
from lath.errors import CallCancelled, DeadlineExceeded, Internal, LathError
from lath.http import HttpRequest, HttpResponse
from lath.model import LinkSelector
from lath.names import InterfaceName
from lath.provider import ByteStream, Call, Link, OpError, operation
from lath.provider import Link as SeenLink
from lath.provider.outgoing import OutgoingCalls
from lath.rpc import Caller
from lath.rpc.stream_port import StreamPort
from lath.rpc.streams import WINDOW_BYTES_MAX
from lath.streamed.serving import BEGINNING_BYTES_MAX
from lath.testing import eventually
from lath.testing.environment import ProviderEnvironment
from lath.testing.provider import ProviderTest

MIB = 1024 * 1024
GET = "[method]container.get-data"
WRITE = "[method]container.write-data"
LIST = "[method]container.list-objects"
ALL = 2**64 - 1


class Beside:
    """A provider instance as one that is built into the same host finds it (`outgoing.Nearby`)."""

    def __init__(self, test: ProviderTest, caller: Caller) -> None:
        self.caller = caller
        self.instance_id = test.instance.instance_id
        self._instance = test.instance

    def find(self, target_id: str) -> Beside:
        return self

    async def call(
        self, link: Link, interface: InterfaceName, function: str, params: list[Wire], deadline: float
    ) -> Wire:
        return await self._instance.handle_local(
            source=link.source_id, link=link.name, interface=interface, function=function, params=params,
            deadline=deadline, revision=link.revision,
        )  # fmt: skip

    async def http(self, link: Link, request: HttpRequest, deadline: float) -> HttpResponse:
        raise NotImplementedError


@dataclass
class Way:
    """One of the two ways to a provider.

    Attributes:
        test: The provider's instance.
        blobs: The provider.
        call: Calls a function of the container interface with a handle of container `c`.
        link: The link that it goes by.
    """

    test: ProviderTest
    blobs: Blobs
    call: Callable[..., Any]
    link: Any

    async def idle(self) -> None:
        """Waits until no stream is left, anywhere."""
        port = await StreamPort.of(self.test.operator)
        await eventually(lambda: port.idle, what="no stream to be left on the bus")
        watched = self.blobs.watched
        await eventually(lambda: watched.reading == watched.writing == 0, what="no stream to be left")


@fixture(params=["over the bus", "within the process"])
async def way(request: pytest.FixtureRequest, bus: Bus) -> AsyncIterator[Way]:
    blobs = Blobs()
    async with ProviderTest(bus, blobs, provider_id="blobs") as test:
        linked = await test.link(source="app")
        seen = SeenLink.of(linked.link, "app")
        async with Caller(bus, None, "app") as caller:
            nearby = Beside(test, caller) if request.param == "within the process" else None
            calls = OutgoingCalls(bus, "app", nearby)
            handle = await calls.call(seen, BLOBSTORE, "create-container", "c")

            async def call(function: str, *args: Any, timeout_ms: int = 10_000) -> Any:
                return await calls.call(seen, CONTAINER, function, handle, *args, timeout_ms=timeout_ms)

            way = Way(test, blobs, call, linked.link)
            yield way
            await way.idle()
            await calls.close()


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece


@pytest.mark.parametrize("size", [0, 1, BEGINNING_BYTES_MAX, BEGINNING_BYTES_MAX + 1, 3 * MIB])
async def test_what_is_written_is_read_again_whole_or_in_part(way: Way, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    await way.call(WRITE, "bytes", data[:size])
    await way.call(WRITE, "pieces", pieces(data[: size // 2], b"", data[size // 2 : size]))
    assert way.blobs.containers["c"] == {"bytes": data[:size], "pieces": data[:size]}
    stream = await way.call(GET, "pieces", 0, ALL)
    assert (stream.size, await stream.read()) == (size, data[:size])
    part = await way.call(GET, "bytes", 10, 19)
    assert await part.read() == data[10:20][: max(0, size - 10)]


async def test_a_small_object_is_one_message_each_way(way: Way) -> None:
    nc = way.test.operator.nc

    async def sent() -> int:
        before = nc.stats["out_msgs"]
        await way.call(WRITE, "small", b"y" * 1000)
        assert await (await way.call(GET, "small", 0, ALL)).read() == b"y" * 1000
        return nc.stats["out_msgs"] - before

    await sent()
    counts = [await sent() for _ in range(5)]  # a renewal of the presence may come between
    assert min(counts) in (0, 4), counts  # two calls and their answers, by one connection


async def test_names_come_as_they_are_read(way: Way) -> None:
    names = [f"object-{number:05}-ü" for number in range(5000)]
    way.blobs.containers["c"] = dict.fromkeys(names, b"")
    listed = await way.call(LIST)
    assert [name async for name in listed] == names
    way.blobs.containers["c"] = {}
    assert [name async for name in await way.call(LIST)] == []


async def test_a_listing_can_be_given_up(way: Way) -> None:
    way.blobs.containers["c"] = {f"{number:06}": b"" for number in range(100_000)}
    listed = await way.call(LIST)
    assert await anext(listed) == "000000"
    assert way.blobs.watched.reading == 1
    await listed.aclose()
    await eventually(lambda: way.blobs.watched.reading == 0)
    assert way.blobs.watched.pieces < 100_000


async def test_a_slow_reader_holds_up_the_provider(way: Way) -> None:
    stream = await way.call(GET, f"endless-{1 << 40}", 0, ALL)
    await anext(stream)
    for _ in range(200):
        await asyncio.sleep(0)
    await way.test.operator.flush()
    ahead_max = WINDOW_BYTES_MAX + 2 * BEGINNING_BYTES_MAX + 2 * PIECE_BYTES
    assert way.blobs.watched.pieces * PIECE_BYTES <= ahead_max
    await stream.aclose()


async def test_a_provider_that_is_slow_to_read_holds_up_the_writer(way: Way) -> None:
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            given += PIECE_BYTES
            yield bytes(PIECE_BYTES)

    writing = asyncio.create_task(way.call(WRITE, "discarded", endless()))
    watched = way.blobs.watched
    await eventually(lambda: watched.received > 4 * MIB)
    way.blobs.write_may_go_on.clear()
    for _ in range(200):
        await asyncio.sleep(0)
    await way.test.operator.flush()
    assert given - watched.received <= WINDOW_BYTES_MAX + 2 * PIECE_BYTES
    writing.cancel()
    await asyncio.wait([writing])
    way.blobs.write_may_go_on.set()
    await eventually(lambda: watched.broken)


async def test_an_error_before_the_first_piece_is_the_answer(way: Way) -> None:
    with pytest.raises(OpError, match="there is no object missing in c"):
        await way.call(GET, "missing", 0, ALL)
    del way.blobs.containers["c"]
    for function, *args in ((WRITE, "x", b"x"), (WRITE, "x", pieces(b"x")), (LIST,)):
        with pytest.raises(OpError, match="there is no container c"):
            await way.call(function, *args)


async def test_an_object_that_breaks_off_is_not_taken_for_whole(way: Way) -> None:
    for size in (100_000, 4 * MIB):
        stream = await way.call(GET, f"broken-{size}", 0, ALL)
        with pytest.raises(Internal, match="the disk is on fire"):
            await stream.read()
        assert stream.received < size


async def test_a_size_that_does_not_hold_is_an_error(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    async def three_of(size: int) -> ByteStream:
        return ByteStream(pieces(b"one", b"two", b"three"), size)

    for size in (3, 7, 12):
        monkeypatch.setattr(way.blobs, "get_data", lambda *_, size=size: three_of(size))
        stream = await way.call(GET, "x", 0, ALL)
        with pytest.raises(Internal, match="bytes"):
            await stream.read()


async def test_what_the_writer_fails_with_breaks_off_the_write_and_nothing_is_stored(way: Way) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield bytes(PIECE_BYTES)
        raise ConnectionError("the client has gone")

    with pytest.raises((ConnectionError, LathError)):
        await way.call(WRITE, "half", breaking())
    await eventually(lambda: way.blobs.watched.broken)
    assert way.blobs.containers["c"] == {}


async def test_a_write_that_its_provider_refuses_midway_ends_the_writer(way: Way) -> None:
    closed = False

    async def endless() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            while True:
                yield bytes(PIECE_BYTES)
        finally:
            closed = True

    way.blobs.refuse_after = 2 * MIB
    with pytest.raises(OpError, match="the disk is full"):
        await way.call(WRITE, "full", endless())
    await eventually(lambda: closed)


async def test_giving_up_a_write_cancels_the_operation(way: Way) -> None:
    async def waits() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    writing = asyncio.create_task(way.call(WRITE, "half", waits()))
    await eventually(lambda: way.blobs.watched.received == 1)
    writing.cancel()
    await asyncio.wait([writing])
    await eventually(lambda: way.blobs.watched.writing == 0)
    assert way.blobs.watched.broken and way.blobs.containers["c"] == {}


async def test_a_time_out_bounds_each_wait_for_the_provider_and_not_those_for_the_writer(way: Way) -> None:
    may_go_on = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"one"
        await may_go_on.wait()
        yield b"two"

    loop = asyncio.get_running_loop()
    began = loop.time()
    writing = asyncio.create_task(way.call(WRITE, "slow", slow(), timeout_ms=1_000))
    await eventually(lambda: way.blobs.watched.received == 3)
    assert 0 < way.blobs.watched.deadlines[0] <= 1_000
    await eventually(lambda: loop.time() > began + 1.2)
    assert not writing.done()
    may_go_on.set()
    await writing
    assert way.blobs.watched.deadlines[1] == math.inf
    assert way.blobs.containers["c"] == {"slow": b"onetwo"}


@pytest.mark.parametrize("received", [0, 1])
async def test_a_provider_that_hangs_amid_a_write_runs_into_the_time_out(way: Way, received: int) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            if received and way.blobs.watched.received:
                way.blobs.write_may_go_on.clear()
            yield bytes(PIECE_BYTES)

    if not received:
        way.blobs.write_may_go_on.clear()
    with pytest.raises(DeadlineExceeded):
        await way.call(WRITE, "x", endless(), timeout_ms=300)
    await eventually(lambda: way.blobs.watched.writing == 0)


async def test_an_object_that_does_not_begin_runs_into_the_time_out(way: Way) -> None:
    with pytest.raises(DeadlineExceeded):
        await way.call(GET, "hangs", 0, ALL, timeout_ms=200)


async def test_an_object_that_does_not_go_on_runs_into_the_time_out(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stalls() -> AsyncIterator[bytes]:
        yield bytes(PIECE_BYTES)
        await asyncio.Event().wait()

    async def get_data(*_: object) -> ByteStream:
        return ByteStream(stalls(), 2 * PIECE_BYTES)

    monkeypatch.setattr(way.blobs, "get_data", get_data)
    stream = await way.call(GET, "x", 0, ALL, timeout_ms=1_000)
    with pytest.raises(DeadlineExceeded, match="did not go on"):
        await stream.read()


@pytest.mark.parametrize("reading", [False, True])
async def test_a_purge_ends_the_streams_of_its_link(
    way: Way, reading: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lath.provider.slot.CALLS_GRACE_S", 0.1)
    stream = await way.call(GET, f"endless-{1 << 40}", 0, ALL)
    await anext(stream)

    async def read_on() -> None:
        while True:
            await anext(stream)

    reader = asyncio.create_task(read_on()) if reading else None
    await way.test.instance.purge(LinkSelector(), hold=True)
    await eventually(lambda: way.blobs.watched.reading == 0)
    assert way.blobs.closed_links == 1
    with pytest.raises(CallCancelled, match="was purged"):
        await (reader or read_on())


async def test_a_stream_that_has_ended_or_was_closed_lets_its_link_go(way: Way) -> None:
    slot = way.test.instance.table._slots[way.link.key]
    for name in (f"endless-{MIB}", f"broken-{MIB}", f"endless-{1 << 40}"):
        stream = await way.call(GET, name, 0, ALL)
        assert len(slot._uses) == 1
        if name == f"endless-{MIB}":
            await stream.read()
        elif name == f"broken-{MIB}":
            with pytest.raises(Internal):
                await stream.read()
        await stream.aclose()
        await eventually(lambda: not slot._uses, what="the link to be let go")


async def test_a_stopping_instance_lets_streams_end_and_a_closed_one_breaks_them_off(way: Way) -> None:
    stream = await way.call(GET, f"endless-{8 * MIB}", 0, ALL)
    await anext(stream)
    draining = asyncio.create_task(way.test.instance.drain(linger_ms=0))
    await eventually(lambda: not way.test.instance.accepting)
    assert not draining.done()
    await stream.read()
    await draining


async def test_a_closed_instance_breaks_streams_off(way: Way) -> None:
    stream = await way.call(GET, f"endless-{1 << 40}", 0, ALL)
    await anext(stream)
    await way.test.instance.close()
    with pytest.raises(LathError):
        await stream.read()


async def test_the_same_calls_are_made_in_memory() -> None:
    blobs = Blobs()
    async with ProviderEnvironment(blobs) as env:
        linked = await env.link()
        container = await linked.call(BLOBSTORE, "create-container", "c")
        await linked.call(CONTAINER, WRITE, container, "x", pieces(b"one", b"two"))
        assert await (await linked.call(CONTAINER, GET, container, "x", 1, 4)).read() == b"netw"
        assert [name async for name in await linked.call(CONTAINER, LIST, container)] == ["x"]
        stream = await linked.call(CONTAINER, GET, container, f"broken-{4 * MIB}", 0, ALL)
        with pytest.raises(Internal, match="the disk is on fire"):
            await stream.read()


async def test_a_stream_whose_reader_is_cancelled_just_as_it_begins_is_closed(bus: Bus) -> None:
    readers: list[asyncio.Task[Any]] = []

    class Late(Blobs):
        """Has its reader cancelled in the step in which it answers."""

        @operation(CONTAINER, GET)
        async def get_data(
            self, call: Call[None], container: Container, name: str, start: int, end: int
        ) -> ByteStream:
            asyncio.get_running_loop().call_soon(readers[0].cancel)
            return await super().get_data(call, container, name, start, end)

    blobs = Late()
    async with ProviderTest(bus, blobs, provider_id="blobs") as test:
        linked = await test.link(source="app")
        handle = await linked.call(BLOBSTORE, "create-container", "c")
        wire = blobs.operations["wasi", "blobstore", "container", GET].codec.params_to_wire
        readers.append(
            asyncio.create_task(
                test.instance.handle_local(
                    source="app", link="default", interface=InterfaceName.parse(CONTAINER), function=GET,
                    params=wire([handle, "endless-1000000", 0, ALL]),
                    deadline=asyncio.get_running_loop().time() + 10,
                )
            )
        )  # fmt: skip
        await asyncio.wait(readers)
        assert readers[0].cancelled()
        await eventually(lambda: test.calls_in_flight(linked.link) == 0)
        assert blobs.watched.reading == 0


async def test_a_write_that_begins_to_read_as_its_link_ends_is_ended(bus: Bus) -> None:
    gate = asyncio.Event()

    class Late(Blobs):
        """Waits before it reads."""

        @operation(CONTAINER, WRITE)
        async def write_data(
            self, call: Call[None], container: Container, name: str, data: ByteStream
        ) -> None:
            await gate.wait()
            await super().write_data(call, container, name, data)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(PIECE_BYTES)

    blobs = Late()
    async with ProviderTest(bus, blobs, provider_id="blobs") as test:
        linked = await test.link(source="app")
        handle = await linked.call(BLOBSTORE, "create-container", "c")
        writing = asyncio.create_task(linked.call(CONTAINER, WRITE, handle, "discarded", endless()))
        await eventually(lambda: test.calls_in_flight(linked.link) == 1)
        (use,) = test.instance.table._slots[linked.link.key]._uses
        await eventually(lambda: use._scope is not None)
        gate.set()
        use.end(CallCancelled("the link was closed"))
        with pytest.raises(CallCancelled, match="the link was closed"):
            await asyncio.wait_for(writing, 10)
