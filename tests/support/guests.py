"""Small components in text form, for tests of whole hosts: one interface, functions from string to string."""

from __future__ import annotations

from typing import Final

LIBC: Final = """
  (core module $libc-module
    (memory (export "memory") 2)
    (global $next (mut i32) (i32.const 4096))
    (func (export "realloc") (param i32 i32 i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get $size)))
      (block $enough
        (br_if $enough (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
        (drop (memory.grow (i32.add (i32.div_u (local.get $size) (i32.const 65536)) (i32.const 1)))))
      (local.get $at))
    (func (export "reset") (global.set $next (i32.const 4096))))
  (core instance $libc (instantiate $libc-module))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
  (alias core export $libc "reset" (core func $reset))
"""
_CANONICAL: Final = "(memory $memory) (realloc $realloc)"
_AFTER: Final = '(post-return (core func $guest "after"))'
_SIGNATURE: Final = '(param "text" string) (result string)'


def echo(interface: str = "test:words/echo@1.0.0", tag: str = "") -> str:
    """Exports `say: func(text: string) -> string`, which returns its text with `tag` in front of it.

    Also `loop` (never ends), `trap` and `grow` (takes memory until it is refused), of the same type.
    """
    data = "".join(f"\\{byte:02x}" for byte in tag.encode())
    tag_bytes = len(tag.encode())
    functions = ("say", "loop", "trap", "grow")
    lifted = "\n".join(
        f'(func ${name} {_SIGNATURE} (canon lift (core func $guest "{name}") {_CANONICAL} {_AFTER}))'
        for name in functions
    )
    exports = " ".join(f'(export "{name}" (func ${name}))' for name in functions)
    return f"""
(component
  {LIBC}
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
    (import "libc" "reset" (func $reset))
    (data (i32.const 1024) "{data}")
    (func (export "say") (param $text i32) (param $bytes i32) (result i32)
      (local $at i32)
      (local.set $at (call $realloc (i32.const 0) (i32.const 0) (i32.const 1)
        (i32.add (local.get $bytes) (i32.const {tag_bytes}))))
      (memory.copy (local.get $at) (i32.const 1024) (i32.const {tag_bytes}))
      (memory.copy (i32.add (local.get $at) (i32.const {tag_bytes})) (local.get $text) (local.get $bytes))
      (i32.store (i32.const 0) (local.get $at))
      (i32.store (i32.const 4) (i32.add (local.get $bytes) (i32.const {tag_bytes})))
      (i32.const 0))
    (func (export "loop") (param i32 i32) (result i32) (loop $again (br $again)) (unreachable))
    (func (export "trap") (param i32 i32) (result i32) (unreachable))
    (func (export "grow") (param i32 i32) (result i32)
      (loop $again (br_if $again (i32.ne (memory.grow (i32.const 64)) (i32.const -1))))
      (unreachable))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc))))
  {lifted}
  (instance $out {exports})
  (export "{interface}" (instance $out)))
"""


def relay(
    exported: str = "test:words/front@1.0.0",
    imported: str = "test:words/echo@1.0.0",
    label: str = "",
    function: str = "say",
) -> str:
    """Exports `say: func(text: string) -> string`, which asks the imported function and returns its answer.

    Args:
        exported: The exported interface.
        imported: The imported interface.
        label: Where given, the import is called so and says that it implements `imported`.
        function: The imported function, of the same type.
    """
    name = f'"{label}" (implements "{imported}")' if label else f'"{imported}"'
    return f"""
(component
  (import {name} (instance $far (export "{function}" (func {_SIGNATURE}))))
  {LIBC}
  (core func $far-say (canon lower (func $far "{function}") {_CANONICAL}))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (import "far" "say" (func $say (param i32 i32 i32)))
    (func (export "say") (param i32 i32) (result i32)
      (call $say (local.get 0) (local.get 1) (i32.const 0))
      (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest
    (with "libc" (instance $libc))
    (with "far" (instance (export "say" (func $far-say))))))
  (func $say {_SIGNATURE} (canon lift (core func $guest "say") {_CANONICAL} {_AFTER}))
  (instance $out (export "say" (func $say)))
  (export "{exported}" (instance $out)))
"""


def config_reader(exported: str = "test:words/front@1.0.0", *, draft: str = "0.2.0-rc.1") -> str:
    """Exports `say: func(text: string) -> string`: that key's value in `wasi:config/store`, or nothing.

    Args:
        exported: The exported interface.
        draft: The version of `wasi:config`: `get` of `0.2.0-rc.1` returns a result, that of `0.2.0-draft`
            the option itself.
    """
    result = "(result (option string) (error $error))" if draft == "0.2.0-rc.1" else "(option string)"
    at = 20 if draft == "0.2.0-rc.1" else 16
    return f"""
(component
  (import "wasi:config/store@{draft}" (instance $config
    (type $raw (variant (case "upstream" string) (case "io" string)))
    (export "error" (type $error (eq $raw)))
    (export "get" (func (param "key" string) (result {result})))))
  {LIBC}
  (core func $config-get (canon lower (func $config "get") {_CANONICAL}))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (import "config" "get" (func $get (param i32 i32 i32)))
    ;; At 16, where it is a result: whether it failed. Then whether there is a value, its address, its length.
    (func (export "say") (param i32 i32) (result i32)
      (call $get (local.get 0) (local.get 1) (i32.const 16))
      (if (i32.and (i32.ne (i32.const {at}) (i32.const 16)) (i32.load8_u (i32.const 16)))
        (then (unreachable)))
      (i32.store (i32.const 0) (i32.const 0))
      (i32.store (i32.const 4) (i32.const 0))
      (if (i32.load8_u (i32.const {at})) (then
        (i32.store (i32.const 0) (i32.load (i32.const {at + 4})))
        (i32.store (i32.const 4) (i32.load (i32.const {at + 8})))))
      (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest
    (with "libc" (instance $libc))
    (with "config" (instance (export "get" (func $config-get))))))
  (func $say {_SIGNATURE} (canon lift (core func $guest "say") {_CANONICAL} {_AFTER}))
  (instance $out (export "say" (func $say)))
  (export "{exported}" (instance $out)))
"""


def things(interface: str = "test:words/things@1.0.0") -> str:
    """Exports a resource of its own, `thing`, and `make: func() -> thing`."""
    return f"""
(component
  (component $inner
    (core module $guest (func (export "make") (result i32) (i32.const 1)))
    (core instance $instance (instantiate $guest))
    (type $raw (resource (rep i32)))
    (export $thing "thing" (type $raw))
    (func $make (result (own $thing)) (canon lift (core func $instance "make")))
    (export "make" (func $make)))
  (instance $out (instantiate $inner))
  (export "{interface}" (instance $out)))
"""
