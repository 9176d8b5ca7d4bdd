"""A component in text form that chooses its links by `wasmcloud:bus/lattice`."""

from __future__ import annotations

from typing import Final

from guests import LIBC

_CANONICAL: Final = "(memory $memory) (realloc $realloc)"
_SIGNATURE: Final = '(param "text" string) (result string)'
_FUNCTIONS: Final = ("say", "choose", "labelled", "twice", "name")


def chooser(bus_version: str = "2.0.1", label: str = "fixed") -> str:
    """Exports `test:words/front` with functions from string to string; imports `test:words/echo` twice.

    - `say`: what `echo` says to the text.
    - `choose`: chooses the link that the text names, for `echo`; then as `say`. Returns the error, if any.
    - `labelled`: the same, and calls the import that says by its label that it implements `echo`.
    - `twice`: chooses the link `first` and asks, chooses the link `second` and asks with the answer.
    - `name`: makes a `call-target-interface` with the text as interface.

    Args:
        bus_version: Of `wasmcloud:bus`; from 2.0.0 on `set-link-name` has a result.
        label: Of the second import.
    """
    has_result = not bus_version.startswith("1.")
    result, area = ("(result (result (error string)))", "(i32.const 32)") if has_result else ("", "")
    exports = " ".join(f'(export "{name}" (func ${name}))' for name in _FUNCTIONS)
    lifted = "\n".join(
        f'(func ${name} {_SIGNATURE} (canon lift (core func $guest "{name}") {_CANONICAL} '
        '(post-return (core func $guest "after"))))'
        for name in _FUNCTIONS
    )
    return f"""
(component
  (import "wasmcloud:bus/lattice@{bus_version}" (instance $bus
    (export "call-target-interface" (type $target (sub resource)))
    (export "[constructor]call-target-interface" (func
      (param "namespace" string) (param "package" string) (param "interface" string) (result (own $target))))
    (export "set-link-name" (func (param "name" string) (param "interfaces" (list (own $target))) {result}))))
  (import "test:words/echo@1.0.0" (instance $echo (export "say" (func {_SIGNATURE}))))
  (import "{label}" (implements "test:words/echo@1.0.0")
    (instance $fixed (export "say" (func {_SIGNATURE}))))
  (alias export $bus "call-target-interface" (type $target))
  {LIBC}
  (core func $make (canon lower (func $bus "[constructor]call-target-interface") {_CANONICAL}))
  (core func $set (canon lower (func $bus "set-link-name") {_CANONICAL}))
  (core func $drop (canon resource.drop $target))
  (core func $echo-say (canon lower (func $echo "say") {_CANONICAL}))
  (core func $fixed-say (canon lower (func $fixed "say") {_CANONICAL}))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (import "" "make" (func $make (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "" "set" (func $set (param i32 i32 i32 i32 {"i32" if has_result else ""})))
    (import "" "drop" (func $drop (param i32)))
    (import "" "echo" (func $echo (param i32 i32 i32)))
    (import "" "fixed" (func $fixed (param i32 i32 i32)))
    (data (i32.const 1024) "testwordsechofirstsecond")
    ;; Chooses a link for test:words/echo. At 0 is then the error, if it returns 1.
    (func $choose (param $name i32) (param $bytes i32) (result i32)
      (i32.store (i32.const 16) (call $make (i32.const 1024) (i32.const 4) (i32.const 1028) (i32.const 5)
        (i32.const 1033) (i32.const 4)))
      (i32.store8 (i32.const 32) (i32.const 0))
      (call $set (local.get $name) (local.get $bytes) (i32.const 16) (i32.const 1) {area})
      (i32.store (i32.const 0) (i32.load (i32.const 36)))
      (i32.store (i32.const 4) (i32.load (i32.const 40)))
      (i32.load8_u (i32.const 32)))
    (func (export "say") (param i32 i32) (result i32)
      (call $echo (local.get 0) (local.get 1) (i32.const 0)) (i32.const 0))
    (func (export "choose") (param i32 i32) (result i32)
      (if (i32.eqz (call $choose (local.get 0) (local.get 1)))
        (then (call $echo (local.get 0) (local.get 1) (i32.const 0))))
      (i32.const 0))
    (func (export "labelled") (param i32 i32) (result i32)
      (if (i32.eqz (call $choose (local.get 0) (local.get 1)))
        (then (call $fixed (local.get 0) (local.get 1) (i32.const 0))))
      (i32.const 0))
    (func (export "twice") (param i32 i32) (result i32)
      (drop (call $choose (i32.const 1037) (i32.const 5)))
      (call $echo (local.get 0) (local.get 1) (i32.const 48))
      (drop (call $choose (i32.const 1042) (i32.const 6)))
      (call $echo (i32.load (i32.const 48)) (i32.load (i32.const 52)) (i32.const 0))
      (i32.const 0))
    (func (export "name") (param i32 i32) (result i32)
      (call $drop (call $make (i32.const 1024) (i32.const 4) (i32.const 1028) (i32.const 5)
        (local.get 0) (local.get 1)))
      (i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 4) (local.get 1))
      (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc)) (with "" (instance
    (export "make" (func $make)) (export "set" (func $set)) (export "drop" (func $drop))
    (export "echo" (func $echo-say)) (export "fixed" (func $fixed-say))))))
  {lifted}
  (instance $out {exports})
  (export "test:words/front@1.0.0" (instance $out)))
"""
