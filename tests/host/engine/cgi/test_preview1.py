"""Core modules for WASI preview 1 run as they are: what they find of the system, and what they do not."""

from __future__ import annotations

import struct
import time

import pytest
from cgi_programs import HEAD, program
from cgi_served import serving_program
from http_served import chunks
from wasmtime import wat2wasm

from lath.errors import InvalidArgument, LimitExceeded, Trap
from lath_host.engine import Engine
from lath_host.engine.features import WasmFeatures
from lath_host.engine.limits import Limits

OK, ACCES, BADF, INVAL, NOSYS, NOTDIR, NOTSOCK, NOTSUP, SPIPE = 0, 2, 8, 28, 52, 54, 57, 58, 70
MS = 1_000_000
SAY_RESULT = "(i32.store (i32.const 600) {call}) (call $say (i32.const 600) (i32.const 4))"
CLOCK, READ, WRITE = 0, 1, 2


async def results(engine: Engine, *calls: str, said: int = 0, body: bytes = b"") -> tuple[list[int], bytes]:
    """What calls return, one after the other, and `said` bytes of the memory from 700 on after them."""
    steps = [SAY_RESULT.format(call=call) for call in calls]
    show = f"(call $say (i32.const 700) (i32.const {said}))"
    async with serving_program(engine, program(HEAD, *steps, show)) as script:
        status, written = await script.reply(body=body)
    assert status == 200, written
    returned = struct.unpack_from(f"<{len(calls)}I", written)
    return list(returned), written[4 * len(calls) :]


def subscription(at: int, number: int, kind: int, what: int, time_ns: int = 0, flags: int = 0) -> str:
    """Code that writes a subscription for `poll_oneoff`."""
    return f"""
      (i64.store (i32.const {at}) (i64.const {number})) (i32.store8 (i32.const {at + 8}) (i32.const {kind}))
      (i32.store (i32.const {at + 16}) (i32.const {what}))
      (i64.store (i32.const {at + 24}) (i64.const {time_ns}))
      (i32.store16 (i32.const {at + 40}) (i32.const {flags}))
    """


async def events(engine: Engine, *subscriptions: str, body: bytes = b"") -> list[tuple[int, int, int]]:
    """The events of one `poll_oneoff`: number, error and kind of each."""
    count = f"(i32.const {len(subscriptions)})"
    poll = f"(call $poll_oneoff (i32.const 2000) (i32.const 704) {count} (i32.const 700))"
    calls = f"{' '.join(subscriptions)} {SAY_RESULT.format(call=poll)}"
    show = f"(call $say (i32.const 700) (i32.const {4 + 32 * len(subscriptions)}))"
    async with serving_program(engine, program(HEAD, calls, show)) as script:
        _, written = await script.reply(body=body)
    error, count = struct.unpack_from("<II", written)
    assert error == OK
    return [struct.unpack_from("<QHB", written, 8 + 32 * index) for index in range(count)]


