"""The keeper: handles cross as numbers, what needs no answer is put off, and nothing else changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from engine_components import echo
from http_components import ANSWER, ECHO, HELLO, serving
from http_served import Served, chunks, serving_pool, whole

from lath.codec import ComponentHandle
from lath.errors import LimitExceeded, Trap
from lath.testing import eventually
from lath.wit.types import Primitive
from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.compose.deferrable import OWN_NUMBERS
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext
from lath_host.engine.values import Local

REUSE = Limits(reuse=True, max_instances=1)
END = """
    (call $end (local.get $body) (local.get $sink))"""
MANY = 1_000
"""More than is put off before the host is asked."""
SPIN = """
    (local.set $at (i32.const 200000000))
    (loop $again
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (br_if $again (local.get $at)))"""
"""Computes for longer than a slice on the loop."""


def times(count: int, code: str) -> str:
    return f"""
    (local.set $at (i32.const {count}))
    (loop $each
      {code}
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (br_if $each (local.get $at)))"""


def says(condition: str) -> bytes:
    """A component that answers where `condition` is 1, and traps where it is not."""
    return serving(f"(if (i32.eqz {condition}) (then (unreachable))){ANSWER}{END}")


def held(web: Served) -> int:
    """How many objects of the host's the guests of a pool hold."""
    return sum(len(guest.handles.local) for guest in web.pool._linkage.guests.values())


@pytest.fixture(params=["keeper", "none"])
def either(request: pytest.FixtureRequest, engine: Engine, plain: Engine) -> Engine:
    return engine if request.param == "keeper" else plain


async def test_components_of_http_have_a_keeper_and_others_none(
    engine: Engine, plain: Engine, python_web: CompiledComponent
) -> None:
    assert (await engine.compile(HELLO)).has_keeper
    assert python_web.has_keeper
    assert not (await engine.compile(echo(Primitive("string")))).has_keeper
    assert not (await plain.compile(HELLO)).has_keeper


async def test_what_a_component_says_of_itself_is_the_same_with_a_keeper(
    engine: Engine, plain: Engine
) -> None:
    kept, bare = await engine.compile(HELLO), await plain.compile(HELLO)
    assert kept.world == bare.world
    assert kept.aliased_resources == bare.aliased_resources


async def test_what_an_export_beside_the_handler_drops_the_host_hears_of(either: Engine) -> None:
    beside = (
        HELLO.rstrip()[:-1]
        + b"""
  (core module $more
    (import "host" "fields" (func $fields (result i32)))
    (import "host" "drop-fields" (func $drop (param i32)))
    (global $kept (mut i32) (i32.const 0))
    (func (export "more") (result i32) (global.set $kept (call $fields)) (i32.const 7))
    (func (export "less") (call $drop (global.get $kept))))
  (core instance $more-here (instantiate $more (with "host" (instance
    (export "fields" (func $fields)) (export "drop-fields" (func $drop-fields))))))
  (func $more-func (result u32) (canon lift (core func $more-here "more")))
  (func $less-func (canon lift (core func $more-here "less")))
  (export "more" (func $more-func))
  (export "less" (func $less-func)))"""
    )
    async with serving_pool(either, await either.compile(beside), REUSE) as web:
        assert await web.pool.call("", "more", [], context=CallContext()) == 7
        await eventually(lambda: held(web) == 1)
        await web.pool.call("", "less", [], context=CallContext())
        await eventually(lambda: held(web) == 0)
        assert await web.text() == "hello"
        await eventually(lambda: held(web) == 0)


async def test_a_slot_has_room_for_a_guest_with_its_keeper_and_its_bridge() -> None:
    instances = 4
    in_bulk = (
        ECHO.rstrip()[:-1]
        + b"""
  (core module $size (func (export "size") (param i32 i32) (result i32) (local.get 1)))
  (core instance $size-here (instantiate $size))
  (func $size-func (param "data" (list u8)) (result u32)
    (canon lift (core func $size-here "size") (memory $memory) (realloc $realloc)))
  (export "size" (func $size-func)))"""
    )
    come = asyncio.Event()

    async def later() -> AsyncIterator[bytes]:
        await come.wait()
        yield b"echo"

    async with Engine(threads=1, instances_max=instances) as small:
        compiled = await small.compile(in_bulk)
        assert compiled.has_keeper and compiled.twin("export", "", "size")
        async with serving_pool(small, compiled, Limits(max_instances=instances)) as web:
            asked = [asyncio.ensure_future(web.text(method="POST", body=later())) for _ in range(instances)]
            await eventually(lambda: web.pool.stats.running == instances)
            come.set()
            assert await asyncio.gather(*asked) == ["echo"] * instances


