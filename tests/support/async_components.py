"""Components in text form whose functions are `async` as WASI 0.3 has it, for the engine's tests."""

from __future__ import annotations

from typing import Final

from engine_components import CANONICAL, LIBC


def _lifted(name: str, signature: str, options: str = "") -> str:
    """Exports a core function of `$guest`, lifted asynchronously with the callback `$guest` `{name}-back`."""
    return f"""(func (export "{name}") async {signature}
      (canon lift (core func $guest "{name}") async (callback (core func $guest "{name}-back")) {options}))"""


ASYNC: Final = f"""
(component
  (import "lath:test/far@1.0.0" (instance $far
    (export "ask" (func (param "key" string) (result string)))))
  {LIBC}
  (core func $ask (canon lower (func $far "ask") {CANONICAL}))
  (core func $return-text (canon task.return (result string) (memory $memory)))
  (core func $return-bytes (canon task.return (result (list u8)) (memory $memory)))
  (core func $return-number (canon task.return (result u32)))
  (core func $new-set (canon waitable-set.new))
  (core func $get (canon context.get i32 0))
  (core func $set (canon context.set i32 0))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "" "ask" (func $ask (param i32 i32 i32)))
    (import "" "return-text" (func $return-text (param i32 i32)))
    (import "" "return-bytes" (func $return-bytes (param i32 i32)))
    (import "" "return-number" (func $return-number (param i32)))
    (import "" "new-set" (func $new-set (result i32)))
    (import "" "get" (func $get (result i32)))
    (import "" "set" (func $set (param i32)))
    (func (export "hello") (param i32 i32) (result i32)
      (call $return-text (local.get 0) (local.get 1)) (i32.const 0))
    (func (export "hello-back") (param i32 i32 i32) (result i32) unreachable)
    (func (export "echo") (param i32 i32) (result i32)
      (call $return-bytes (local.get 0) (local.get 1)) (i32.const 0))
    (func (export "echo-back") (param i32 i32 i32) (result i32) unreachable)
    (func (export "ask") (param i32 i32) (result i32)
      (call $ask (local.get 0) (local.get 1) (i32.const 0))
      (call $return-text (i32.load (i32.const 0)) (i32.load (i32.const 4))) (i32.const 0))
    (func (export "ask-back") (param i32 i32 i32) (result i32) unreachable)
    (func (export "yield") (param i32) (result i32) (call $set (local.get 0)) (i32.const 1))
    (func (export "yield-back") (param i32 i32 i32) (result i32)
      (if (call $get) (then (call $set (i32.sub (call $get) (i32.const 1))) (return (i32.const 1))))
      (call $return-number (i32.const 7)) (i32.const 0))
    (func (export "spin") (result i32) (i32.const 1))
    (func (export "spin-back") (param i32 i32 i32) (result i32) (loop $forever (br $forever)) (i32.const 0))
    (func (export "eat") (result i32) (i32.const 1))
    (func (export "eat-back") (param i32 i32 i32) (result i32)
      (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
      (call $return-number (memory.size)) (i32.const 0))
    (func (export "trap") (result i32) (i32.const 1))
    (func (export "trap-back") (param i32 i32 i32) (result i32) unreachable)
    (func (export "forget") (result i32) (i32.const 0))
    (func (export "forget-back") (param i32 i32 i32) (result i32) unreachable)
    (func (export "stuck") (result i32) (i32.or (i32.const 2) (i32.shl (call $new-set) (i32.const 4))))
    (func (export "stuck-back") (param i32 i32 i32) (result i32) unreachable)
    (func (export "plain") (param i32 i32) (result i32)
      (i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 4) (local.get 1)) (i32.const 0)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc)) (with "" (instance
    (export "ask" (func $ask)) (export "return-text" (func $return-text))
    (export "return-bytes" (func $return-bytes)) (export "return-number" (func $return-number))
    (export "new-set" (func $new-set)) (export "get" (func $get)) (export "set" (func $set))))))
  {_lifted("hello", '(param "name" string) (result string)', CANONICAL)}
  {_lifted("echo", '(param "data" (list u8)) (result (list u8))', CANONICAL)}
  {_lifted("ask", '(param "key" string) (result string)', CANONICAL)}
  {_lifted("yield", '(param "times" u32) (result u32)')}
  {_lifted("spin", "(result u32)")}
  {_lifted("eat", "(result u32)")}
  {_lifted("trap", "(result u32)")}
  {_lifted("forget", "(result u32)")}
  {_lifted("stuck", "(result u32)")}
  (func (export "plain") async (param "name" string) (result string)
    (canon lift (core func $guest "plain") {CANONICAL})))
""".encode()
"""`plain` is lifted synchronously; `yield` gives way so many times; `forget` ends without a result; `stuck`
waits for nothing."""

