"""Makes a component of a core module for WASI preview 1: one that exports `wasi:cli/run`.

The component is the same for all modules, up to the module itself: its place is kept by the first. In it
the module imports a *shim*, whose functions jump through a table, since it comes first and the adapter needs
its memory; the *adapter* (`adapter.wat`) answers them, by WASI 0.2; and the *filling* puts it into the table.
The adapter has a memory of its own, so both memories are one module's: `multi-memory`, which wasmtime has on.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Final

from wasmtime import wat2wasm

from lath.errors import InvalidArgument
from lath_host.engine.compose.adapters import MEMORY_PAGES_MAX, NO_ROOM
from lath_host.engine.compose.binary import (
    COMPONENT_HEADER,
    MODULE_HEADER,
    Malformed,
    Section,
    section,
    sections,
)  # fmt: skip
from lath_host.engine.compose.preview1.functions import CONSTANT, MODULE, REFUSED, types
from lath_host.engine.compose.preview1.module import Module, read_module, with_distinct_imports

ADAPTER_VERSION: Final = 3
"""Goes up with every change of what is built here, so that nobody takes a compiled one from before."""

_OWN: Final = f"""
  (core module $own
    (memory (export "memory") 3 {MEMORY_PAGES_MAX})
    (global $top (export "top") (mut i32) (i32.const 131072))
    (func ${NO_ROOM} unreachable)
    (func (export "realloc")
      (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32) (local $end i64) (local $room i64)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (local.set $end (i64.add (i64.extend_i32_u (local.get $at)) (i64.extend_i32_u (local.get $size))))
      (local.set $room (i64.shl (i64.extend_i32_u (memory.size)) (i64.const 16)))
      (if (i64.gt_u (local.get $end) (local.get $room)) (then
        (if (i32.eq (i32.const -1) (memory.grow (i32.wrap_i64 (i64.shr_u
              (i64.add (i64.sub (local.get $end) (local.get $room)) (i64.const 65535)) (i64.const 16)))))
          (then (call ${NO_ROOM})))))
      (global.set $top (i32.wrap_i64 (local.get $end)))
      (memory.copy (local.get $at) (local.get $old) (local.get $old-size))
      (local.get $at)))
  (core instance $own (instantiate $own))
  (alias core export $own "memory" (core memory $memory))
  (alias core export $own "realloc" (core func $realloc))
