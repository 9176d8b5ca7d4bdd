"""The core code of a bridge: a memory with its allocator, and what stands between lowering and lifting.

The canonical ABI lays `string` and `list<u8>` out alike, as an address and a length, so a function that was
lowered with `list<u8>` can be lifted again with `string`, and the code in between only has to provide room
for a result that passes through memory, and to drop the handles that it was lent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from wasmtime import wat2wasm

from lath_host.engine.compose.abi import CoreFunc, CoreType

MEMORY_PAGES_MAX: Final = 1 << 14
"""1 GiB: a length has to stay below 2^31, where it would be read as one of UTF-16."""

MEMORY_BEGIN: Final = 8
"""Where it begins: 0 says that there is no block."""

NO_ROOM: Final = "lath-bytes-no-room"
"""The function, shown in the backtrace, that traps when the memory may not grow."""

MEMORY_CODE: Final = f"""
  (memory (export "memory") 1 {MEMORY_PAGES_MAX})
  (global $top (mut i32) (i32.const {MEMORY_BEGIN}))
  (func ${NO_ROOM} unreachable)
  (func (export "realloc")
    (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32) (local $end i64) (local $room i64)
    (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
    (if (local.get $old) (then
      (if (i32.eq (i32.add (local.get $old) (local.get $old-size)) (global.get $top))
        (then (local.set $at (local.get $old))) ;; the last block grows and shrinks where it is
        (else (if (i32.le_u (local.get $size) (local.get $old-size)) (then (return (local.get $old))))))))
    (local.set $end (i64.add (i64.extend_i32_u (local.get $at)) (i64.extend_i32_u (local.get $size))))
    (local.set $room (i64.shl (i64.extend_i32_u (memory.size)) (i64.const 16)))
    (if (i64.gt_u (local.get $end) (local.get $room)) (then
      (if (i32.eq (i32.const -1) (memory.grow (i32.wrap_i64 (i64.shr_u
            (i64.add (i64.sub (local.get $end) (local.get $room)) (i64.const 65535)) (i64.const 16)))))
        (then (call ${NO_ROOM})))))
    (global.set $top (i32.wrap_i64 (local.get $end)))
    (if (i32.and (i32.ne (local.get $old) (i32.const 0)) (i32.ne (local.get $old) (local.get $at)))
      (then (memory.copy (local.get $at) (local.get $old) (local.get $old-size))))
    (local.get $at))
"""
"""A memory that is handed out from bottom to top, until `$top` is set back."""


@cache
def memory_module() -> bytes:
    """A module with such a memory, whose `reset` takes all of it back."""
    reset = f'(func (export "reset") (global.set $top (i32.const {MEMORY_BEGIN})))'
    return bytes(wat2wasm(f"(module {MEMORY_CODE} {reset})"))


@dataclass(frozen=True)
class Lent:
    """A parameter that is a borrowed handle, or a list of them, to be dropped after the call.

    Attributes:
        position: Of its first core value among the core parameters.
        resource: The type index of the resource.
        listed: Whether it is a list.
    """

    position: int
    resource: int
    listed: bool


@dataclass(frozen=True)
class Adapter:
    """One function between its lowering and its lifting.

    Attributes:
        core: Its core signature.
        lent: The handles that it is lent.
    """

    core: CoreFunc
    lent: tuple[Lent, ...]

    @property
    def after(self) -> str:
        """The name of its post-return."""
        return after_name(self.core.results)


def after_name(results: Sequence[CoreType]) -> str:
    return "-".join(["after", *results])


def adapter_module(adapters: Sequence[Adapter]) -> bytes:
    """A module that exports `0`, `1`, … for `adapters`, and their post-returns.

    It imports the lowered functions as `lowered` `0`, `1`, …, `drop` by the number of the resource, and the
    allocator as `memory`.
    """
    resources = sorted({lent.resource for adapter in adapters for lent in adapter.lent})
    results = dict.fromkeys(adapter.core.results for adapter in adapters)
    text = "\n".join(
        [
            "(module",
            '(import "memory" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))',
            '(import "memory" "reset" (func $reset))',
            '(import "memory" "memory" (memory 0))',
            *(f'(import "drop" "{number}" (func $drop{number} (param i32)))' for number in resources),
            *(_import(number, adapter.core) for number, adapter in enumerate(adapters)),
            *(_function(number, adapter) for number, adapter in enumerate(adapters)),
            *(
                f'(func (export "{after_name(each)}") {_typed("param", each)} (call $reset))'
                for each in results
            ),
            ")",
        ]
    )
    return bytes(wat2wasm(text))


def _import(number: int, core: CoreFunc) -> str:
    lowered = f"{_typed('param', core.params)} {_typed('result', core.results)}"
    if core.returned:
        lowered = _typed("param", [*core.params, "i32"])
    return f'(import "lowered" "{number}" (func $lowered{number} {lowered}))'


def _function(number: int, adapter: Adapter) -> str:
    core = adapter.core
    lines = [f'(func (export "{number}") {_typed("param", core.params)} {_typed("result", core.results)}']
    if core.returned:
        size, align = core.returned
        room = f"(call $realloc (i32.const 0) (i32.const 0) (i32.const {align}) (i32.const {size}))"
        lines.append(f"(local $room i32) (local $index i32) (local.set $room {room})")
    elif any(lent.listed for lent in adapter.lent):
        lines.append("(local $index i32)")
    lines += [f"local.get {position}" for position in range(len(core.params))]
    lines += ["local.get $room"] if core.returned else []
    lines.append(f"call $lowered{number}")
    lines += map(_drop, adapter.lent)
    lines += ["local.get $room"] if core.returned else []
    return " ".join([*lines, ")"])


def _drop(lent: Lent) -> str:
    if not lent.listed:
        return f"(call $drop{lent.resource} (local.get {lent.position}))"
    address = f"(i32.add (local.get {lent.position}) (i32.shl (local.get $index) (i32.const 2)))"
    return (
        "(local.set $index (i32.const 0)) (block $dropped (loop $next "
        f"(br_if $dropped (i32.eq (local.get $index) (local.get {lent.position + 1}))) "
        f"(call $drop{lent.resource} (i32.load {address})) "
        "(local.set $index (i32.add (local.get $index) (i32.const 1))) (br $next)))"
    )


def _typed(what: str, types: Iterable[CoreType]) -> str:
    return f"({what} {' '.join(types)})"
