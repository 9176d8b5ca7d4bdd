"""Components in text form for the tests of the bytes bridge."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from engine_components import CANONICAL, LIBC, define

from lath.wit.types import Field, Func, TupleOf, Type
from lath_host.engine.compose.abi import core_func

FAR: Final = "lath:test/far@1.0.0"
NEAR: Final = "lath:test/near@1.0.0"


def relay(func: Func) -> bytes:
    """A component whose export `near.relay` calls its import `far.relay`; both have the signature `func`.

    All types have to be defined in one go, so they are defined as one tuple.
    """
    parts: list[Type] = [param.type for param in func.params] + ([func.result] if func.result else [])
    definitions, refs = _define_all(parts)
    params = " ".join(f'(param "{field.name}" {ref})' for field, ref in zip(func.params, refs, strict=False))
    signature = params + (f" (result {refs[-1]})" if func.result else "")
    named = range(definitions.count("(export "))
    core = core_func(func)
    inside = core.params + (("i32",) if core.returned else ())
    results = "" if core.returned else _typed("result", core.results)
    body = " ".join(f"(local.get {number})" for number in range(len(core.params)))
    call = f"(call $far {body} (i32.const 0)) (i32.const 0)" if core.returned else f"(call $far {body})"
    after = "-".join(["after", *core.results])
    return f"""
(component
  (import "{FAR}" (instance $far
    {definitions}
    (export "relay" (func {signature}))))
  {" ".join(f'(alias export $far "t{number}" (type $t{number}))' for number in named)}
  {LIBC}
  (core func $far-relay (canon lower (func $far "relay") {CANONICAL}))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (import "far" "relay" (func $far {_typed("param", inside)} {results}))
    (func (export "relay") {_typed("param", core.params)} {_typed("result", core.results)} {call})
    (func (export "{after}") {_typed("param", core.results)} (call $reset)))
  (core instance $guest (instantiate $guest
    (with "libc" (instance $libc))
    (with "far" (instance (export "relay" (func $far-relay))))))
  (func $relay {signature}
    (canon lift (core func $guest "relay") {CANONICAL} (post-return (core func $guest "{after}"))))
  (instance $near
    {" ".join(f'(export "t{number}" (type $t{number}))' for number in named)}
    (export "relay" (func $relay)))
  (export "{NEAR}" (instance $near)))
