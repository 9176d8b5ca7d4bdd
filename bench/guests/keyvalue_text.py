"""A component in text form that reads a key of wasi:keyvalue again and again."""

from __future__ import annotations

from typing import Final

from bench.guests import LIBC
from lath.names import InterfaceName

GETS: Final = InterfaceName("bench", "gets", "gets")
STORE: Final = InterfaceName("wasi", "keyvalue", "store")
KEY: Final = "key"

_CANONICAL: Final = "(memory $memory) (realloc $realloc)"

TEXT_GETS: Final = f"""
(component
  (import "wasi:keyvalue/store@0.2.0-draft" (instance $store
    (export "bucket" (type $bucket (sub resource)))
    (type $why (variant (case "no-such-store") (case "access-denied") (case "other" string)))
    (export "error" (type $error (eq $why)))
    (export "open" (func (param "identifier" string) (result (result (own $bucket) (error $error)))))
    (export "[method]bucket.get" (func (param "self" (borrow $bucket)) (param "key" string)
      (result (result (option (list u8)) (error $error)))))))
  {LIBC}
  (alias export $store "bucket" (type $bucket))
  (core func $open (canon lower (func $store "open") {_CANONICAL}))
  (core func $get (canon lower (func $store "[method]bucket.get") {_CANONICAL}))
  (core func $drop (canon resource.drop $bucket))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (import "" "open" (func $open (param i32 i32 i32)))
    (import "" "get" (func $get (param i32 i32 i32 i32)))
    (import "" "drop" (func $drop (param i32)))
    (data (i32.const 1024) "{KEY}")
    (func (export "run") (param $count i32) (result i32)
      (local $bucket i32) (local $found i32)
      (call $open (i32.const 0) (i32.const 0) (i32.const 64))
      (if (i32.load8_u (i32.const 64)) (then unreachable))
      (local.set $bucket (i32.load (i32.const 68)))
      (block $done (loop $again
        (br_if $done (i32.eqz (local.get $count)))
        (call $get (local.get $bucket) (i32.const 1024) (i32.const {len(KEY)}) (i32.const 64))
        (if (i32.load8_u (i32.const 64)) (then unreachable))
        (local.set $found (i32.add (local.get $found) (i32.load8_u (i32.const 68))))
        (call $reset)
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $again)))
      (call $drop (local.get $bucket))
      (local.get $found)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc)) (with "" (instance
    (export "open" (func $open)) (export "get" (func $get)) (export "drop" (func $drop))))))
  (func $run (param "count" u32) (result u32) (canon lift (core func $guest "run")))
  (instance $out (export "run" (func $run)))
  (export "{GETS}@0.1.0" (instance $out)))
"""
"""`run(count)` opens the bucket of its link, gets the key so often, and returns how often it was there."""