"""

_IMPORTS: Final = """
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))
    (export "poll" (func (param "in" (list (borrow $pollable))) (result (list u32))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:io/error@0.2.0" (instance $errors (export "error" (type (sub resource)))))
  (alias export $errors "error" (type $error))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (alias outer 1 $error (type $error))
    (alias outer 1 $pollable (type $pollable))
    (type $failure (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $failure)))
    (export "input-stream" (type $input (sub resource)))
    (export "output-stream" (type $output (sub resource)))
    (export "[method]input-stream.blocking-read" (func
      (param "self" (borrow $input)) (param "len" u64) (result (result (list u8) (error $stream-error)))))
    (export "[method]input-stream.subscribe" (func
      (param "self" (borrow $input)) (result (own $pollable))))
    (export "[method]output-stream.check-write" (func
      (param "self" (borrow $output)) (result (result u64 (error $stream-error)))))
    (export "[method]output-stream.write" (func
      (param "self" (borrow $output)) (param "contents" (list u8)) (result (result (error $stream-error)))))
    (export "[method]output-stream.blocking-write-and-flush" (func
      (param "self" (borrow $output)) (param "contents" (list u8)) (result (result (error $stream-error)))))
    (export "[method]output-stream.subscribe" (func
      (param "self" (borrow $output)) (result (own $pollable))))))
  (alias export $streams "input-stream" (type $input))
  (alias export $streams "output-stream" (type $output))
  (import "wasi:cli/stdin@0.2.0" (instance $stdin
    (alias outer 1 $input (type $input))
    (export "get-stdin" (func (result (own $input))))))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $output (type $output))
    (export "get-stdout" (func (result (own $output))))))
  (import "wasi:cli/stderr@0.2.0" (instance $stderr
    (alias outer 1 $output (type $output))
    (export "get-stderr" (func (result (own $output))))))
  (import "wasi:cli/environment@0.2.0" (instance $environment
    (export "get-environment" (func (result (list (tuple string string)))))
    (export "get-arguments" (func (result (list string))))))
  (import "wasi:cli/exit@0.2.0" (instance $exit
    (export "exit-with-code" (func (param "status-code" u8)))))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $monotonic
    (alias outer 1 $pollable (type $pollable))
    (export "now" (func (result u64)))
    (export "resolution" (func (result u64)))
    (export "subscribe-instant" (func (param "when" u64) (result (own $pollable))))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (import "wasi:clocks/wall-clock@0.2.0" (instance $wall
    (type $time (record (field "seconds" u64) (field "nanoseconds" u32)))
    (export "datetime" (type $datetime (eq $time)))
    (export "now" (func (result $datetime)))
    (export "resolution" (func (result $datetime)))))
  (import "wasi:random/random@0.2.0" (instance $random
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
"""

_LOWERED: Final = {
    "get-environment": ("environment", "get-environment"),
    "get-arguments": ("environment", "get-arguments"),
    "get-stdin": ("stdin", "get-stdin"),
    "get-stdout": ("stdout", "get-stdout"),
    "get-stderr": ("stderr", "get-stderr"),
    "exit-with-code": ("exit", "exit-with-code"),
    "monotonic-now": ("monotonic", "now"),
    "monotonic-resolution": ("monotonic", "resolution"),
    "subscribe-instant": ("monotonic", "subscribe-instant"),
    "subscribe-duration": ("monotonic", "subscribe-duration"),
    "wall-now": ("wall", "now"),
    "wall-resolution": ("wall", "resolution"),
    "get-random-bytes": ("random", "get-random-bytes"),
    "blocking-read": ("streams", "[method]input-stream.blocking-read"),
    "blocking-write-and-flush": ("streams", "[method]output-stream.blocking-write-and-flush"),
    "check-write": ("streams", "[method]output-stream.check-write"),
    "write": ("streams", "[method]output-stream.write"),
    "block": ("poll", "[method]pollable.block"),
    "subscribe-input": ("streams", "[method]input-stream.subscribe"),
    "subscribe-output": ("streams", "[method]output-stream.subscribe"),
    "poll": ("poll", "poll"),
}
"""What the adapter calls: by its name there, the instance and the function."""
_DROPPED: Final = {
    "drop-input": "input",
    "drop-output": "output",
    "drop-pollable": "pollable",
    "drop-error": "error",
}

_SAME_IMPORTS_MAX: Final = 16
"""How often a module may import one function. It does so once, or again where a library declares it too."""
_SHIMS: Final = " ".join(
    f'(with "{MODULE}{again}" (instance $shim))'
    for again in ("", *(f":{times}" for times in range(2, _SAME_IMPORTS_MAX + 1)))
)
_TOGETHER: Final = f"""
  (core instance $shim (instantiate $shim))
  (core instance $guest (instantiate $guest {_SHIMS}))
  (core instance $adapter (instantiate $adapter
    (with "guest" (instance $guest)) (with "own" (instance $own)) (with "host" (instance $host))))
  (core instance (instantiate $filling
    (with "shim" (instance $shim)) (with "adapter" (instance $adapter))))
  (func $run (result (result)) (canon lift (core func $adapter "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $command))
"""


def is_module(source: bytes) -> bool:
    """Whether `source` is a core module in binary form."""
    return source.startswith(MODULE_HEADER)


def component_of(source: bytes) -> bytes:
    """The component that runs a module as `wasi:cli/run`.

    Args:
        source: A core module that was built as a command for WASI preview 1.

    Raises:
        InvalidArgument: It was built for something else; the message says what is in the way.
    """
    try:
        _check(read_module(source))
        module = with_distinct_imports(source)
    except Malformed as error:
        raise InvalidArgument(f"not a component that can run: the core module {error}") from None
    before, after = _template()
    return b"".join([before, section(Section.CORE_MODULE, module), after])


def _check(module: Module) -> None:
    known = types()
    for (_, name), times in Counter(module.imports).items():
        if times > _SAME_IMPORTS_MAX:
            raise InvalidArgument(
                f"the core module imports {name} {times} times, and may {_SAME_IMPORTS_MAX} times"
            )
    for where, name in module.imports:
        if where != MODULE:
            hint = (
                f"which is older than {MODULE}: build it with a newer tool"
                if where == "wasi_unstable"
                else f"and has only {MODULE} here: build it as a command for WASI, or as a component"
            )
            raise InvalidArgument(f"the core module imports {name} of {where!r}, {hint}")
        if name not in known:
            raise InvalidArgument(f"the core module imports {name}, which {MODULE} does not have")
    for name, what in (("_start", "function"), ("memory", "memory")):
        if module.exports.get(name) != what:
            raise InvalidArgument(
                f"the core module exports no {what} {name!r}: "
                "build it as a command for WASI, not as a library"
            )


@cache
def _template() -> tuple[bytes, bytes]:
    """The component, before and after the module's place."""
    component = bytes(wat2wasm(_text()))
    for number, _, begin, end in sections(component, COMPONENT_HEADER):
        if number == Section.CORE_MODULE:
            return component[:begin], component[end:]
    raise AssertionError("the text has modules")


def _text() -> str:
    adapter = (Path(__file__).with_name("adapter.wat")).read_text().rstrip()
    lowered = "\n".join(
        f'(core func ${name} (canon lower (func ${instance} "{function}") '
        "(memory $memory) (realloc $realloc)))"
        for name, (instance, function) in _LOWERED.items()
    )
    dropped = "\n".join(
        f"(core func ${name} (canon resource.drop ${type_}))" for name, type_ in _DROPPED.items()
    )
    given = " ".join(f'(export "{name}" (func ${name}))' for name in (*_LOWERED, *_DROPPED))
    return "\n".join(
        [
            "(component",
            _IMPORTS, "(core module $guest)", _OWN, lowered, dropped, f"(core instance $host {given})",
            _shim(), adapter.replace("(module", "(core module $adapter", 1), _filling(), _TOGETHER,
            ")",
        ]
    )  # fmt: skip


def _shim() -> str:
    """What the guest imports: each function jumps to its place in the table."""
    functions = []
    for index, (name, type_) in enumerate(types().items()):
        values = " ".join(f"(local.get {at})" for at in range(_count(type_)))
        functions.append(
            f'(func (export "{name}") {type_} (call_indirect {type_} {values} (i32.const {index})))'
        )
    size = len(functions)
    return f'(core module $shim (table (export "table") {size} funcref) {" ".join(functions)})'


def _filling() -> str:
    """What puts into the table who answers."""
    known = types()
    items = [f'(import "shim" "table" (table {len(known)} funcref))']
    items.append('(import "adapter" "refuse" (func $refuse (param i32 i32) (result i32)))')
    defined = []
    for name, type_ in known.items():
        refusal = REFUSED.get(name)
        if refusal is not None:
            said = f"(call $refuse (local.get {refusal.descriptor}) (i32.const {refusal.error}))"
            defined.append(f"(func ${name} {type_} {said})")
        elif name in CONSTANT:
            defined.append(f"(func ${name} {type_} (i32.const {CONSTANT[name][1]}))")
        else:
            items.append(f'(import "adapter" "{name}" (func ${name} {type_}))')
    filled = " ".join(f"${name}" for name in known)
    return " ".join(["(core module $filling", *items, *defined, f"(elem (i32.const 0) func {filled}))"])


def _count(type_: str) -> int:
    """How many parameters a type has."""
    return len(type_.partition(")")[0].split()) - 1
