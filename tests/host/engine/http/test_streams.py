"""Bodies that stream through components: bounded, whole, and by the rules of `wasi:io`."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator

import pytest
from http_components import ANSWER, ECHO, HELLO, SPLICE, serving
from http_served import chunks, serving_pool, whole

from lath.errors import Trap
from lath.testing import eventually
from lath_host.engine import Engine
from lath_host.engine.limits import Limits
from lath_host.engine.wasi.bodies import PIPE_BYTES_MAX

MIB = 1 << 20
ODD_SIZES = [1, 0, 2, 3, 4095, 0, 4096, 4097, 65_537, 1, PIPE_BYTES_MAX - 1, PIPE_BYTES_MAX + 1, MIB + 1]


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize("source", [ECHO, SPLICE], ids=["echo", "splice"])
async def test_a_body_of_64_mib_streams_through_with_back_pressure(engine: Engine, source: bytes) -> None:
    piece, count = bytes(range(256)) * 1024, 256
    sent = received = ahead = warm_kib = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(count):
            sent += len(piece)
            yield piece

    async with serving_pool(engine, await engine.compile(source)) as web:
        response = await web.ask(method="POST", body=body())
        async for chunk in response.body:
            at = received % len(piece)
            assert chunk == (piece * 2)[at : at + len(chunk)]
            received += len(chunk)
            ahead = max(ahead, sent - received)
            if received < 16 * MIB:
                warm_kib = peak_kib()
        assert received == count * len(piece)
        assert ahead <= PIPE_BYTES_MAX + 2 * len(piece)
        assert peak_kib() - warm_kib < 8 * 1024
        await eventually(lambda: web.pool.usage.totals()["bytes_out"] == received)
        assert web.pool.usage.totals()["bytes_in"] == received


@pytest.mark.parametrize("bridge", [True, False])
@pytest.mark.parametrize("source", [ECHO, SPLICE], ids=["echo", "splice"])
async def test_chunks_of_every_odd_size_arrive_whole(source: bytes, bridge: bool) -> None:
    pieces = [bytes([index + 120]) * size for index, size in enumerate(ODD_SIZES)]
    async with (
        Engine(threads=2, bridge=bridge) as engine,
        serving_pool(engine, await engine.compile(source)) as web,
    ):
        response = await web.ask(method="POST", body=chunks(*pieces))
        assert await whole(response) == b"".join(pieces)


async def test_what_a_guest_writes_bit_by_bit_comes_in_larger_pieces(engine: Engine) -> None:
    written = serving(f"""{ANSWER}
    (loop $more
      (call $blocking-write (local.get $sink) (i32.const 1024) (i32.const 4096) (i32.const 0))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $at) (i32.const 256))))
    (call $end (local.get $body) (local.get $sink))""")
    async with serving_pool(engine, await engine.compile(written)) as web:
        sizes = [len(chunk) async for chunk in (await web.ask()).body]
        assert sum(sizes) == MIB
        assert 4 <= len(sizes) < 128


class Arriving:
    """A body that says what of it is there: all pieces but those that are waited for."""

    def __init__(self, *pieces: bytes | Exception, waited: bytes = b"") -> None:
        self.pieces = list(pieces)
        self.waited = waited

    def take(self) -> bytes:
        if not self.pieces or self.pieces[0] == self.waited:
            return b""
        piece = self.pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await asyncio.sleep(0)
        if not self.pieces:
            raise StopAsyncIteration
        assert self.pieces[0] == self.waited
        self.pieces.pop(0)
        return self.waited


@pytest.mark.parametrize("source", [ECHO, SPLICE], ids=["echo", "splice"])
async def test_what_has_come_is_read_at_once_and_the_rest_waited_for(engine: Engine, source: bytes) -> None:
    pieces = [b"wait", b"one", b"two", b"wait", b"wait", b"three" * 50_000]
    async with serving_pool(engine, await engine.compile(source)) as web:
        response = await web.ask(method="POST", body=Arriving(*pieces, waited=b"wait"))
        assert await whole(response) == b"".join(pieces)
        await eventually(lambda: web.pool.usage.totals()["bytes_in"] == len(b"".join(pieces)))
        broken = await web.ask(
            method="POST", body=Arriving(b"some", ConnectionResetError("the client is gone"))
        )
        assert await whole(broken) == b"some"  # these guests take any error for the end


async def test_a_request_that_nobody_reads_stops_being_fetched(engine: Engine) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield bytes(65536)

    async with serving_pool(engine, await engine.compile(ECHO)) as web:
        response = await web.ask(method="POST", body=body())
        await anext(aiter(response.body))
        await eventually(lambda: sent * 65536 > PIPE_BYTES_MAX)
        for _ in range(100):
            await asyncio.sleep(0)
        assert sent * 65536 <= PIPE_BYTES_MAX + 4 * 65536
        await response.body.aclose()
        assert web.pool.stats.running == 0


async def test_a_request_body_that_breaks_off_is_the_guests_error(engine: Engine) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"some"
        raise ConnectionResetError("the client is gone")

    async with serving_pool(engine, await engine.compile(ECHO)) as web:
        response = await web.ask(method="POST", body=body())
        assert await whole(response) == b"some"  # this guest takes any error for the end


async def test_a_component_in_text_says_hello_again_and_again(engine: Engine) -> None:
    limits = Limits(reuse=True, max_instances=1)
    async with serving_pool(engine, await engine.compile(HELLO), limits) as web:
        assert [await web.text() for _ in range(300)] == ["hello"] * 300
        await eventually(lambda: web.pool.stats.running == 0)
        await eventually(lambda: web.pool.usage.totals()["bytes_out"] == 300 * len("hello"))
        assert web.pool.usage.instances == 1
        assert [len(guest.handles.local) for guest in web.pool._linkage.guests.values()] == [0]


MISUSES = {
    "it wrote 300000 bytes where check-write permits 262144": ANSWER
    + "(call $write (local.get $sink) (i32.const 1024) (i32.const 300000) (i32.const 0))",
    "it gave 4097 bytes to a blocking write": ANSWER
    + "(call $blocking-write (local.get $sink) (i32.const 1024) (i32.const 4097) (i32.const 0))",
    "it finished an outgoing-body before it dropped the body's stream": ANSWER
    + "(call $finish (local.get $body) (i32.const 0) (i32.const 0) (i32.const 0))",
    "it dropped a handle while it still held what it had been given by it": ANSWER
    + "(drop (call $subscribe-out (local.get $sink))) (call $drop-output (local.get $sink))",
}


@pytest.mark.parametrize("message", list(MISUSES))
async def test_what_the_standard_forbids_traps(engine: Engine, message: str) -> None:
    async with serving_pool(engine, await engine.compile(serving(MISUSES[message]))) as web:
        with pytest.raises(Trap, match=message):
            await whole(await web.ask())
        assert web.pool.stats.running == 0


async def test_a_handle_that_must_not_be_dropped_yet_traps_in_a_thread_too(engine: Engine) -> None:
    toil = """
    (local.set $at (i32.const 200000000))
    (loop $more (br_if $more (local.tee $at (i32.sub (local.get $at) (i32.const 1)))))"""
    code = (
        ANSWER
        + "(drop (call $subscribe-out (local.get $sink)))"
        + toil
        + "(call $drop-output (local.get $sink))"
    )
    async with serving_pool(engine, await engine.compile(serving(code))) as web:
        with pytest.raises(Trap, match="it dropped a handle while it still held"):
            await whole(await web.ask())


async def test_a_small_response_comes_with_its_body(engine: Engine) -> None:
    async with serving_pool(engine, await engine.compile(HELLO)) as web:
        # a guest that was cut off in its first poll, on a busy machine, is read piece by piece
        answers = [await web.ask() for _ in range(20)]
        assert b"hello" in [answer.whole for answer in answers]
        assert [await whole(answer) for answer in answers] == [b"hello"] * 20


@pytest.mark.parametrize("source", [ECHO, SPLICE], ids=["echo", "splice"])
async def test_a_request_may_come_with_its_body(engine: Engine, source: bytes) -> None:
    async with serving_pool(engine, await engine.compile(source)) as web:
        assert await whole(await web.ask(method="POST", body=b"all of it")) == b"all of it"
        assert await whole(await web.ask(method="POST", body=b"")) == b""
        await eventually(lambda: web.pool.usage.totals()["bytes_in"] == len(b"all of it"))


async def test_a_body_that_is_dropped_unfinished_is_not_taken_for_whole(engine: Engine) -> None:
    guest = serving(
        ANSWER
        + """
        (call $blocking-write (local.get $sink) (i32.const 1024) (i32.const 5) (i32.const 0))
        (call $drop-output (local.get $sink)) (call $drop-body-out (local.get $body))""",
        data="hello",
    )
    async with serving_pool(engine, await engine.compile(guest)) as web:
        response = await web.ask()
        assert await anext(aiter(response.body)) == b"hello"
        with pytest.raises(Trap, match="without finishing it"):
            await anext(aiter(response.body))


async def test_a_guest_that_returns_without_finishing_its_body_is_told_of(engine: Engine) -> None:
    async with serving_pool(engine, await engine.compile(serving(ANSWER)), Limits(reuse=True)) as web:
        with pytest.raises(Trap, match="returned without finishing the body"):
            await whole(await web.ask())


REFUSES = "(call $set (local.get $out) (i32.const 1) (i32.const 3) (i32.const 0) (i64.const 0) (i32.const 0))"


@pytest.mark.parametrize(
    "code",
    [
        ANSWER,
        ANSWER + "(call $drop-output (local.get $sink)) (call $drop-body-out (local.get $body))",
        "",
        REFUSES,
    ],
    ids=["unfinished", "dropped", "unanswered", "refused"],
)
async def test_a_guest_that_returns_without_a_whole_response_counts_as_failed(
    engine: Engine, code: str
) -> None:
    async with serving_pool(engine, await engine.compile(serving(code))) as web:
        with pytest.raises(Trap):
            await whole(await web.ask())
        await eventually(lambda: web.pool.stats.running == 0)
        assert (web.pool.stats.calls, web.pool.stats.failures) == (1, 1)


async def test_a_response_that_broke_off_before_any_of_its_body_has_no_head(engine: Engine) -> None:
    async with serving_pool(engine, await engine.compile(serving(ANSWER))) as web:

        async def is_told_by_the_call() -> bool:
            try:
                response = await web.ask()
            except Trap:
                return True
            with pytest.raises(Trap):  # the guest was put aside between its head and its end
                await whole(response)
            return False

        await eventually(is_told_by_the_call)


async def test_a_writer_whose_reader_is_gone_is_cancelled(engine: Engine) -> None:
    flood = (
        ANSWER
        + """
        (loop $more
          (call $blocking-write (local.get $sink) (i32.const 1024) (i32.const 4096) (i32.const 0))
          (br $more))"""
    )
    async with serving_pool(engine, await engine.compile(serving(flood))) as web:
        response = await web.ask()
        assert not any(await anext(aiter(response.body)))
        await response.body.aclose()
        assert web.pool.stats.running == 0