GREETER: Final = f"""
(component
  {LIBC}
  (core func $return (canon task.return (result string) (memory $memory)))
  (core module $guest
    (import "" "return" (func $return (param i32 i32)))
    (func (export "hello") (param i32 i32) (result i32)
      (call $return (local.get 0) (local.get 1)) (i32.const 0))
    (func (export "back") (param i32 i32 i32) (result i32) unreachable))
  (core instance $guest (instantiate $guest (with "" (instance (export "return" (func $return))))))
  (func $hello async (param "name" string) (result string)
    (canon lift (core func $guest "hello") async (callback (core func $guest "back")) {CANONICAL}))
  (instance $greet (export "hello" (func $hello)))
  (export "test:later/greet@1.0.0" (instance $greet)))
"""
"""Exports the async function `test:later/greet` `hello`."""


def asking(lower: str) -> bytes:
    """A component whose exports call async imports of the same names.

    Args:
        lower: `async` for imports that are called asynchronously, empty for such as are waited for.
    """
    status, ignored = ("(result i32)", "drop") if lower else ("", "")
    return f"""
(component
  (import "lath:test/far@1.0.0" (instance $far
    (export "bucket" (type $bucket (sub resource)))
    (type $raw (variant (case "missing") (case "other" string)))
    (export "error" (type $error (eq $raw)))
    (export "open" (func (param "name" string) (result (own $bucket))))
    (export "[method]bucket.get" (func async
      (param "self" (borrow $bucket)) (param "key" string) (result string)))
    (export "ask" (func async (param "key" string) (result string)))
    (export "try" (func async (param "key" string) (result (result string (error $error)))))
    (export "echo" (func async (param "data" (list u8)) (result (list u8))))))
  (import "tell" (func $tell async (param "number" u32)))
  (alias export $far "error" (type $error))
  (alias export $far "bucket" (type $bucket))
  {LIBC}
  (core func $open (canon lower (func $far "open") {CANONICAL}))
  (core func $get (canon lower (func $far "[method]bucket.get") {lower} {CANONICAL}))
  (core func $ask (canon lower (func $far "ask") {lower} {CANONICAL}))
  (core func $try (canon lower (func $far "try") {lower} {CANONICAL}))
  (core func $echo (canon lower (func $far "echo") {lower} {CANONICAL}))
  (core func $tell (canon lower (func $tell) {lower}))
  (core func $drop (canon resource.drop $bucket))
  (core func $return-text (canon task.return (result string) (memory $memory)))
  (core func $return-bytes (canon task.return (result (list u8)) (memory $memory)))
  (core func $return-try (canon task.return (result (result string (error $error))) (memory $memory)))
  (core func $return-nothing (canon task.return))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "" "open" (func $open (param i32 i32) (result i32)))
    (import "" "get" (func $get (param i32 i32 i32 i32) {status}))
    (import "" "ask" (func $ask (param i32 i32 i32) {status}))
    (import "" "try" (func $try (param i32 i32 i32) {status}))
    (import "" "echo" (func $echo (param i32 i32 i32) {status}))
    (import "" "tell" (func $tell (param i32) {status}))
    (import "" "drop" (func $drop (param i32)))
    (import "" "return-text" (func $return-text (param i32 i32)))
    (import "" "return-bytes" (func $return-bytes (param i32 i32)))
    (import "" "return-try" (func $return-try (param i32 i32 i32 i32)))
    (import "" "return-nothing" (func $return-nothing))
    (func (export "get") (param i32 i32) (result i32) (local $bucket i32)
      (local.set $bucket (call $open (local.get 0) (local.get 1)))
      (call $get (local.get $bucket) (local.get 0) (local.get 1) (i32.const 0)) {ignored}
      (call $drop (local.get $bucket))
      (call $return-text (i32.load (i32.const 0)) (i32.load (i32.const 4))) (i32.const 0))
    (func (export "ask") (param i32 i32) (result i32)
      (call $ask (local.get 0) (local.get 1) (i32.const 0)) {ignored}
      (call $ask (i32.load (i32.const 0)) (i32.load (i32.const 4)) (i32.const 0)) {ignored}
      (call $return-text (i32.load (i32.const 0)) (i32.load (i32.const 4))) (i32.const 0))
    (func (export "try") (param i32 i32) (result i32)
      (call $try (local.get 0) (local.get 1) (i32.const 0)) {ignored}
      (call $return-try (i32.load8_u (i32.const 0)) (i32.load (i32.const 4)) (i32.load (i32.const 8))
        (i32.load (i32.const 12)))
      (i32.const 0))
    (func (export "echo") (param i32 i32) (result i32)
      (call $echo (local.get 0) (local.get 1) (i32.const 0)) {ignored}
      (call $return-bytes (i32.load (i32.const 0)) (i32.load (i32.const 4))) (i32.const 0))
    (func (export "tell") (param i32) (result i32)
      (call $tell (local.get 0)) {ignored} (call $return-nothing) (i32.const 0))
    (func (export "back") (param i32 i32 i32) (result i32) unreachable))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc)) (with "" (instance
    (export "open" (func $open)) (export "get" (func $get)) (export "ask" (func $ask))
    (export "try" (func $try)) (export "echo" (func $echo)) (export "tell" (func $tell))
    (export "drop" (func $drop)) (export "return-text" (func $return-text))
    (export "return-bytes" (func $return-bytes)) (export "return-try" (func $return-try))
    (export "return-nothing" (func $return-nothing))))))
  (func (export "get") async (param "key" string) (result string)
    (canon lift (core func $guest "get") async (callback (core func $guest "back")) {CANONICAL}))
  (func (export "ask") async (param "key" string) (result string)
    (canon lift (core func $guest "ask") async (callback (core func $guest "back")) {CANONICAL}))
  (func (export "try") async (param "key" string) (result (result string (error $error)))
    (canon lift (core func $guest "try") async (callback (core func $guest "back")) {CANONICAL}))
  (func (export "echo") async (param "data" (list u8)) (result (list u8))
    (canon lift (core func $guest "echo") async (callback (core func $guest "back")) {CANONICAL}))
  (func (export "tell") async (param "number" u32)
    (canon lift (core func $guest "tell") async (callback (core func $guest "back")))))
""".encode()