# -- descriptors ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("(call $fd_prestat_get (i32.const 3) (i32.const 700))", BADF),
        ("(call $fd_prestat_get (i32.const 0) (i32.const 700))", BADF),
        ("(call $fd_seek (i32.const 1) (i64.const 0) (i32.const 0) (i32.const 700))", SPIPE),
        ("(call $fd_seek (i32.const 3) (i64.const 0) (i32.const 0) (i32.const 700))", BADF),
        ("(call $fd_sync (i32.const 1))", INVAL),
        ("(call $fd_read (i32.const 1) (i32.const 700) (i32.const 1) (i32.const 700))", BADF),
        ("(call $fd_read (i32.const 3) (i32.const 700) (i32.const 1) (i32.const 700))", BADF),
        ("(call $fd_write (i32.const 0) (i32.const 700) (i32.const 1) (i32.const 700))", BADF),
        ("(call $fd_write (i32.const -1) (i32.const 700) (i32.const 1) (i32.const 700))", BADF),
        ("(call $fd_close (i32.const 3))", BADF),
        ("(call $fd_renumber (i32.const 0) (i32.const 0))", OK),
        ("(call $fd_renumber (i32.const 1) (i32.const 2))", NOTSUP),
        ("(call $fd_renumber (i32.const 1) (i32.const 3))", BADF),
        ("(call $fd_fdstat_set_flags (i32.const 1) (i32.const 1))", OK),
        ("(call $fd_fdstat_set_flags (i32.const 0) (i32.const 4))", NOTSUP),
        (
            "(call $path_open (i32.const 3) (i32.const 0) (i32.const 700) (i32.const 1) (i32.const 0) "
            "(i64.const 0) (i64.const 0) (i32.const 0) (i32.const 700))",
            BADF,
        ),
        (
            "(call $path_open (i32.const 0) (i32.const 0) (i32.const 700) (i32.const 1) (i32.const 0) "
            "(i64.const 0) (i64.const 0) (i32.const 0) (i32.const 700))",
            NOTDIR,
        ),
        ("(call $sock_shutdown (i32.const 1) (i32.const 0))", NOTSOCK),
        ("(call $sched_yield)", OK),
        ("(call $clock_time_get (i32.const 2) (i64.const 0) (i32.const 700))", NOTSUP),
        ("(call $clock_time_get (i32.const 9) (i64.const 0) (i32.const 700))", INVAL),
        ("(call $clock_res_get (i32.const 3) (i32.const 700))", NOTSUP),
        ("(call $poll_oneoff (i32.const 700) (i32.const 800) (i32.const 0) (i32.const 900))", INVAL),
    ],
)
async def test_what_is_not_there_says_so(engine: Engine, call: str, error: int) -> None:
    assert (await results(engine, call))[0] == [error]


async def test_the_three_descriptors_are_streams(engine: Engine) -> None:
    for fd, rights in ((0, 1 << 1), (1, 1 << 6), (2, 1 << 6)):
        found, said = await results(
            engine,
            f"(call $fd_fdstat_get (i32.const {fd}) (i32.const 700))",
            f"(call $fd_filestat_get (i32.const {fd}) (i32.const 724))",
            said=88,
        )
        assert found == [OK, OK]
        assert said[0] == 0 and struct.unpack_from("<Q", said, 8)[0] & ~(1 << 27) == rights
        assert said[24:] == bytes(64)


async def test_a_descriptor_that_was_closed_is_not_there_any_more(engine: Engine) -> None:
    read = "(call $fd_read (i32.const 0) (i32.const 700) (i32.const 1) (i32.const 700))"
    close = "(call $fd_close (i32.const 0))"
    assert (await results(engine, close, read, close))[0] == [OK, BADF, BADF]


async def test_one_read_fills_several_buffers_and_the_end_is_no_bytes(engine: Engine) -> None:
    vectors = """
      (i32.store (i32.const 500) (i32.const 704)) (i32.store (i32.const 504) (i32.const 3))
      (i32.store (i32.const 508) (i32.const 0)) (i32.store (i32.const 512) (i32.const 0))
      (i32.store (i32.const 516) (i32.const 710)) (i32.store (i32.const 520) (i32.const 3))
    """
    read = "(call $fd_read (i32.const 0) (i32.const 500) (i32.const 3) (i32.const 700))"
    for calls, expected in ((1, b"\6\0\0\0abc\0\0\0def"), (2, b"\1\0\0\0gbc\0\0\0def"), (3, b"\0\0\0\0gbc")):
        steps = [vectors, *[f"(drop {read})"] * calls, "(call $say (i32.const 700) (i32.const 13))"]
        async with serving_program(engine, program(HEAD, *steps)) as script:
            _, written = await script.reply(body=b"abcdefg")
        assert written.startswith(expected)


async def test_one_write_takes_several_buffers_of_any_size(engine: Engine) -> None:
    vectors = """
      (memory.fill (i32.const 65536) (i32.const 97) (i32.const 10000))
      (i32.store (i32.const 500) (i32.const 65536)) (i32.store (i32.const 504) (i32.const 10000))
      (i32.store (i32.const 508) (i32.const 65536)) (i32.store (i32.const 512) (i32.const 0))
      (i32.store (i32.const 516) (i32.const 65536)) (i32.store (i32.const 520) (i32.const 1))
      (drop (call $fd_write (i32.const 1) (i32.const 500) (i32.const 3) (i32.const 700)))
      (call $say (i32.const 700) (i32.const 4))
    """
    async with serving_program(engine, program(HEAD, vectors)) as script:
        assert await script.reply() == (200, b"a" * 10_001 + struct.pack("<I", 10_001))