""".encode()


def _define_all(parts: list[Type]) -> tuple[str, list[str]]:
    """The definitions of several types, as they stand in an imported instance, and how to refer to each."""
    if not parts:
        return "", []
    definitions, name = define(TupleOf(tuple(parts)), imported=True)
    return definitions, _elements(name)


def _elements(text: str) -> list[str]:
    """The elements of `(tuple a (b c) …)`."""
    elements, depth, current = [], 0, ""
    for char in text.removeprefix("(tuple ").removesuffix(")"):
        depth += (char == "(") - (char == ")")
        if char == " " and not depth:
            elements.append(current)
            current = ""
        else:
            current += char
    return [*elements, current]


def _typed(what: str, types: Iterable[str]) -> str:
    return f"({what} {' '.join(types)})"


def with_bytes(func: Func, data: Type) -> Func:
    """`func` with a parameter `raw-data` in front."""
    return Func((Field("raw-data", data), *func.params), func.result)


STORE: Final = "lath:test/store@1.0.0"
VAULT: Final = f"""
(component
  (import "{STORE}" (instance $store
    (export "bucket" (type $bucket (sub resource)))
    (type $raw (variant (case "missing") (case "other" string)))
    (export "error" (type $error (eq $raw)))
    (export "open" (func (param "name" string) (result (own $bucket))))
    (export "close" (func (param "bucket" (own $bucket))))
    (export "[method]bucket.get" (func (param "self" (borrow $bucket)) (param "key" string)
      (result (result (option (list u8)) (error $error)))))
    (export "seal" (func (param "bucket" (own $bucket)) (param "data" (list u8)) (result (own $bucket))))
    (export "copy" (func (param "to" (list (borrow $bucket))) (param "data" (list u8)) (result u32)))))
  (alias export $store "bucket" (type $bucket))
  (alias export $store "error" (type $error))
  {LIBC}
  (core func $open (canon lower (func $store "open") {CANONICAL}))
  (core func $close (canon lower (func $store "close")))
  (core func $get (canon lower (func $store "[method]bucket.get") {CANONICAL}))
  (core func $seal (canon lower (func $store "seal") {CANONICAL}))
  (core func $copy (canon lower (func $store "copy") {CANONICAL}))
  (core func $drop (canon resource.drop $bucket))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (import "" "open" (func $open (param i32 i32) (result i32)))
    (import "" "close" (func $close (param i32)))
    (import "" "get" (func $get (param i32 i32 i32 i32)))
    (import "" "seal" (func $seal (param i32 i32 i32) (result i32)))
    (import "" "copy" (func $copy (param i32 i32 i32 i32) (result i32)))
    (import "" "drop" (func $drop (param i32)))
    (func (export "read") (param $bucket i32) (param $key i32) (param $size i32) (result i32)
      (call $get (local.get $bucket) (local.get $key) (local.get $size) (i32.const 0))
      (call $drop (local.get $bucket))
      (i32.const 0))
    (func (export "seal") (param i32 i32 i32) (result i32)
      (call $seal (local.get 0) (local.get 1) (local.get 2)))
    (func (export "copy") (param $bucket i32) (param $at i32) (param $size i32) (result i32)
      (i32.store (i32.const 64) (local.get $bucket))
      (call $copy (i32.const 64) (i32.const 1) (local.get $at) (local.get $size))
      (call $drop (local.get $bucket)))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc)) (with "" (instance
    (export "open" (func $open)) (export "close" (func $close)) (export "get" (func $get))
    (export "seal" (func $seal)) (export "copy" (func $copy)) (export "drop" (func $drop))))))
  (func $read (param "from" (borrow $bucket)) (param "key" string)
    (result (result (option (list u8)) (error $error)))
    (canon lift (core func $guest "read") {CANONICAL} (post-return (core func $guest "after"))))
  (func $seal-f (param "bucket" (own $bucket)) (param "data" (list u8)) (result (own $bucket))
    (canon lift (core func $guest "seal") {CANONICAL}))
  (func $copy-f (param "to" (borrow $bucket)) (param "data" (list u8)) (result u32)
    (canon lift (core func $guest "copy") {CANONICAL}))
  (instance $vault
    (export "error" (type $error)) (export "bucket" (type $bucket))
    (export "read" (func $read)) (export "seal" (func $seal-f)) (export "copy" (func $copy-f)))
  (export "lath:test/vault@1.0.0" (instance $vault)))
""".encode()
"""Takes handles of an imported resource beside bytes: lent, given away, and lent inside a list."""

OWN_RESOURCE: Final = f"""
(component
  {LIBC}
  (type $thing (resource (rep i32)))
  (core func $new (canon resource.new $thing))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (import "" "new" (func $new (param i32) (result i32)))
    (func (export "make") (param i32 i32) (result i32) (call $new (local.get 1)))
    (func (export "echo") (param i32 i32) (result i32)
      (i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 4) (local.get 1)) (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc))
    (with "" (instance (export "new" (func $new))))))
  (func $make (param "data" (list u8)) (result (own $thing))
    (canon lift (core func $guest "make") {CANONICAL}))
  (func $echo (param "data" (list u8)) (result (list u8))
    (canon lift (core func $guest "echo") {CANONICAL} (post-return (core func $guest "after"))))
  (instance $things (export "thing" (type $thing)) (export "make" (func $make)) (export "echo" (func $echo)))
  (export "lath:test/things@1.0.0" (instance $things)))
""".encode()
"""An interface with a resource of the component's own, beside a function that has none."""

LATE_IMPORT: Final = f"""
(component
  {LIBC}
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (func (export "echo") (param i32 i32) (result i32)
      (i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 4) (local.get 1)) (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc))))
  (import "{FAR}" (instance $far (export "relay" (func (param "data" (list u8))))))
  (func (export "echo") (param "data" (list u8)) (result (list u8))
    (canon lift (core func $guest "echo") {CANONICAL} (post-return (core func $guest "after")))))
""".encode()
"""Its import stands behind other sections, so that it is not bridged."""