async def test_what_a_destructor_drops_the_host_hears_of(either: Engine) -> None:
    owning = (
        HELLO.rstrip()[:-1]
        + b"""
  (core module $end
    (import "host" "drop-fields" (func $drop (param i32)))
    (func (export "destroy") (param i32) (call $drop (local.get 0))))
  (core instance $end-here (instantiate $end (with "host" (instance
    (export "drop-fields" (func $drop-fields))))))
  (type $thing (resource (rep i32) (dtor (core func $end-here "destroy"))))
  (core func $new (canon resource.new $thing))
  (core module $begin
    (import "host" "fields" (func $fields (result i32)))
    (import "host" "new" (func $new (param i32) (result i32)))
    (func (export "make") (result i32) (call $new (call $fields))))
  (core instance $begin-here (instantiate $begin (with "host" (instance
    (export "fields" (func $fields)) (export "new" (func $new))))))
  (func $make-f (result (own $thing)) (canon lift (core func $begin-here "make")))
  (component $shape
    (import "thing" (type $thing (sub resource)))
    (import "make" (func $make (result (own $thing))))
    (export $t "thing" (type $thing))
    (export "make" (func $make) (func (result (own $t)))))
  (instance $things (instantiate $shape (with "thing" (type $thing)) (with "make" (func $make-f))))
  (export "lath:test/things@1.0.0" (instance $things)))"""
    )
    async with serving_pool(either, await either.compile(owning), REUSE) as web:
        thing = await web.pool.call("lath:test/things@1.0.0", "make", [], context=CallContext())
        await eventually(lambda: held(web) == 1)
        web.pool.release([ComponentHandle.parse(thing.data).token])
        await eventually(lambda: held(web) == 0)
        assert len(web.pool._linkage.guests) == 1


async def test_what_settles_takes_nothing_from_the_fuel_of_its_call(either: Engine) -> None:
    steps = 100_000
    beside = (
        HELLO.rstrip()[:-1]
        + f"""
  (core module $more
    (import "host" "fields" (func $fields (result i32)))
    (import "host" "drop-fields" (func $drop (param i32)))
    (func (export "more") (local $at i32)
      (call $drop (call $fields)){times(steps, "")}))
  (core instance $more-here (instantiate $more (with "host" (instance
    (export "fields" (func $fields)) (export "drop-fields" (func $drop-fields))))))
  (func $more-func (canon lift (core func $more-here "more")))
  (export "more" (func $more-func)))""".encode()
    )
    async with serving_pool(either, await either.compile(beside), Limits(fuel_max=10 * steps)) as web:
        await web.pool.call("", "more", [], context=CallContext())
        assert web.pool.usage.fuel > steps


async def test_no_object_is_left_after_a_request(either: Engine) -> None:
    async with serving_pool(either, await either.compile(HELLO), REUSE) as web:
        for _ in range(3):
            assert await web.text() == "hello"
            await eventually(lambda: held(web) == 0)


async def test_what_a_guest_drops_last_the_host_hears_of_at_the_end(either: Engine) -> None:
    last = serving(f"""{ANSWER}{END}
    (call $drop-input (call $source (local.get $request)))
    (call $drop-request (local.get $request))""")
    closed = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"more"
        finally:
            closed.set()

    async with serving_pool(either, await either.compile(last), REUSE) as web:
        unread = body()
        assert await whole(await web.ask(method="POST", body=unread)) == b""
        await eventually(lambda: held(web) == 1)  # the body, which is not dropped
        await unread.aclose()


async def test_more_is_put_off_than_the_log_takes(either: Engine) -> None:
    source = serving(f"""
    {times(MANY, "(call $drop-fields (call $fields))")}
    {times(MANY, "(call $drop-response (call $response (call $fields)))")}
    {ANSWER}{END}
    (call $drop-request (local.get $request))""")
    async with serving_pool(either, await either.compile(source), REUSE) as web:
        for _ in range(2):
            assert await web.text() == ""
            await eventually(lambda: held(web) == 0)


async def test_more_handles_are_dropped_at_once_than_the_log_takes(either: Engine) -> None:
    """They are made one by one, kept, and dropped without a call in between."""
    source = serving(f"""
    (local.set $size (i32.const 131072))
    {
        times(
            6_000,
            "(i32.store (local.get $size) (call $fields)) "
            "(local.set $size (i32.add (local.get $size) (i32.const 4)))",
        )
    }
    {
        times(
            6_000,
            "(local.set $size (i32.sub (local.get $size) (i32.const 4))) "
            "(call $drop-fields (i32.load (local.get $size)))",
        )
    }
    {ANSWER}{END}
    (call $drop-request (local.get $request))""")
    async with serving_pool(either, await either.compile(source), REUSE) as web:
        assert await web.text() == ""
        await eventually(lambda: held(web) == 0)