@pytest.mark.parametrize(
    "call",
    [
        "(call $fd_read (i32.const 0) (i32.const -8) (i32.const 1) (i32.const 700))",
        "(call $fd_write (i32.const 1) (i32.const 700) (i32.const 1) (i32.const -2))",
        "(call $random_get (i32.const -16) (i32.const 100))",
        "(call $environ_get (i32.const -1) (i32.const -1))",
        "(call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 0))",
    ],
)
async def test_addresses_outside_of_its_memory_trap(engine: Engine, call: str) -> None:
    vector = "(i32.store (i32.const 700) (i32.const 704)) (i32.store (i32.const 704) (i32.const 9))"
    async with serving_program(engine, program(vector, f"(drop {call})"), env={"A": "1"}) as script:
        with pytest.raises(Trap, match="out of bounds"):
            await script.ask(body=b"abc")


# -- time and chance -----------------------------------------------------------------------------------------


async def test_clocks_tell_the_time(engine: Engine) -> None:
    before = time.time_ns()
    found, said = await results(
        engine,
        "(call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 700))",
        "(call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 708))",
        "(call $clock_res_get (i32.const 0) (i32.const 716))",
        "(call $clock_res_get (i32.const 1) (i32.const 724))",
        said=32,
    )
    wall, monotonic, *resolutions = struct.unpack("<4Q", said)
    assert found == [OK] * 4
    assert before <= wall <= time.time_ns() and monotonic <= time.monotonic_ns()
    assert all(0 < each <= MS for each in resolutions)


async def test_random_bytes_are_random(engine: Engine) -> None:
    random = "(call $random_get (i32.const 700) (i32.const 32))"
    (_, first), (_, second) = [await results(engine, random, said=32) for _ in range(2)]
    assert first != second and bytes(32) not in (first, second)
    large = "(call $random_get (i32.const 65536) (i32.const 200000))"
    assert (await results(engine, large))[0] == [OK]


@pytest.mark.parametrize(("clock", "is_point"), [(0, False), (1, False), (0, True), (1, True)])
async def test_waiting_for_a_clock_takes_its_time(engine: Engine, clock: int, is_point: bool) -> None:
    now = (time.time_ns, time.monotonic_ns)[clock]()
    due = now + 40 * MS if is_point else 40 * MS
    started = time.monotonic_ns()
    assert await events(engine, subscription(2000, 7, CLOCK, clock, due, int(is_point))) == [(7, OK, CLOCK)]
    assert time.monotonic_ns() - started >= (39 if not is_point else 0) * MS
    assert (time.time_ns, time.monotonic_ns)[clock]() >= now + 39 * MS


async def test_what_is_ready_first_ends_the_wait(engine: Engine) -> None:
    hour = subscription(2048, 2, CLOCK, 1, 3600 * 1000 * MS)
    assert await events(engine, subscription(2000, 1, READ, 0), hour, body=b"abc") == [(1, OK, READ)]
    assert await events(engine, subscription(2000, 1, WRITE, 1), hour) == [(1, OK, WRITE)]
    past = subscription(2000, 1, CLOCK, 0, 1, 1)
    assert await events(engine, past, hour) == [(1, OK, CLOCK)]


@pytest.mark.parametrize(
    ("kind", "what", "error"),
    [
        (READ, 3, BADF),
        (READ, 1, BADF),
        (WRITE, 0, BADF),
        (CLOCK, 2, NOTSUP),
        (CLOCK, 9, INVAL),
        (7, 0, INVAL),
    ],
)
async def test_what_cannot_be_waited_for_is_told_at_once(
    engine: Engine, kind: int, what: int, error: int
) -> None:
    hour = subscription(2048, 2, CLOCK, 1, 3600 * 1000 * MS)
    assert await events(engine, subscription(2000, 1, kind, what), hour) == [(1, error, kind)]


