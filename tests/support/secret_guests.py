"""Guests in text form that get and reveal secrets."""

from __future__ import annotations

from typing import Final

from guests import LIBC

KEEPER: Final = "test:words/keeper@1.0.0"
_MEMORY: Final = "(memory $memory) (realloc $realloc)"
NOT_FOUND: Final = "(there is no such secret)"


def keeper(version: str = "0.1.0-draft") -> str:
    """Exports `KEEPER`, functions of text to text.

    `hold` gets the secret of that name and keeps the handle; it returns nothing, or the error.
    `show` reveals what is held, whatever it is given.
    `say` does both. `look` does both, and returns nothing.
    """
    functions = ("hold", "show", "say", "look")
    signature = '(param "text" string) (result string)'
    lifted = "\n".join(
        f'(func ${name} {signature} (canon lift (core func $guest "{name}") {_MEMORY}))' for name in functions
    )
    exports = " ".join(f'(export "{name}" (func ${name}))' for name in functions)
    missing = "".join(f"\\{byte:02x}" for byte in NOT_FOUND.encode())
    return f"""
(component
  (import "wasmcloud:secrets/store@{version}" (instance $store
    (export "secret" (type $secret (sub resource)))
    (type $e (variant (case "upstream" string) (case "io" string) (case "not-found")))
    (export "secrets-error" (type $error (eq $e)))
    (type $v (variant (case "string" string) (case "bytes" (list u8))))
    (export "secret-value" (type $value (eq $v)))
    (export "get" (func (param "key" string) (result (result (own $secret) (error $error)))))))
  (alias export $store "secret" (type $secret))
  (alias export $store "secret-value" (type $value))
  (import "wasmcloud:secrets/reveal@{version}" (instance $reveal
    (export "secret" (type $s (eq $secret)))
    (export "secret-value" (type $v (eq $value)))
    (export "reveal" (func (param "s" (borrow $s)) (result $v)))))
  {LIBC}
  (core func $get-core (canon lower (func $store "get") {_MEMORY}))
  (core func $reveal-core (canon lower (func $reveal "reveal") {_MEMORY}))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "secrets" "get" (func $get (param i32 i32 i32)))
    (import "secrets" "reveal" (func $reveal (param i32 i32)))
    (global $held (mut i32) (i32.const 0))
    (data (i32.const 1024) "{missing}")
    (func $answer (param $at i32) (param $bytes i32) (result i32)
      (i32.store (i32.const 64) (local.get $at))
      (i32.store (i32.const 68) (local.get $bytes))
      (i32.const 64))
    ;; At 16: 0 and the handle at 20; or 1, then at 20 which error, its text at 24 and 28.
    (func $hold (export "hold") (param i32 i32) (result i32)
      (call $get (local.get 0) (local.get 1) (i32.const 16))
      (if (i32.load8_u (i32.const 16)) (then
        (if (i32.eq (i32.load8_u (i32.const 20)) (i32.const 2))
          (then (return (call $answer (i32.const 1024) (i32.const {len(NOT_FOUND)})))))
        (return (call $answer (i32.load (i32.const 24)) (i32.load (i32.const 28))))))
      (global.set $held (i32.load (i32.const 20)))
      (call $answer (i32.const 0) (i32.const 0)))
    (func $show (export "show") (param i32 i32) (result i32)
      (call $reveal (global.get $held) (i32.const 32))
      (call $answer (i32.load (i32.const 36)) (i32.load (i32.const 40))))
    (func (export "say") (param i32 i32) (result i32)
      (drop (call $hold (local.get 0) (local.get 1)))
      (if (result i32) (i32.load8_u (i32.const 16))
        (then (i32.const 64))
        (else (call $show (i32.const 0) (i32.const 0)))))
    (func (export "look") (param i32 i32) (result i32)
      (drop (call $hold (local.get 0) (local.get 1)))
      (drop (call $show (i32.const 0) (i32.const 0)))
      (call $answer (i32.const 0) (i32.const 0))))
  (core instance $guest (instantiate $guest
    (with "libc" (instance $libc))
    (with "secrets" (instance
      (export "get" (func $get-core)) (export "reveal" (func $reveal-core))))))
  {lifted}
  (instance $out {exports})
  (export "{KEEPER}" (instance $out)))
"""