SUBTASKS: Final = b"""
(component
  (component $inner
    (core func $return (canon task.return (result u32)))
    (core func $get (canon context.get i32 0))
    (core func $set (canon context.set i32 0))
    (core module $code
      (import "" "return" (func $return (param i32)))
      (import "" "get" (func $get (result i32)))
      (import "" "set" (func $set (param i32)))
      (global $running (mut i32) (i32.const 0))
      (global $most (mut i32) (i32.const 0))
      (func (export "work") (result i32)
        (global.set $running (i32.add (global.get $running) (i32.const 1)))
        (if (i32.gt_u (global.get $running) (global.get $most))
          (then (global.set $most (global.get $running))))
        (call $set (i32.const 3)) (i32.const 1))
      (func (export "back") (param i32 i32 i32) (result i32)
        (if (call $get) (then (call $set (i32.sub (call $get) (i32.const 1))) (return (i32.const 1))))
        (global.set $running (i32.sub (global.get $running) (i32.const 1)))
        (call $return (global.get $most)) (i32.const 0)))
    (core instance $code (instantiate $code (with "" (instance
      (export "return" (func $return)) (export "get" (func $get)) (export "set" (func $set))))))
    (func (export "work") async (result u32)
      (canon lift (core func $code "work") async (callback (core func $code "back")))))
  (component $outer
    (import "work" (func $work async (result u32)))
    (core module $libc (memory (export "memory") 1))
    (core instance $libc (instantiate $libc))
    (alias core export $libc "memory" (core memory $memory))
    (core func $work (canon lower (func $work) async (memory $memory)))
    (core func $new (canon waitable-set.new))
    (core func $join (canon waitable.join))
    (core func $drop (canon subtask.drop))
    (core func $return (canon task.return (result u32)))
    (core module $code
      (import "" "memory" (memory 1))
      (import "" "work" (func $work (param i32) (result i32)))
      (import "" "new" (func $new (result i32)))
      (import "" "join" (func $join (param i32 i32)))
      (import "" "drop" (func $drop (param i32)))
      (import "" "return" (func $return (param i32)))
      (global $set (mut i32) (i32.const 0))
      (global $left (mut i32) (i32.const 2))
      (func $wait (result i32) (i32.or (i32.const 2) (i32.shl (global.get $set) (i32.const 4))))
      (func (export "both") (result i32)
        (global.set $set (call $new))
        (call $join (i32.shr_u (call $work (i32.const 16)) (i32.const 4)) (global.get $set))
        (call $join (i32.shr_u (call $work (i32.const 32)) (i32.const 4)) (global.get $set))
        (call $wait))
      (func (export "back") (param $event i32) (param $subtask i32) (param $state i32) (result i32)
        (if (i32.ne (local.get $state) (i32.const 2)) (then (return (call $wait))))
        (call $join (local.get $subtask) (i32.const 0))
        (call $drop (local.get $subtask))
        (global.set $left (i32.sub (global.get $left) (i32.const 1)))
        (if (global.get $left) (then (return (call $wait))))
        (call $return (i32.load (i32.const 32)))
        (i32.const 0)))
    (core instance $code (instantiate $code (with "" (instance
      (export "memory" (memory $memory)) (export "work" (func $work)) (export "new" (func $new))
      (export "join" (func $join)) (export "drop" (func $drop)) (export "return" (func $return))))))
    (func (export "both") async (result u32)
      (canon lift (core func $code "both") async (callback (core func $code "back")))))
  (instance $inner (instantiate $inner))
  (instance $outer (instantiate $outer (with "work" (func $inner "work"))))
  (export "both" (func $outer "both")))
"""
"""`both` has two subtasks at once, waits for either, and returns how many of them ran at the same time."""


def exporting(kind: str) -> bytes:
    """A component whose export `give` returns a `stream` or a `future`; `seven` is a plain function."""
    return f"""
(component
  (type $value ({kind} u8))
  (core func $new (canon {kind}.new $value))
  (core module $guest
    (import "" "new" (func $new (result i64)))
    (func (export "give") (result i32) (i32.wrap_i64 (call $new)))
    (func (export "seven") (result i32) (i32.const 7)))
  (core instance $guest (instantiate $guest (with "" (instance (export "new" (func $new))))))
  (func (export "seven") (result u32) (canon lift (core func $guest "seven")))
  (func (export "give") (result $value) (canon lift (core func $guest "give"))))
""".encode()
