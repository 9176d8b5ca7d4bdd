"""Components in text form that call each other, for tests of where calls run."""

from __future__ import annotations

from typing import Final

from guests import LIBC
from resource_guests import COUNTERS_NAME

FRONT: Final = "test:words/front@1.0.0"
ECHO: Final = "test:words/echo@1.0.0"
_CANONICAL: Final = "(memory $memory) (realloc $realloc)"
_AFTER: Final = '(post-return (core func $guest "after"))'
_SIGNATURE: Final = '(param "text" string) (result string)'


def counter(interface: str = ECHO) -> str:
    """Exports `say: func(text: string) -> string`: how often this instance was called, as one digit."""
    return f"""
(component
  {LIBC}
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (global $count (mut i32) (i32.const 48))
    (func (export "say") (param i32 i32) (result i32)
      (global.set $count (i32.add (global.get $count) (i32.const 1)))
      (i32.store8 (i32.const 16) (global.get $count))
      (i32.store (i32.const 0) (i32.const 16))
      (i32.store (i32.const 4) (i32.const 1))
      (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc))))
  (func $say {_SIGNATURE} (canon lift (core func $guest "say") {_CANONICAL} {_AFTER}))
  (instance $out (export "say" (func $say)))
  (export "{interface}" (instance $out)))
"""


def swelling(interface: str, imported: str = "", size_bytes: int = 64 * 1024 * 1024) -> str:
    """Exports `say: func(text: string) -> string`, which passes on or returns `size_bytes` more than it got.

    Args:
        interface: The exported one.
        imported: Where given, the text goes there, and its answer comes back; else the text comes back.
        size_bytes: Of NUL characters, behind the text.
    """
    pages = size_bytes // 65536 + 2
    far, lowered, given, imports = "", "", "", ""
    answer = "(i32.store (i32.const 0) (i32.const 131072)) (i32.store (i32.const 4) (local.get $bytes))"
    if imported:
        far = f'(import "{imported}" (instance $far (export "say" (func {_SIGNATURE}))))'
        lowered = f'(core func $far-say (canon lower (func $far "say") {_CANONICAL}))'
        given = '(with "far" (instance (export "say" (func $far-say))))'
        imports = '(import "far" "say" (func $far (param i32 i32 i32)))'
        answer = "(call $far (i32.const 131072) (local.get $bytes) (i32.const 0))"
    return f"""
(component
  {far}
  {LIBC}
  {lowered}
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    {imports}
    (func (export "say") (param $text i32) (param $bytes i32) (result i32)
      (drop (memory.grow (i32.const {pages})))
      (memory.copy (i32.const 131072) (local.get $text) (local.get $bytes))
      (local.set $bytes (i32.add (local.get $bytes) (i32.const {size_bytes})))
      {answer}
      (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc)) {given}))
  (func $say {_SIGNATURE} (canon lift (core func $guest "say") {_CANONICAL} {_AFTER}))
  (instance $out (export "say" (func $say)))
  (export "{interface}" (instance $out)))
"""


def at_interface(source: bytes, interface: str) -> bytes:
    """A component of `engine_components` with what it exports, types included, behind an interface."""
    inner = source.decode().strip().removeprefix("(component").removesuffix(")")
    return f"""
(component
  (component $inner {inner})
  (instance $out (instantiate $inner))
  (export "{interface}" (instance $out)))
""".encode()


def reader_of_handles(exported: str = "test:placed/reader@1.0.0") -> str:
    """Exports `read: func(of: own<bucket>, key: string) -> string`, of a bucket of `lath:test/store`."""
    return f"""
(component
  (import "lath:test/store@1.0.0" (instance $store
    (export "bucket" (type $bucket (sub resource)))
    (export "[method]bucket.get"
      (func (param "self" (borrow $bucket)) (param "key" string) (result string)))))
  (alias export $store "bucket" (type $bucket))
  {LIBC}
  (core func $get (canon lower (func $store "[method]bucket.get") {_CANONICAL}))
  (core func $drop (canon resource.drop $bucket))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (import "" "get" (func $get (param i32 i32 i32 i32)))
    (import "" "drop" (func $drop (param i32)))
    (func (export "read") (param $bucket i32) (param i32 i32) (result i32)
      (call $get (local.get $bucket) (local.get 1) (local.get 2) (i32.const 0))
      (call $drop (local.get $bucket))
      (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc)) (with "" (instance
    (export "get" (func $get)) (export "drop" (func $drop))))))
  (func $read (param "of" (own $bucket)) (param "key" string) (result string)
    (canon lift (core func $guest "read") {_CANONICAL} {_AFTER}))
  (instance $out (export "bucket" (type $bucket)) (export "read" (func $read)))
  (export "{exported}" (instance $out)))
"""


def opener_of_handles(imported: str = "test:placed/reader@1.0.0") -> str:
    """Exports `say: func(text: string) -> string`: opens the bucket of that name, for the reader."""
    return f"""
(component
  (import "lath:test/store@1.0.0" (instance $store
    (export "bucket" (type $bucket (sub resource)))
    (export "open" (func (param "name" string) (result (result (own $bucket) (error string)))))))
  (alias export $store "bucket" (type $bucket))
  (import "{imported}" (instance $reader
    (alias outer 1 $bucket (type $outer))
    (export "bucket" (type $bucket (eq $outer)))
    (export "read" (func (param "of" (own $bucket)) (param "key" string) (result string)))))
  {LIBC}
  (core func $open (canon lower (func $store "open") {_CANONICAL}))
  (core func $read (canon lower (func $reader "read") {_CANONICAL}))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (import "" "open" (func $open (param i32 i32 i32)))
    (import "" "read" (func $read (param i32 i32 i32 i32)))
    (func (export "say") (param i32 i32) (result i32)
      (call $open (local.get 0) (local.get 1) (i32.const 16))
      (if (i32.load8_u (i32.const 16)) (then (unreachable)))
      (call $read (i32.load (i32.const 20)) (local.get 0) (local.get 1) (i32.const 0))
      (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc)) (with "" (instance
    (export "open" (func $open)) (export "read" (func $read))))))
  (func $say {_SIGNATURE} (canon lift (core func $guest "say") {_CANONICAL} {_AFTER}))
  (instance $out (export "say" (func $say)))
  (export "{FRONT}" (instance $out)))
"""


