"""Guests in text form that misbehave, wait, count, print and hold handles, for the engine's tests."""

from __future__ import annotations

from typing import Any, Final

from engine_components import CANONICAL, LIBC

from lath_host.engine.linkage import CallContext, Import

SLOTS = 200
"""Of an engine that lives as long as the tests: with as many as a host has, a few take all the address space
of a process, and the next are made without."""

_MEMORY: Final = CANONICAL
_AFTER: Final = '(post-return (core func $guest "after"))'

MISCHIEF: Final = f"""
(component
  (import "lath:test/far@1.0.0" (instance $far
    (type $raw (variant (case "missing") (case "other" string)))
    (export "error" (type $error (eq $raw)))
    (export "ask" (func (param "key" string) (result string)))
    (export "try" (func (param "key" string) (result (result string (error string)))))
    (export "attempt" (func (param "key" string) (result (result string (error $error)))))
    (export "tell" (func (param "key" string)))))
  (alias export $far "error" (type $error))
  {LIBC}
  (core func $ask (canon lower (func $far "ask") {CANONICAL}))
  (core func $try (canon lower (func $far "try") {CANONICAL}))
  (core func $attempt (canon lower (func $far "attempt") {CANONICAL}))
  (core func $tell (canon lower (func $far "tell") {CANONICAL}))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (import "far" "ask" (func $ask (param i32 i32 i32)))
    (import "far" "try" (func $try (param i32 i32 i32)))
    (import "far" "attempt" (func $attempt (param i32 i32 i32)))
    (import "far" "tell" (func $tell (param i32 i32)))
    (global $count (mut i32) (i32.const 0))
    (func (export "hello") (param i32 i32) (result i32)
      (i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 4) (local.get 1)) (i32.const 0))
    (func (export "ask") (param i32 i32) (result i32)
      (call $ask (local.get 0) (local.get 1) (i32.const 0)) (i32.const 0))
    (func (export "try") (param i32 i32) (result i32)
      (call $try (local.get 0) (local.get 1) (i32.const 0)) (i32.const 0))
    (func (export "attempt") (param i32 i32) (result i32)
      (call $attempt (local.get 0) (local.get 1) (i32.const 0)) (i32.const 0))
    (func (export "tell") (param i32 i32) (call $tell (local.get 0) (local.get 1)))
    (func (export "count") (result i32)
      (global.set $count (i32.add (global.get $count) (i32.const 1))) (global.get $count))
    (func (export "spin") (loop $forever (br $forever)))
    (func (export "work") (param $n i32) (result i32) (local $x i32)
      (loop $more
        (local.set $x (i32.add (i32.mul (local.get $x) (i32.const 31)) (local.get $n)))
        (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (local.get $x))
    (func (export "toil") (param i32 i32) (result i32) (local $n i32)
      (local.set $n (i32.const 20000000))
      (loop $more (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (call $ask (local.get 0) (local.get 1) (i32.const 0))
      (local.set $n (i32.const 20000000))
      (loop $more (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (i32.const 0))
    (func (export "trap") unreachable)
    (func (export "eat") (result i32) (local $pages i32)
      (loop $more
        (if (i32.ne (memory.grow (i32.const 16)) (i32.const -1))
          (then (local.set $pages (i32.add (local.get $pages) (i32.const 16))) (br $more))))
      (local.get $pages))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest
    (with "libc" (instance $libc))
    (with "far" (instance
      (export "ask" (func $ask)) (export "try" (func $try))
      (export "attempt" (func $attempt)) (export "tell" (func $tell))))))
  (func $hello-f (param "name" string) (result string)
    (canon lift (core func $guest "hello") {_MEMORY} {_AFTER}))
  (func $ask-f (param "key" string) (result string)
    (canon lift (core func $guest "ask") {_MEMORY} {_AFTER}))
  (func $try-f (param "key" string) (result (result string (error string)))
    (canon lift (core func $guest "try") {_MEMORY} {_AFTER}))
  (func $attempt-f (param "key" string) (result (result string (error $error)))
    (canon lift (core func $guest "attempt") {_MEMORY} {_AFTER}))
  (func $toil-f (param "key" string) (result string)
    (canon lift (core func $guest "toil") {_MEMORY} {_AFTER}))
  (func $tell-f (param "key" string) (canon lift (core func $guest "tell") {_MEMORY}))
  (func $count-f (result u32) (canon lift (core func $guest "count")))
  (func $spin-f (canon lift (core func $guest "spin")))
  (func $work-f (param "n" u32) (result u32) (canon lift (core func $guest "work")))
  (func $trap-f (canon lift (core func $guest "trap")))
  (func $eat-f (result u32) (canon lift (core func $guest "eat")))
  (instance $mischief
    (export "error" (type $error))
    (export "hello" (func $hello-f)) (export "ask" (func $ask-f)) (export "try" (func $try-f))
    (export "attempt" (func $attempt-f)) (export "tell" (func $tell-f)) (export "count" (func $count-f))
    (export "spin" (func $spin-f)) (export "work" (func $work-f)) (export "trap" (func $trap-f))
    (export "eat" (func $eat-f)) (export "toil" (func $toil-f)))
  (export "lath:test/mischief@1.2.0" (instance $mischief)))
""".encode()

