"""A component in text form that opens a key-value bucket by the name that it is given."""

from __future__ import annotations

from guests import LIBC


def opener(exported: str) -> str:
    """Exports `say: func(text: string) -> string`: `opened`, `no such store`, or what else was the matter."""
    return f"""
(component
  (import "wasi:keyvalue/store@0.2.0-draft" (instance $store
    (export "bucket" (type $bucket (sub resource)))
    (type $raw (variant (case "no-such-store") (case "access-denied") (case "other" string)))
    (export "error" (type $error (eq $raw)))
    (export "open"
      (func (param "identifier" string) (result (result (own $bucket) (error $error)))))))
  {LIBC}
  (core func $open (canon lower (func $store "open") (memory $memory) (realloc $realloc)))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (import "store" "open" (func $open (param i32 i32 i32)))
    (data (i32.const 1024) "openedno such store")
    ;; At 16: whether it failed; at 20 the handle or the case; at 24 and 28 the text of the case `other`.
    (func (export "say") (param i32 i32) (result i32)
      (call $open (local.get 0) (local.get 1) (i32.const 16))
      (i32.store (i32.const 0) (i32.const 1024))
      (i32.store (i32.const 4) (i32.const 6))
      (if (i32.load8_u (i32.const 16)) (then
        (i32.store (i32.const 0) (i32.const 1030))
        (i32.store (i32.const 4) (i32.const 13))
        (if (i32.eq (i32.load8_u (i32.const 20)) (i32.const 2)) (then
          (i32.store (i32.const 0) (i32.load (i32.const 24)))
          (i32.store (i32.const 4) (i32.load (i32.const 28)))))))
      (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest
    (with "libc" (instance $libc))
    (with "store" (instance (export "open" (func $open))))))
  (func $say (param "text" string) (result string)
    (canon lift (core func $guest "say") (memory $memory) (realloc $realloc)
      (post-return (core func $guest "after"))))
  (instance $out (export "say" (func $say)))
  (export "{exported}" (instance $out)))
"""