# -- modules -------------------------------------------------------------------------------------------------


async def test_a_module_with_no_import_runs(engine: Engine) -> None:
    source = b'(module (memory (export "memory") 1) (func (export "_start")))'
    for form in (source, bytes(wat2wasm(source.decode()))):
        async with serving_program(engine, form) as script:
            status, body = await script.reply()
            assert status == 502 and b"it ended after 0 bytes" in body


async def test_a_module_has_the_memory_limit_of_its_component(engine: Engine) -> None:
    async with serving_program(
        engine, program(HEAD, memory_pages=600), Limits(memory_bytes_max=32 << 20)
    ) as script:
        with pytest.raises(LimitExceeded):
            await script.ask()


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ('(memory (export "memory") 1)', "exports no function '_start'"),
        ('(func (export "_start"))', "exports no memory 'memory'"),
        ('(memory (export "_start") 1)', "exports no function '_start'"),
        ('(import "env" "f" (func))', "imports f of 'env', and has only wasi_snapshot_preview1"),
        ('(import "wasi_unstable" "fd_write" (func))', "which is older than wasi_snapshot_preview1"),
        ('(import "wasi_snapshot_preview1" "fd_fly" (func))', "imports fd_fly, which wasi_snapshot_preview1"),
        ('(import "env" "memory" (memory 1))', "imports memory of 'env'"),
        ('(import "env" "g" (global i32))', "imports g of 'env'"),
        ('(import "env" "t" (table 1 2 funcref))', "imports t of 'env'"),
        (
            '(import "wasi_snapshot_preview1" "fd_write" (func)) (memory (export "memory") 1) '
            '(func (export "_start"))',
            "not a component that can run",
        ),
        ('(memory (export "memory") 1) (func (export "_start") (param i32))', "not a component that can run"),
        ('(memory (export "memory") i64 1) (func (export "_start"))', "not a component that can run"),
    ],
)
async def test_a_module_that_cannot_run_is_refused_with_the_reason(
    engine: Engine, module: str, said: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await engine.compile(f"(module {module})".encode())
    assert said in str(refused.value)


def importing(times: int) -> bytes:
    """A module that imports `proc_exit` so often, and calls the last."""
    imports = '(import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))' * times
    start = f'(func (export "_start") (call {times - 1} (i32.const 7)))'
    return f'(module {imports} (memory (export "memory") 1) {start})'.encode()


async def test_a_module_may_import_a_function_several_times(engine: Engine) -> None:
    for times in (2, 16):
        async with serving_program(engine, importing(times)) as script:
            status, body = await script.reply()
            assert status == 502 and b"exit status 7" in body
    with pytest.raises(InvalidArgument, match="imports proc_exit 17 times"):
        await engine.compile(importing(17))


async def test_a_host_without_multi_memory_refuses_modules_and_names_the_flag() -> None:
    async with Engine(threads=1, features=WasmFeatures.parse(["multi-memory=off"])) as engine:
        with pytest.raises(InvalidArgument, match="--wasm-feature multi-memory"):
            await engine.compile(program(HEAD))


async def test_a_module_that_is_cut_off_is_refused(engine: Engine) -> None:
    source = bytes(wat2wasm(program(HEAD).decode()))
    for size in (9, 30, len(source) // 2, len(source) - 1):
        with pytest.raises(InvalidArgument, match="not a component that can run"):
            await engine.compile(source[:size])


async def test_a_body_that_breaks_off_is_an_error_of_the_read(engine: Engine) -> None:
    async def broken() -> object:
        yield b"abc"
        raise ConnectionResetError("gone")

    read = "(call $fd_read (i32.const 0) (i32.const 500) (i32.const 1) (i32.const 700))"
    vector = "(i32.store (i32.const 500) (i32.const 704)) (i32.store (i32.const 504) (i32.const 9))"
    source = program(HEAD, vector, f"(drop {read})", SAY_RESULT.format(call=read))
    async with serving_program(engine, source) as script:
        assert await script.reply(body=broken()) == (200, struct.pack("<I", 29))
        assert await script.reply(body=chunks(b"abc")) == (200, struct.pack("<I", OK))