SLEEPER: Final = b"""
(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.ready" (func (param "self" (borrow $pollable)) (result bool)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.3" (instance $clock
    (alias outer 1 $pollable (type $outer))
    (export "pollable" (type $pollable (eq $outer)))
    (export "now" (func (result u64)))
    (export "subscribe-instant" (func (param "when" u64) (result (own $pollable))))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $ready (canon lower (func $poll "[method]pollable.ready")))
  (core func $now (canon lower (func $clock "now")))
  (core func $at (canon lower (func $clock "subscribe-instant")))
  (core func $in (canon lower (func $clock "subscribe-duration")))
  (core func $drop (canon resource.drop $pollable))
  (core module $guest
    (import "" "block" (func $block (param i32)))
    (import "" "ready" (func $ready (param i32) (result i32)))
    (import "" "now" (func $now (result i64)))
    (import "" "at" (func $at (param i64) (result i32)))
    (import "" "in" (func $in (param i64) (result i32)))
    (import "" "drop" (func $drop (param i32)))
    (func $wait (param $timer i32) (result i32) (local $early i32)
      (local.set $early (call $ready (local.get $timer)))
      (call $block (local.get $timer))
      (i32.add (i32.mul (local.get $early) (i32.const 2)) (call $ready (local.get $timer)))
      (call $drop (local.get $timer)))
    (func (export "sleep") (param i64) (result i32) (call $wait (call $in (local.get 0))))
    (func (export "sleep-until") (param i64) (result i32)
      (call $wait (call $at (i64.add (call $now) (local.get 0))))))
  (core instance $guest (instantiate $guest (with "" (instance
    (export "block" (func $block)) (export "ready" (func $ready)) (export "now" (func $now))
    (export "at" (func $at)) (export "in" (func $in)) (export "drop" (func $drop))))))
  (func (export "sleep") (param "ns" u64) (result u32) (canon lift (core func $guest "sleep")))
  (func (export "sleep-until") (param "ns" u64) (result u32) (canon lift (core func $guest "sleep-until"))))
"""
"""`sleep` and `sleep-until` (both in nanoseconds from now) return 1: not ready before, ready after."""

PRINTER: Final = f"""
(component
  (import "wasi:io/error@0.2.0" (instance $errors (export "error" (type (sub resource)))))
  (alias export $errors "error" (type $error))
  (import "wasi:io/streams@0.2.1" (instance $streams
    (export "output-stream" (type $stream (sub resource)))
    (alias outer 1 $error (type $outer))
    (export "error" (type $error (eq $outer)))
    (type $raw (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $raw)))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $stream)) (param "contents" (list u8))
        (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $stream))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $stream (type $outer))
    (export "output-stream" (type $stream (eq $outer)))
    (export "get-stdout" (func (result (own $stream))))))
  (import "wasi:cli/stderr@0.2.0" (instance $stderr
    (alias outer 1 $stream (type $outer))
    (export "output-stream" (type $stream (eq $outer)))
    (export "get-stderr" (func (result (own $stream))))))
  {LIBC}
  (core func $get-stdout (canon lower (func $stdout "get-stdout")))
  (core func $get-stderr (canon lower (func $stderr "get-stderr")))
  (core func $drop (canon resource.drop $stream))
  (core func $write
    (canon lower (func $streams "[method]output-stream.blocking-write-and-flush") {CANONICAL}))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "" "get-stdout" (func $get-stdout (result i32)))
    (import "" "get-stderr" (func $get-stderr (result i32)))
    (import "" "write" (func $write (param i32 i32 i32 i32)))
    (import "" "drop" (func $drop (param i32)))
    (func $print (param $stream i32) (param $at i32) (param $size i32)
      (call $write (local.get $stream) (local.get $at) (local.get $size) (i32.const 0))
      (call $drop (local.get $stream)))
    (func (export "print") (param i32 i32) (call $print (call $get-stdout) (local.get 0) (local.get 1)))
    (func (export "complain") (param i32 i32) (call $print (call $get-stderr) (local.get 0) (local.get 1)))
    (func (export "abort") (param i32 i32)
      (call $print (call $get-stderr) (local.get 0) (local.get 1)) unreachable))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc)) (with "" (instance
    (export "get-stdout" (func $get-stdout)) (export "get-stderr" (func $get-stderr))
    (export "write" (func $write)) (export "drop" (func $drop))))))
  (func (export "print") (param "text" string) (canon lift (core func $guest "print") {CANONICAL}))
  (func (export "complain") (param "text" string) (canon lift (core func $guest "complain") {CANONICAL}))
  (func (export "abort") (param "text" string) (canon lift (core func $guest "abort") {CANONICAL})))
""".encode()

