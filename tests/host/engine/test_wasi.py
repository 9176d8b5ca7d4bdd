"""WASI for guests: time passes, print reaches the log, and there are no files and no network."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from engine_guests import PRINTER, SLEEPER, no_imports

from lath.errors import DeadlineExceeded, LimitExceeded, Trap
from lath_host.engine import Engine
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext
from lath_host.engine.pool import InstancePool
from lath_host.engine.wasi.output import LINE_BYTES_MAX

CONTEXT = CallContext()
MS = 1_000_000


@pytest.fixture
async def sleeper(engine: Engine) -> Any:
    async with InstancePool(
        engine, await engine.compile(SLEEPER), Limits(), no_imports, name="sleeper"
    ) as pool:
        yield pool


@pytest.mark.parametrize("function", ["sleep", "sleep-until"])
async def test_a_guest_sleeps_as_long_as_it_says(sleeper: InstancePool, function: str) -> None:
    started = time.monotonic_ns()
    assert await sleeper.call("", function, [30 * MS], context=CONTEXT) == 1
    assert time.monotonic_ns() - started >= 30 * MS


async def test_a_sleeping_guest_is_not_polled_meanwhile(engine: Engine, sleeper: InstancePool) -> None:
    calls = 20
    await sleeper.start()
    before = engine.epochs.polls
    await asyncio.gather(*(sleeper.call("", "sleep", [100 * MS], context=CONTEXT) for _ in range(calls)))
    # made, begun, and gone on with after the sleep; the warm ones made meanwhile; some yielded to the clock
    assert engine.epochs.polls - before < 10 * calls


async def test_a_sleeping_guest_can_be_given_up(sleeper: InstancePool) -> None:
    with pytest.raises(DeadlineExceeded):
        await sleeper.call("", "sleep", [(1 << 64) - 1], context=CONTEXT, timeout_ms=20)
    task = asyncio.ensure_future(sleeper.call("", "sleep", [10_000 * MS], context=CONTEXT))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, stream: str, line: str) -> None:
        self.lines.append((stream, line))


async def printed(engine: Engine, *calls: tuple[str, str], reuse: bool = True) -> list[tuple[str, str]]:
    log = Log()
    compiled = await engine.compile(PRINTER)
    async with InstancePool(
        engine, compiled, Limits(reuse=reuse), no_imports, name="printer", log=log
    ) as pool:
        for function, text in calls:
            await pool.call("", function, [text], context=CONTEXT)
    await asyncio.sleep(0)
    return log.lines


async def test_lines_reach_the_log_by_stream(engine: Engine) -> None:
    lines = await printed(
        engine, ("print", "one\ntwo\n"), ("complain", "oh\n"), ("print", "thr"), ("print", "ee\r\n")
    )
    assert lines == [("stdout", "one"), ("stdout", "two"), ("stderr", "oh"), ("stdout", "three")]


async def test_a_line_that_is_not_ended_comes_with_the_end_of_the_instance(engine: Engine) -> None:
    assert await printed(engine, ("print", "last words"), reuse=False) == [("stdout", "last words")]


async def test_a_line_without_end_is_cut(engine: Engine) -> None:
    lines = await printed(engine, *[("print", "x" * 4000)] * 5)
    assert [len(line) for _, line in lines] == [LINE_BYTES_MAX, LINE_BYTES_MAX, 20_000 - 2 * LINE_BYTES_MAX]


async def test_what_is_printed_without_a_log_goes_nowhere(engine: Engine) -> None:
    compiled = await engine.compile(PRINTER)
    async with InstancePool(engine, compiled, Limits(), no_imports, name="printer") as pool:
        await pool.call("", "print", ["x\n"], context=CONTEXT)


async def test_a_guest_that_says_it_ran_out_of_memory_went_past_its_limit(engine: Engine) -> None:
    compiled = await engine.compile(PRINTER)
    async with InstancePool(engine, compiled, Limits(), no_imports, name="printer") as pool:
        with pytest.raises(LimitExceeded, match="memory_bytes_max"):
            await pool.call("", "abort", ["memory allocation of 9 bytes failed"], context=CONTEXT)
        with pytest.raises(Trap):
            await pool.call("", "abort", ["something else"], context=CONTEXT)


NETWORK = b"""
(component
  (import "wasi:sockets/network@0.2.0" (instance $network
    (export "network" (type (sub resource)))
    (type $raw (enum "unknown" "access-denied" "not-supported"))
    (export "error-code" (type (eq $raw)))))
  (alias export $network "error-code" (type $code))
  (import "wasi:sockets/tcp@0.2.0" (instance $tcp (export "tcp-socket" (type (sub resource)))))
  (alias export $tcp "tcp-socket" (type $socket))
  (import "wasi:sockets/tcp-create-socket@0.2.0" (instance $create
    (alias outer 1 $code (type $c)) (export "error-code" (type $e (eq $c)))
    (alias outer 1 $socket (type $s)) (export "tcp-socket" (type $t (eq $s)))
    (type $family (enum "ipv4" "ipv6")) (export "ip-address-family" (type $f (eq $family)))
    (export "create-tcp-socket" (func (param "address-family" $f) (result (result (own $t) (error $e)))))))
  (core module $memory (memory (export "memory") 1))
  (core instance $memory (instantiate $memory))
  (alias core export $memory "memory" (core memory $m))
  (core func $create (canon lower (func $create "create-tcp-socket") (memory $m)))
  (core module $guest
    (import "" "create" (func $create (param i32 i32)))
    (import "" "memory" (memory 1))
    (func (export "connect") (result i32)
      (call $create (i32.const 0) (i32.const 0))
      (i32.add (i32.mul (i32.load8_u (i32.const 0)) (i32.const 10)) (i32.load8_u (i32.const 4)))))
  (core instance $guest (instantiate $guest (with "" (instance
    (export "create" (func $create)) (export "memory" (memory $m))))))
  (func (export "connect") (result u32) (canon lift (core func $guest "connect"))))
"""


async def test_a_guest_has_no_network(engine: Engine) -> None:
    compiled = await engine.compile(NETWORK)
    async with InstancePool(engine, compiled, Limits(), no_imports, name="network") as pool:
        assert await pool.call("", "connect", [], context=CONTEXT) == 11  # err(access-denied)
