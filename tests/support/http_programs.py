"""Programs of WASI HTTP calls that a test makes up: `PROGRAMMED` runs the one that it was loaded with.

It runs the program for each request; the operation `tell` writes what its calls have answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from http_components import serving

SLOTS: Final = 12
"""Places for handles, each of one kind at a time."""
_SLOTS_AT: Final = 512
_DATA_AT: Final = 1024
_TOLD_AT: Final = 2048
"""What calls have answered: its size, and from 4 bytes on one byte for each."""
_PROGRAM_AT: Final = 8192
"""Its size in bytes, and from 4 bytes on the program: operation, slot that is used, slot that is filled."""

Step = tuple[int, int, int]

_A: Final = "(i32.load (local.get $a))"
_KEEP: Final = "(i32.store (local.get $b) (i32.load (i32.const 4)))"
_TAG: Final = "(call $tell (i32.load8_u (i32.const 0)))"
_IF_OK: Final = (
    f"{_TAG} (i32.store (local.get $b) (i32.const 0)) "
    f"(if (i32.eqz (i32.load8_u (i32.const 0))) (then {_KEEP}))"
)
_DATA: Final = f"(i32.const {_DATA_AT}) (i32.const 5)"

OPERATIONS: Final[dict[str, tuple[str, str, str, str, str]]] = {
    # name: (code, kind used, whether it is gone then, kind filled, second kind used, in the filled slot)
    "fields": ("(i32.store (local.get $b) (call $fields))", "", "", "fields", ""),
    "append": (
        f"(call $append {_A} (i32.const {_DATA_AT + 5}) (i32.const 3) {_DATA} (i32.const 0)) {_TAG}",
        "fields", "", "", "",
    ),
    "response": (f"(i32.store (local.get $b) (call $response {_A}))", "fields", "gone", "response", ""),
    "body": (f"(call $body {_A} (i32.const 0)) {_IF_OK}", "response", "", "body-out", ""),
    "sink": (f"(call $write-body {_A} (i32.const 0)) {_IF_OK}", "body-out", "", "output", ""),
    "check": (f"(call $check-write {_A} (i32.const 0)) {_TAG}", "output", "", "", ""),
    "write": (
        f"(call $check-write {_A} (i32.const 0)) {_TAG} (call $write {_A} {_DATA} (i32.const 0)) {_TAG}",
        "output", "", "", "",
    ),
    "write-all": (f"(call $blocking-write {_A} {_DATA} (i32.const 0)) {_TAG}", "output", "", "", ""),
    "tell": (
        f"(call $blocking-write {_A} (i32.const {_TOLD_AT + 4}) (i32.load (i32.const {_TOLD_AT})) "
        f"(i32.const 0)) {_TAG}",
        "output", "", "", "",
    ),
    "subscribe-out": (f"(i32.store (local.get $b) (call $subscribe-out {_A}))", "output", "", "pollable", ""),
    "subscribe-in": (f"(i32.store (local.get $b) (call $subscribe-in {_A}))", "input", "", "pollable", ""),
    "block": (f"(call $block {_A})", "pollable", "", "", ""),
    "consume": (f"(call $consume {_A} (i32.const 0)) {_IF_OK}", "request", "", "body-in", ""),
    "stream": (f"(call $stream {_A} (i32.const 0)) {_IF_OK}", "body-in", "", "input", ""),
    "read": (f"(call $blocking-read {_A} (i64.const 100) (i32.const 0)) {_TAG}", "input", "", "", ""),
    "finish-in": (f"(i32.store (local.get $b) (call $finish-in {_A}))", "body-in", "gone", "trailers", ""),
    "finish": (
        f"(call $finish {_A} (i32.const 0) (i32.const 0) (i32.const 0)) {_TAG}", "body-out", "gone", "", "",
    ),
    "finish-with": (
        f"(call $finish {_A} (i32.const 1) (i32.load (local.get $b)) (i32.const 0)) {_TAG}",
        "body-out", "gone", "", "fields",
    ),
    "set": (
        f"(call $set {_A} (i32.const 0) (i32.load (local.get $b)) (i32.const 0) (i64.const 0) (i32.const 0))",
        "outparam", "gone", "", "response",
    ),
    "refuse": (
        f"(call $set {_A} (i32.const 1) (i32.const 3) (i32.const 0) (i64.const 0) (i32.const 0))",
        "outparam", "gone", "", "",
    ),
    "splice": (
        f"(call $splice {_A} (i32.load (local.get $b)) (i64.const 100) (i32.const 0)) {_TAG}",
        "output", "", "", "input-kept",
    ),
    "return": ("(return)", "", "", "", ""),
    "trap": ("(unreachable)", "", "", "", ""),
} | {
    f"drop-{kind}": (f"(call $drop-{kind} {_A})", kind, "gone", "", "")
    for kind in (
        "fields", "request", "response", "outparam", "body-out", "body-in", "input", "output", "pollable",
        "trailers",
    )
}  # fmt: skip
NAMES: Final = tuple(OPERATIONS)


def _slot(at: int) -> str:
    number = f"(i32.load8_u (i32.add (local.get $pc) (i32.const {at})))"
    return f"(i32.add (i32.const {_SLOTS_AT}) (i32.mul (i32.const 4) {number}))"


_RUN: Final = f"""
    (local $pc i32) (local $last i32) (local $a i32) (local $b i32)
    (memory.fill (i32.const {_SLOTS_AT}) (i32.const 0) (i32.const {SLOTS * 4}))
    (i32.store (i32.const {_TOLD_AT}) (i32.const 0))
    (i32.store (i32.const {_SLOTS_AT}) (local.get $request))
    (i32.store (i32.const {_SLOTS_AT + 4}) (local.get $out))
    (local.set $pc (i32.const {_PROGRAM_AT + 4}))
    (local.set $last (i32.add (local.get $pc) (i32.load (i32.const {_PROGRAM_AT}))))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $pc) (local.get $last)))
      (local.set $a {_slot(1)})
      (local.set $b {_slot(2)})
      (call $reset)
      {
    "".join(
        f"(if (i32.eq (i32.load8_u (local.get $pc)) (i32.const {number})) (then {code[0]})) "
        for number, code in enumerate(OPERATIONS.values())
    )
}
      (local.set $pc (i32.add (local.get $pc) (i32.const 3)))
      (br $next)))"""
_TELL: Final = f"""
    (func $tell (param $tag i32)
      (i32.store8 (i32.add (i32.const {_TOLD_AT + 4}) (i32.load (i32.const {_TOLD_AT})))
        (i32.add (i32.const 48) (local.get $tag)))
      (i32.store (i32.const {_TOLD_AT}) (i32.add (i32.const 1) (i32.load (i32.const {_TOLD_AT})))))
