"""The bytes bridge: `list<u8>` crosses in bulk, and nothing else changes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from bridge_components import FAR, LATE_IMPORT, NEAR, OWN_RESOURCE, STORE, VAULT, relay, with_bytes
from engine_components import echo, forward
from engine_guests import no_imports
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgpack import ExtType
from python_guest import build_python_guest
from wit_strategies import funcs, wire_params, wire_values

from lath.errors import InvalidArgument, LimitExceeded
from lath.wit.types import (
    Case,
    Field,
    Func,
    ListOf,
    OptionOf,
    Primitive,
    Record,
    ResultOf,
    TupleOf,
    Type,
    Variant,
)  # fmt: skip
from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext, Import
from lath_host.engine.pool import InstancePool
from lath_host.testing import CACHE_DIR

CONTEXT = CallContext()
REUSE = Limits(reuse=True)
BYTES = ListOf(Primitive("u8"))
STRING = Primitive("string")
VAULT_NAME = "lath:test/vault@1.0.0"
EVERY_BYTE = bytes(range(256))
ACCOUNT = Record(
    (
        Field("id", STRING),
        Field("key", BYTES),
        Field("photo", OptionOf(BYTES)),
        Field("last", ResultOf(TupleOf((BYTES, Primitive("u64"))), BYTES)),
        Field("state", Variant((Case("signed", BYTES), Case("since", Primitive("f64")), Case("open", None)))),
    )
)


class Far:
    """Answers `far.relay` with what it is told to, and remembers what it was asked."""

    def __init__(self, result: Any = None) -> None:
        self.seen: list[list[Any]] = []
        self.result = result

    async def __call__(self, import_: Import, context: CallContext, params: list[Any]) -> Any:
        assert (import_.name, import_.function) == (FAR, "relay")
        self.seen.append(params)
        return self.result


def is_bridged(compiled: CompiledComponent) -> tuple[bool, bool]:
    """Whether the export and the import of a relay are."""
    return bool(compiled.twin("export", NEAR, "relay")), bool(compiled.twin("import", FAR, "relay"))


async def relayed(engine: Engine, func: Func, params: list[Any], result: Any) -> tuple[Any, list[Any]]:
    """What a relay of the signature `func` returns, and what its import was given."""
    far = Far(result)
    compiled = await engine.compile(relay(func))
    async with InstancePool(engine, compiled, REUSE, far, name="relay") as pool:
        returned = await pool.call(NEAR, "relay", params, context=CONTEXT)
        assert returned == await pool.call(NEAR, "relay", params, context=CONTEXT)
    assert far.seen[0] == far.seen[1]
    return returned, far.seen[0]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), func=funcs())
async def test_a_random_function_with_bytes_gives_the_same_with_and_without_a_bridge(
    bridging: Engine, plain: Engine, data: Any, func: Func
) -> None:
    func = with_bytes(func, BYTES)
    params = data.draw(wire_params(func))
    result = data.draw(wire_values(func.result)) if func.result else None
    assert is_bridged(await bridging.compile(relay(func))) == (True, True)
    assert is_bridged(await plain.compile(relay(func))) == (False, False)
    expected = (result, params)
    assert await relayed(plain, func, params, result) == expected
    assert await relayed(bridging, func, params, result) == expected


@pytest.mark.parametrize("make", [echo, forward])
async def test_functions_of_the_world_itself_are_bridged_with_their_named_types(
    bridging: Engine, make: Any
) -> None:
    async def far(import_: Import, context: CallContext, params: list[Any]) -> Any:
        return params[0]

    account = {
        "id": "žluť", "key": EVERY_BYTE, "photo": b"", "last": {"ok": [b"\xff", 7]},
        "state": {"signed": b"\x80"},
    }  # fmt: skip
    other = account | {"photo": None, "last": {"err": b"\0"}, "state": {"open": None}}
    compiled = await bridging.compile(make(ACCOUNT))
    assert compiled.twin("export", "", "echo")
    async with InstancePool(bridging, compiled, REUSE, far, name="world") as pool:
        assert await pool.call("", "echo", [[account, other]], context=CONTEXT) == [account, other]


@pytest.mark.parametrize("result", [None, BYTES, Primitive("u64"), Primitive("f32")])
@pytest.mark.parametrize("strings", [7, 8, 9])
async def test_parameters_and_results_pass_directly_and_through_memory(
    either: Engine, strings: int, result: Type | None
) -> None:
    fields = [Field("data", BYTES), *(Field(f"p{n}", STRING) for n in range(strings - 1))]
    params = [EVERY_BYTE, *(f"{n} µ Ω" for n in range(strings - 1))]
    answer = {BYTES: b"\xc3\xa9", Primitive("u64"): 2**64 - 1, Primitive("f32"): 0.5}.get(result)
    func = Func(tuple(fields), result)
    assert await relayed(either, func, params, answer) == (answer, params)


@pytest.mark.parametrize(
    "text", ["", "plain", "latin-1: é ÿ \x80", "beyond: Ω €", "far beyond: 🦊", "\0", "é" * 5000 + "Ω"]
)
async def test_true_strings_beside_bytes_stay_what_they_are(either: Engine, text: str) -> None:
    func = Func((Field("data", BYTES), Field("text", STRING)), TupleOf((STRING, BYTES)))
    params, result = [EVERY_BYTE, text], [text, text.encode()]
    assert await relayed(either, func, params, result) == (result, params)


@pytest.mark.parametrize("size", [0, 1, 2, 127, 128, 65_535, 65_536, 65_537, 1 << 20, 5_000_001])
async def test_bytes_of_any_size_come_back(bridging: Engine, size: int) -> None:
    data = (EVERY_BYTE * (size // 256 + 1))[:size]
    func = Func((Field("data", BYTES),), BYTES)
    assert await relayed(bridging, func, [data], data) == (data, [data])


async def test_the_largest_payload_fits(bridging: Engine) -> None:
    data = b"\x00\xff" * (32 << 20)
    compiled = await bridging.compile(echo(Primitive("u8")))
    async with InstancePool(
        bridging, compiled, Limits(memory_bytes_max=256 << 20), no_imports, name="e"
    ) as p:
        assert await p.call("", "echo", [data], context=CONTEXT) == data


async def test_an_instance_that_is_used_again_takes_no_more_room_for_each_call(bridging: Engine) -> None:
    data = b"\xe9" * (1 << 20)
    func = Func((Field("data", BYTES),), BYTES)
    limits = Limits(reuse=True, memory_bytes_max=8 << 20, max_instances=1)
    async with InstancePool(
        bridging, await bridging.compile(relay(func)), limits, Far(data), name="r"
    ) as pool:
        for _ in range(30):
            assert await pool.call(NEAR, "relay", [data], context=CONTEXT) == data


async def test_more_than_an_instance_may_hold_fails_that_call_alone(bridging: Engine) -> None:
    limits = Limits(memory_bytes_max=2 << 20)
    compiled = await bridging.compile(echo(Primitive("u8")))
    async with InstancePool(bridging, compiled, limits, no_imports, name="small") as pool:
        with pytest.raises(LimitExceeded, match="memory_bytes_max"):
            await pool.call("", "echo", [bytes(3 << 20)], context=CONTEXT)
        assert await pool.call("", "echo", [b"\xff"], context=CONTEXT) == b"\xff"


@pytest.mark.parametrize("value", ["text", None, 5, [1, 2]])
async def test_what_is_not_bytes_is_refused_with_the_same_words(
    bridging: Engine, plain: Engine, value: Any
) -> None:
    words = []
    for engine in (bridging, plain):
        compiled = await engine.compile(echo(Primitive("u8")))
        async with InstancePool(engine, compiled, REUSE, no_imports, name="echo") as pool:
            with pytest.raises(InvalidArgument, match="expected bytes") as refused:
                await pool.call("", "echo", [value], context=CONTEXT)
            words.append(str(refused.value))
    assert words[0] == words[1]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_anything_that_holds_bytes_is_taken(either: Engine, kind: Any) -> None:
    compiled = await either.compile(echo(Primitive("u8")))
    async with InstancePool(either, compiled, REUSE, no_imports, name="echo") as pool:
        assert await pool.call("", "echo", [kind(EVERY_BYTE)], context=CONTEXT) == EVERY_BYTE


async def test_handles_of_a_provider_pass_beside_bytes(either: Engine) -> None:
    seen: list[tuple[str, list[Any]]] = []

    async def store(import_: Import, context: CallContext, params: list[Any]) -> Any:
        seen.append((import_.function, params))
        match import_.function:
            case "[method]bucket.get":
                return {"ok": None if params[1] == "none" else EVERY_BYTE}
            case "seal":
                return ExtType(1, params[1])
        return len(params[1])

    first, second = ExtType(1, b"first"), ExtType(1, b"second")
    async with InstancePool(either, await either.compile(VAULT), REUSE, store, name="vault") as pool:
        for _ in range(2):
            assert await pool.call(VAULT_NAME, "read", [first, "some"], context=CONTEXT) == {"ok": EVERY_BYTE}
            assert await pool.call(VAULT_NAME, "read", [first, "none"], context=CONTEXT) == {"ok": None}
            assert await pool.call(VAULT_NAME, "seal", [first, b"\xff"], context=CONTEXT) == ExtType(
                1, b"\xff"
            )
            assert await pool.call(VAULT_NAME, "copy", [second, EVERY_BYTE], context=CONTEXT) == 256
        assert sum(len(guest.handles.held) for guest in pool._linkage.guests.values()) == 0
    assert seen[:2] == [("[method]bucket.get", [first, "some"]), ("[method]bucket.get", [first, "none"])]
    assert seen[2:4] == [("seal", [first, b"\xff"]), ("copy", [[second], EVERY_BYTE])]


async def test_an_import_that_goes_by_a_label_is_bridged(bridging: Engine) -> None:
    links: list[str] = []

    async def store(import_: Import, context: CallContext, params: list[Any]) -> Any:
        links.append(import_.link_name)
        return {"ok": EVERY_BYTE}

    labelled = VAULT.replace(f'"{STORE}"'.encode(), f'"cold-store" (implements "{STORE}")'.encode(), 1)
    compiled = await bridging.compile(labelled)
    assert compiled.twin("import", "cold-store", "[method]bucket.get")
    async with InstancePool(bridging, compiled, REUSE, store, name="labelled") as pool:
        params = [ExtType(1, b"first"), "key"]
        assert await pool.call(VAULT_NAME, "read", params, context=CONTEXT) == {"ok": EVERY_BYTE}
    assert links == ["cold-store"]


@pytest.mark.timeout(300)
async def test_a_python_guest_takes_and_gives_bytes_over_the_bridge() -> None:
    data = EVERY_BYTE * 4096

    async def store(import_: Import, context: CallContext, params: list[Any]) -> Any:
        return b"x" * 100_000 if params[0] == "large" else None

    source = await asyncio.to_thread(build_python_guest)
    async with Engine(cache_dir=CACHE_DIR, threads=1) as engine:
        compiled = await engine.compile(source)
        assert compiled.twin("export", "demo:app/greet@0.1.0", "echo")
        assert compiled.twin("import", "demo:app/store@0.1.0", "get")
        async with InstancePool(engine, compiled, REUSE, store, name="python") as pool:
            assert await pool.call("demo:app/greet@0.1.0", "echo", [data], context=CONTEXT) == data
            assert await pool.call("demo:app/greet@0.1.0", "via", ["large"], context=CONTEXT) == "x" * 100_000
            assert await pool.call("demo:app/greet@0.1.0", "via", ["absent"], context=CONTEXT) == "none"


async def test_only_functions_that_can_be_carried_get_a_twin(bridging: Engine) -> None:
    compiled = await bridging.compile(VAULT)
    assert compiled.twin("export", VAULT_NAME, "read") and compiled.twin("export", VAULT_NAME, "seal")
    assert compiled.twin("import", STORE, "[method]bucket.get") and compiled.twin("import", STORE, "seal")
    assert compiled.twin("import", STORE, "copy")  # lends handles inside a list
    assert compiled.twin("import", STORE, "open") is None  # has no bytes


@pytest.mark.parametrize(
    ("source", "interface"), [(OWN_RESOURCE, "lath:test/things@1.0.0"), (LATE_IMPORT, "")]
)
async def test_what_a_bridge_cannot_be_built_around_works_all_the_same(
    bridging: Engine, source: bytes, interface: str
) -> None:
    async with InstancePool(bridging, await bridging.compile(source), REUSE, no_imports, name="odd") as pool:
        assert await pool.call(interface, "echo", [EVERY_BYTE], context=CONTEXT) == EVERY_BYTE


async def test_a_world_says_nothing_of_its_bridge(bridging: Engine, plain: Engine) -> None:
    for source in (relay(Func((Field("data", BYTES),), ACCOUNT)), VAULT, echo(ACCOUNT), forward(ACCOUNT)):
        bridged, bare = await bridging.compile(source), await plain.compile(source)
        assert bridged.world == bare.world
        assert bridged.digest == bare.digest
        assert bridged.size_bytes == bare.size_bytes
        assert dict(bridged.refused_imports) == dict(bare.refused_imports)


async def test_a_bridge_is_kept_in_the_compile_cache_apart_from_the_bare_component(tmp_path: Path) -> None:
    source = relay(Func((Field("data", BYTES),), BYTES))
    for bridge in (True, False, True, False):
        async with Engine(cache_dir=tmp_path, threads=1, bridge=bridge) as engine:
            assert is_bridged(await engine.compile(source)) == (bridge, bridge)
            assert await relayed(engine, Func((Field("data", BYTES),), BYTES), [b"\xff"], b"\xfe") == (
                b"\xfe",
                [b"\xff"],
            )
    assert len([name for name in os.listdir(tmp_path) if name.endswith(".cwasm")]) == 2


async def test_a_metered_component_is_bridged_too(bridging: Engine) -> None:
    limits = Limits(fuel_max=50_000_000)
    async with InstancePool(
        bridging, await bridging.compile(echo(Primitive("u8"))), limits, no_imports, name="m"
    ) as pool:
        assert await pool.call("", "echo", [EVERY_BYTE * 40], context=CONTEXT) == EVERY_BYTE * 40
