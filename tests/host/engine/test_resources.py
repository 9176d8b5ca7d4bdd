"""Handles of a provider's resources: what the guest holds, lends, gives away and drops."""

from __future__ import annotations

from typing import Any

import pytest
from engine_guests import BUCKETS
from msgpack import ExtType
from resource_guests import HOLDER, HOLDER_NAME

from lath.errors import InvalidArgument, Trap, Unavailable
from lath_host.engine import Engine
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext, Import
from lath_host.engine.pool import InstancePool

CONTEXT = CallContext()


class Store:
    """Plays the provider: its handles are the names of the buckets."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, list[Any]]] = []

    async def answer(self, import_: Import, context: CallContext, params: list[Any]) -> Any:
        self.seen.append((import_.function, params))
        match import_.function:
            case "open" if params[0] == "down":
                raise Unavailable("the store is down")
            case "open" if params[0] == "odd":
                return {"ok": "not a handle"}
            case "open":
                return {"ok": ExtType(1, params[0].encode())}
            case "[method]bucket.get":
                return f"{params[0].data.decode()}/{params[1]}"
            case "size":
                return len(params[0].data)
        return None


@pytest.fixture
async def store() -> Store:
    return Store()


@pytest.fixture
async def pool(engine: Engine, store: Store) -> Any:
    compiled = await engine.compile(BUCKETS)
    async with InstancePool(engine, compiled, Limits(reuse=True), store.answer, name="buckets") as pool:
        await pool.start()
        yield pool


def handles_held(pool: InstancePool) -> int:
    return sum(len(guest.handles.held) for guest in pool._linkage.guests.values())


async def test_a_guest_opens_a_resource_calls_its_method_and_drops_it(
    pool: InstancePool, store: Store
) -> None:
    for _ in range(3):
        assert await pool.call("", "read", ["täg"], context=CONTEXT) == "täg/täg"
    bucket = ExtType(1, "täg".encode())
    assert store.seen[:2] == [("open", ["täg"]), ("[method]bucket.get", [bucket, "täg"])]
    assert handles_held(pool) == 0


async def test_an_owned_handle_given_to_the_provider_leaves_the_guest(
    pool: InstancePool, store: Store
) -> None:
    await pool.call("", "give-away", ["b"], context=CONTEXT)
    assert store.seen[-1] == ("close", [ExtType(1, b"b")])
    assert handles_held(pool) == 0


async def test_an_interface_may_use_the_resource_of_another(pool: InstancePool, store: Store) -> None:
    assert await pool.call("", "measure", ["four"], context=CONTEXT) == 4
    assert store.seen[-1] == ("size", [ExtType(1, b"four")])


async def test_a_handle_that_a_guest_keeps_is_freed_with_its_store(engine: Engine, store: Store) -> None:
    compiled = await engine.compile(BUCKETS)
    async with InstancePool(engine, compiled, Limits(reuse=True), store.answer, name="buckets") as pool:
        await pool.call("", "hoard", ["a"], context=CONTEXT)
        await pool.call("", "hoard", ["b"], context=CONTEXT)
        assert handles_held(pool) == 2
    assert handles_held(pool) == 0


async def test_handles_pass_through_exported_functions(pool: InstancePool) -> None:
    bucket = ExtType(1, b"abc")
    for _ in range(3):
        assert await pool.call("", "pass-own", [bucket], context=CONTEXT) == bucket
        assert await pool.call("", "use-own", [bucket], context=CONTEXT) == 3
        assert await pool.call("", "use-borrow", [bucket], context=CONTEXT) == 3
    assert handles_held(pool) == 0


@pytest.mark.parametrize("value", [b"abc", ExtType(2, b"abc"), None])
async def test_what_is_no_handle_is_refused(pool: InstancePool, value: Any) -> None:
    with pytest.raises(InvalidArgument, match="parameter 'bucket': expected handle of resource bucket"):
        await pool.call("", "use-own", [value], context=CONTEXT)


async def test_a_provider_that_is_down_is_told_to_the_guest(pool: InstancePool) -> None:
    with pytest.raises(Trap, match="unreachable"):  # the guest's own decision on an err
        await pool.call("", "read", ["down"], context=CONTEXT)
    assert await pool.call("", "read", ["up"], context=CONTEXT) == "up/up"


async def test_a_provider_that_answers_nonsense_is_told_to_the_guest(pool: InstancePool) -> None:
    with pytest.raises(Trap, match="unreachable"):
        await pool.call("", "read", ["odd"], context=CONTEXT)
    assert await pool.call("", "read", ["up"], context=CONTEXT) == "up/up"


@pytest.mark.parametrize("bridge", [True, False])
async def test_a_guest_lends_several_handles_in_one_call(bridge: bool) -> None:
    seen: list[Any] = []

    async def answer(import_: Import, context: CallContext, params: list[Any]) -> Any:
        if import_.function == "[constructor]counter":
            return ExtType(1, b"%d" % params[0])
        seen.append(params)
        return sum(int(handle.data) for handle in params)

    async with Engine(threads=1, bridge=bridge) as engine:
        compiled = await engine.compile(HOLDER)
        async with InstancePool(engine, compiled, Limits(), answer, name="holder") as pool:
            assert await pool.call(HOLDER_NAME, "meet", [3, 4], context=CONTEXT) == 7
    assert seen == [[ExtType(1, b"3"), ExtType(1, b"4")]]