def trying(imported: str = "test:placed/risky@1.0.0") -> str:
    """Exports `say: func(text: string) -> string`: the answer of the risky function, or its error."""
    return f"""
(component
  (import "{imported}" (instance $far
    (export "attempt" (func (param "text" string) (result (result string (error string)))))))
  {LIBC}
  (core func $attempt (canon lower (func $far "attempt") {_CANONICAL}))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (import "" "attempt" (func $attempt (param i32 i32 i32)))
    (func (export "say") (param i32 i32) (result i32)
      (call $attempt (local.get 0) (local.get 1) (i32.const 16))
      (i32.store (i32.const 0) (i32.load (i32.const 20)))
      (i32.store (i32.const 4) (i32.load (i32.const 24)))
      (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc)) (with "" (instance
    (export "attempt" (func $attempt))))))
  (func $say {_SIGNATURE} (canon lift (core func $guest "say") {_CANONICAL} {_AFTER}))
  (instance $out (export "say" (func $say)))
  (export "{FRONT}" (instance $out)))
"""


def risky(interface: str = "test:placed/risky@1.0.0") -> str:
    """Exports `attempt: func(text: string) -> result<string, string>`.

    What begins with `o` is ok, with `e` an error; the rest traps.
    """
    return f"""
(component
  {LIBC}
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (func (export "attempt") (param i32 i32) (result i32)
      (i32.store (i32.const 4) (local.get 0))
      (i32.store (i32.const 8) (local.get 1))
      (i32.store8 (i32.const 0) (i32.eq (i32.load8_u (local.get 0)) (i32.const 101)))
      (if (i32.and (i32.eqz (i32.load8_u (i32.const 0))) (i32.ne (i32.load8_u (local.get 0)) (i32.const 111)))
        (then (unreachable)))
      (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc))))
  (func $attempt (param "text" string) (result (result string (error string)))
    (canon lift (core func $guest "attempt") {_CANONICAL} {_AFTER}))
  (instance $out (export "attempt" (func $attempt)))
  (export "{interface}" (instance $out)))
"""


def both(near: str = ECHO, far: str = "test:words/middle@1.0.0") -> str:
    """Exports `say: func(text: string) -> string`: what `far` says of what `near` says."""
    return f"""
(component
  (import "{near}" (instance $near (export "say" (func {_SIGNATURE}))))
  (import "{far}" (instance $far (export "say" (func {_SIGNATURE}))))
  {LIBC}
  (core func $near-say (canon lower (func $near "say") {_CANONICAL}))
  (core func $far-say (canon lower (func $far "say") {_CANONICAL}))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (import "" "near" (func $near (param i32 i32 i32)))
    (import "" "far" (func $far (param i32 i32 i32)))
    (func (export "say") (param i32 i32) (result i32)
      (call $near (local.get 0) (local.get 1) (i32.const 16))
      (call $far (i32.load (i32.const 16)) (i32.load (i32.const 20)) (i32.const 0))
      (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc)) (with "" (instance
    (export "near" (func $near-say)) (export "far" (func $far-say))))))
  (func $say {_SIGNATURE} (canon lift (core func $guest "say") {_CANONICAL} {_AFTER}))
  (instance $out (export "say" (func $say)))
  (export "{FRONT}" (instance $out)))
"""


def maker_of_counters() -> str:
    """Exports `say: func(text: string) -> string`: the text's length, as a digit, by a `counter`."""
    return f"""
(component
  (import "{COUNTERS_NAME}" (instance $counters
    (export "counter" (type $counter (sub resource)))
    (export "[constructor]counter" (func (param "start" u32) (result (own $counter))))
    (export "[method]counter.add" (func (param "self" (borrow $counter)) (param "n" u32) (result u32)))
    (export "[static]counter.take" (func (param "c" (own $counter)) (result u32)))))
  (alias export $counters "counter" (type $counter))
  {LIBC}
  (core func $new (canon lower (func $counters "[constructor]counter")))
  (core func $add (canon lower (func $counters "[method]counter.add")))
  (core func $take (canon lower (func $counters "[static]counter.take")))
  (core func $drop (canon resource.drop $counter))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (import "" "new" (func $new (param i32) (result i32)))
    (import "" "add" (func $add (param i32 i32) (result i32)))
    (import "" "take" (func $take (param i32) (result i32)))
    (import "" "drop" (func $drop (param i32)))
    (func (export "say") (param i32 i32) (result i32) (local $counter i32)
      (call $drop (call $new (i32.const 1)))
      (local.set $counter (call $new (local.get 1)))
      (drop (call $add (local.get $counter) (i32.const 48)))
      (i32.store8 (i32.const 16) (call $take (local.get $counter)))
      (i32.store (i32.const 0) (i32.const 16))
      (i32.store (i32.const 4) (i32.const 1))
      (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc)) (with "" (instance
    (export "new" (func $new)) (export "add" (func $add)) (export "take" (func $take))
    (export "drop" (func $drop))))))
  (func $say {_SIGNATURE} (canon lift (core func $guest "say") {_CANONICAL} {_AFTER}))
  (instance $out (export "say" (func $say)))
  (export "{FRONT}" (instance $out)))
"""