RESPONSE = "(local.set $size (call $response (call $fields)))"
OF_SIZE = "(local.get $size) (i32.const 0)"
FAILED = "(i32.load8_u (i32.const 0))"


async def test_the_body_of_a_message_is_given_once(either: Engine) -> None:
    twice = says(f"(block (result i32) {RESPONSE} (call $body {OF_SIZE}) (call $body {OF_SIZE}) {FAILED})")
    async with serving_pool(either, await either.compile(twice)) as web:
        assert await web.text() == ""


async def test_of_two_messages_each_gives_its_body_once(either: Engine) -> None:
    other = "(local.set $room (call $response (call $fields)))"
    of_room = "(local.get $room) (i32.const 0)"
    interleaved = says(f"""(block (result i32) {RESPONSE} {other}
      (call $body {OF_SIZE}) (if {FAILED} (then (unreachable)))
      (call $body {of_room}) (if {FAILED} (then (unreachable)))
      (call $body {OF_SIZE}) (if (i32.eqz {FAILED}) (then (unreachable)))
      (call $body {of_room}) {FAILED})""")
    async with serving_pool(either, await either.compile(interleaved)) as web:
        assert await web.text() == ""


async def test_the_stream_of_a_body_is_given_once(either: Engine) -> None:
    twice = says(f"""(block (result i32) {RESPONSE} (call $body {OF_SIZE})
      (local.set $room (i32.load (i32.const 4)))
      (call $write-body (local.get $room) (i32.const 0)) (if {FAILED} (then (unreachable)))
      (call $write-body (local.get $room) (i32.const 0)) {FAILED})""")
    async with serving_pool(either, await either.compile(twice)) as web:
        assert await web.text() == ""


async def test_a_request_is_consumed_once(either: Engine) -> None:
    consume = "(call $consume (local.get $request) (i32.const 0))"
    twice = says(f"(block (result i32) {consume} (if {FAILED} (then (unreachable))) {consume} {FAILED})")
    async with serving_pool(either, await either.compile(twice)) as web:
        assert await web.text(method="POST", body=chunks(b"x")) == ""


async def test_a_request_is_consumed_once_when_numbers_begin_anew(either: Engine) -> None:
    consume = "(call $consume (local.get $request) (i32.const 0))"
    twice = serving(f"""{consume} (if {FAILED} (then (unreachable)))
    {consume} (if (i32.eqz {FAILED}) (then (unreachable)))
    {ANSWER}{END}
    (call $drop-request (local.get $request))""")
    async with serving_pool(either, await either.compile(twice), REUSE) as web:
        assert await web.text() == ""
        (guest,) = web.pool._linkage.guests.values()
        guest.handles._reps = OWN_NUMBERS - 1
        for _ in range(2):
            assert await web.text() == ""


async def test_a_keeper_gives_no_number_that_still_stands_for_something(engine: Engine) -> None:
    async with serving_pool(engine, await engine.compile(HELLO), REUSE) as web:
        assert await web.text() == "hello"
        (guest,) = web.pool._linkage.guests.values()
        for number in range(100):
            guest.handles.hold_as(OWN_NUMBERS + number, Local())
        with pytest.raises(LimitExceeded, match="kept a handle while it was given"):
            await web.text()


async def test_what_must_be_dropped_first_must_be_so_when_it_is_told_later(either: Engine) -> None:
    """The host refuses a body that is finished while its stream is there, though it has heard of neither."""
    early = serving(f"""{ANSWER}
    (call $finish (local.get $body) (i32.const 0) (i32.const 0) (i32.const 0))""")
    async with serving_pool(either, await either.compile(early)) as web:
        with pytest.raises(Trap, match="before it dropped the body's stream"):
            await whole(await web.ask())


async def test_a_busy_guest_is_answered_in_its_thread(either: Engine) -> None:
    busy = serving(
        f"""{SPIN}{ANSWER}{SPIN}
    (call $blocking-write (local.get $sink) (i32.const 1024) (i32.const 5) (i32.const 0)){END}
    (call $drop-request (local.get $request))""",
        data="hello",
    )
    async with serving_pool(either, await either.compile(busy), REUSE) as web:
        for _ in range(2):
            assert await web.text() == "hello"
            await eventually(lambda: held(web) == 0)


async def test_calls_that_are_put_off_are_counted(either: Engine) -> None:
    async with serving_pool(either, await either.compile(HELLO), REUSE) as web:
        await web.text()
        used = web.pool.usage.totals()
        assert used["host_calls.wasi:http/types@0.2.3"] == 6
        assert used["host_calls.wasi:io/streams@0.2.5"] == 1
