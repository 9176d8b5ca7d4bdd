"""WebAssembly proposals: which are on, what a component is told that needs one that is off."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from engine_guests import no_imports

from lath.errors import InvalidArgument, LimitExceeded
from lath_host.engine import Engine
from lath_host.engine.features import PROPOSALS, WasmFeatures
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext
from lath_host.engine.pool import InstancePool


def module(text: str) -> str:
    return f"(component (core module {text}))"


NEEDS = {
    "component-model-async": '(component (import "f" (func async)))',
    "component-model-async-stackful": """
        (component
          (core module $m (func (export "f")))
          (core instance $i (instantiate $m))
          (func (export "f") async (canon lift (core func $i "f") async)))""",
    "component-model-more-async-builtins": "(component (core func (canon subtask.cancel async)))",
    "custom-page-sizes": module("(memory 1 (pagesize 1))"),
    "exceptions": module("(tag $e) (func (throw $e))"),
    "function-references": module("(type $t (func)) (func (param (ref $t)) (call_ref $t (local.get 0)))"),
    "gc": module("(type (struct (field i32)))"),
    "memory64": module("(memory i64 1)"),
    "multi-memory": module("(memory 1) (memory 1)"),
    "relaxed-simd": module(
        "(func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1)))"
    ),
    "stack-switching": module("(type $f (func)) (type (cont $f))"),
    "tail-call": module("(func $f (return_call $f))"),
    "threads": module("(memory 1) (func (drop (i32.atomic.load (i32.const 0))))"),
    "wide-arithmetic": module(
        "(func (param i64 i64) (result i64 i64) (i64.mul_wide_u (local.get 0) (local.get 1)))"
    ),
}


@pytest.mark.parametrize("name", NEEDS)
async def test_a_component_that_needs_what_is_off_is_told_the_flag(name: str) -> None:
    source = NEEDS[name].encode()
    async with Engine(threads=1, features=WasmFeatures({name: True})) as engine:
        await engine.compile(source)
    async with Engine(threads=1, features=WasmFeatures({name: False})) as engine:
        assert name not in engine.features.enabled
        with pytest.raises(InvalidArgument, match=rf"needs {name}, .* --wasm-feature {name}: "):
            await engine.compile(source)


@pytest.mark.parametrize("name", NEEDS)
async def test_what_is_on_by_default_is_what_wasmtime_takes_unasked(engine: Engine, name: str) -> None:
    try:
        await engine.compile(NEEDS[name].encode())
    except InvalidArgument:
        assert not PROPOSALS[name].is_default
    else:
        assert PROPOSALS[name].is_default


async def test_all_that_can_be_turned_on_or_off_can_be_so_at_once() -> None:
    for on in (True, False):
        async with Engine(threads=1, features=WasmFeatures(dict.fromkeys(PROPOSALS, on))) as engine:
            compiled = await engine.compile(b"(component)")
            assert engine.features.enabled == (tuple(PROPOSALS) if on else ())
            _ = compiled.wasm(metered=True)


def test_an_unknown_feature_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InvalidArgument, match=r"unknown wasm feature 'gcc'; known: .*exceptions.*, gc, "):
        WasmFeatures.parse(["gcc"])
    with pytest.raises(InvalidArgument, match=re.escape("'gc=yes' is not of the form NAME, NAME=on")):
        WasmFeatures.parse(["gc=yes"])


def test_of_two_options_for_one_feature_the_later_holds() -> None:
    assert WasmFeatures.parse(["gc=off", "stack-switching", "gc=on"]).changed == {"stack-switching": True}
    assert WasmFeatures.parse(["gc", "gc=off"]).changed == {"gc": False}


def compiled_files(directory: Path) -> list[Path]:
    return list(directory.glob("*.cwasm"))


async def test_other_features_are_other_compiled_files(tmp_path: Path) -> None:
    for asked in ({}, {"gc": True}, {"gc": False}, {"custom-page-sizes": True}):
        async with Engine(
            cache_dir=tmp_path, threads=1, instances_max=None, features=WasmFeatures(asked)
        ) as engine:
            await engine.compile(b"(component)")
    assert len(compiled_files(tmp_path)) == 3


GARBAGE = b"""
(component
  (core module $code
    (type $bytes (array (mut i64)))
    (rec (type $node (struct (field (ref null $node)) (field (ref null $bytes)))))
    (global $head (mut (ref null $node)) (ref.null $node))
    (func (export "churn") (param $n i32) (result i32)
      (loop $more
        (drop (array.new_default $bytes (i32.const 1000)))
        (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (i32.const 7))
    (func (export "hoard")
      (loop $more
        (global.set $head
          (struct.new $node (global.get $head) (array.new_default $bytes (i32.const 100000))))
        (br $more))))
  (core instance $code (instantiate $code))
  (func (export "churn") (param "n" u32) (result u32) (canon lift (core func $code "churn")))
  (func (export "hoard") (canon lift (core func $code "hoard"))))
"""


@pytest.mark.parametrize("instances_max", [1500, None])
async def test_collected_memory_counts_as_memory(instances_max: int | None) -> None:
    limits = Limits(memory_bytes_max=16 << 20)
    async with Engine(threads=1, instances_max=instances_max) as engine:
        compiled = await engine.compile(GARBAGE)
        async with InstancePool(engine, compiled, limits, no_imports, name="garbage") as pool:
            assert await pool.call("", "churn", [10_000], context=CallContext()) == 7
            with pytest.raises(LimitExceeded, match="memory_bytes_max"):
                await pool.call("", "hoard", [], context=CallContext())


STACKFUL = b"""
(component
  (core func $return (canon task.return (result u32)))
  (core func $yield (canon thread.yield))
  (core module $code
    (import "" "return" (func $return (param i32)))
    (import "" "yield" (func $yield (result i32)))
    (func (export "f") (drop (call $yield)) (call $return (i32.const 7))))
  (core instance $code (instantiate $code (with "" (instance
    (export "return" (func $return)) (export "yield" (func $yield))))))
  (func (export "f") async (result u32) (canon lift (core func $code "f") async)))
"""


async def test_an_async_export_without_a_callback_runs_where_that_is_on() -> None:
    features = WasmFeatures({"component-model-async-stackful": True})
    async with Engine(threads=1, features=features) as engine:
        compiled = await engine.compile(STACKFUL)
        async with InstancePool(engine, compiled, Limits(), no_imports, name="stackful") as pool:
            assert await pool.call("", "f", [], context=CallContext()) == 7