BUCKETS: Final = f"""
(component
  (import "lath:test/store@1.0.0" (instance $store
    (export "bucket" (type $bucket (sub resource)))
    (export "open" (func (param "name" string) (result (result (own $bucket) (error string)))))
    (export "close" (func (param "bucket" (own $bucket))))
    (export "[method]bucket.get"
      (func (param "self" (borrow $bucket)) (param "key" string) (result string)))))
  (alias export $store "bucket" (type $bucket))
  (import "lath:test/atomics@1.0.0" (instance $atomics
    (alias outer 1 $bucket (type $outer))
    (export "bucket" (type $bucket (eq $outer)))
    (export "size" (func (param "bucket" (borrow $bucket)) (result u32)))))
  {LIBC}
  (core func $open (canon lower (func $store "open") {CANONICAL}))
  (core func $close (canon lower (func $store "close")))
  (core func $get (canon lower (func $store "[method]bucket.get") {CANONICAL}))
  (core func $size (canon lower (func $atomics "size")))
  (core func $drop (canon resource.drop $bucket))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (import "" "open" (func $open (param i32 i32 i32)))
    (import "" "close" (func $close (param i32)))
    (import "" "get" (func $get (param i32 i32 i32 i32)))
    (import "" "size" (func $size (param i32) (result i32)))
    (import "" "drop" (func $drop (param i32)))
    (func $opened (param i32 i32) (result i32)
      (call $open (local.get 0) (local.get 1) (i32.const 16))
      (if (i32.load8_u (i32.const 16)) (then unreachable))
      (i32.load (i32.const 20)))
    (func (export "read") (param i32 i32) (result i32) (local $bucket i32)
      (local.set $bucket (call $opened (local.get 0) (local.get 1)))
      (call $get (local.get $bucket) (local.get 0) (local.get 1) (i32.const 0))
      (call $drop (local.get $bucket))
      (i32.const 0))
    (func (export "give-away") (param i32 i32) (call $close (call $opened (local.get 0) (local.get 1))))
    (func (export "hoard") (param i32 i32) (drop (call $opened (local.get 0) (local.get 1))) (call $reset))
    (func (export "measure") (param i32 i32) (result i32) (local $bucket i32)
      (local.set $bucket (call $opened (local.get 0) (local.get 1)))
      (call $size (local.get $bucket))
      (call $drop (local.get $bucket)))
    (func (export "pass-own") (param i32) (result i32) (local.get 0))
    (func (export "use-own") (param i32) (result i32)
      (call $size (local.get 0)) (call $drop (local.get 0)))
    (func (export "use-borrow") (param i32) (result i32)
      (call $size (local.get 0)) (call $drop (local.get 0)))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc)) (with "" (instance
    (export "open" (func $open)) (export "close" (func $close)) (export "get" (func $get))
    (export "size" (func $size)) (export "drop" (func $drop))))))
  (func (export "read") (param "name" string) (result string)
    (canon lift (core func $guest "read") {_MEMORY} {_AFTER}))
  (func (export "give-away") (param "name" string) (canon lift (core func $guest "give-away") {CANONICAL}))
  (func (export "hoard") (param "name" string) (canon lift (core func $guest "hoard") {CANONICAL}))
  (func (export "measure") (param "name" string) (result u32)
    (canon lift (core func $guest "measure") {CANONICAL}))
  (func (export "pass-own") (param "bucket" (own $bucket)) (result (own $bucket))
    (canon lift (core func $guest "pass-own")))
  (func (export "use-own") (param "bucket" (own $bucket)) (result u32)
    (canon lift (core func $guest "use-own")))
  (func (export "use-borrow") (param "bucket" (borrow $bucket)) (result u32)
    (canon lift (core func $guest "use-borrow"))))
""".encode()


class Context(CallContext):
    """A call's context with a name to tell it by."""

    def __init__(self, name: str = "") -> None:
        self.name = name


async def no_imports(import_: Import, context: CallContext, params: list[Any]) -> Any:
    """Answers no import."""
    raise AssertionError(f"{import_.name} {import_.function} was not expected to be called")