"""
_LOAD: Final = f"""
  (core module $loader
    (import "libc" "memory" (memory 1))
    (func (export "load") (param $at i32) (param $size i32)
      (memory.copy (i32.const {_PROGRAM_AT + 4}) (local.get $at) (local.get $size))
      (i32.store (i32.const {_PROGRAM_AT}) (local.get $size))))
  (core instance $loader-here (instantiate $loader (with "libc" (instance $libc))))
  (func $load-func (param "program" (list u8))
    (canon lift (core func $loader-here "load") (memory $memory) (realloc $realloc)))
  (export "load" (func $load-func)))"""


def _programmed() -> bytes:
    text = serving("(call $run (local.get $request) (local.get $out))", data="hellox-a").decode()
    run = f"{_TELL} (func $run (param $request i32) (param $out i32) {_RUN})\n    (func $answer"
    text = text.replace("(func $answer", run, 1).rstrip()
    return (text[:-1] + _LOAD).encode()


PROGRAMMED: Final = _programmed()
"""Serves HTTP with the program that its export `load` was given last, as `encoded` has it."""


def encoded(program: Sequence[Step]) -> list[int]:
    """A program for `load`."""
    return [byte for step in program for byte in step]


def program_of(choices: Sequence[tuple[int, int]]) -> list[Step]:
    """A program in which calls are mostly such as may be made: handles that are there, of the right kind.

    Args:
        choices: For each step which operation of those that can be, and which handle.
    """
    return list(_steps(choices))


def _steps(choices: Sequence[tuple[int, int]]) -> Iterator[Step]:
    held = {0: "request", 1: "outparam"}
    for which, slot in choices:
        able = [
            (name, used, filled)
            for name, (_, kind, _, made, second) in OPERATIONS.items()
            for used in ([at for at in held if held[at] == kind] if kind else [0])
            for filled in _filled(held, made, second)
        ]
        name, used, filled = able[(which + 7 * slot) % len(able)]
        _, _, gone, made, second = OPERATIONS[name]
        if gone:
            del held[used]
        if second in ("fields", "response"):
            held.pop(filled, None)
        if made:
            held[filled] = made
        yield NAMES.index(name), used, filled


def _filled(held: dict[int, str], made: str, second: str) -> list[int]:
    if second:
        return [at for at in held if held[at] == second.removesuffix("-kept")]
    if made:
        return [at for at in range(SLOTS) if at not in held][:1]
    return [0]
