"""Components in text form that use wasi:keyvalue/store by two links: a cache, and the store behind it."""

from __future__ import annotations

from typing import Final

from guests import LIBC

STORE: Final = "wasi:keyvalue/store@0.2.0-draft"
FRONT: Final = "test:words/front@1.0.0"
BUS: Final = "wasmcloud:bus/lattice@2.0.1"

_CANONICAL: Final = "(memory $memory) (realloc $realloc)"
_SIGNATURE: Final = '(param "text" string) (result string)'
_INSTANCE: Final = """
    (export "bucket" (type $bucket (sub resource)))
    (type $why (variant (case "no-such-store") (case "access-denied") (case "other" string)))
    (export "error" (type $error (eq $why)))
    (export "open" (func (param "identifier" string) (result (result (own $bucket) (error $error)))))
    (export "[method]bucket.get" (func (param "self" (borrow $bucket)) (param "key" string)
      (result (result (option (list u8)) (error $error)))))
    (export "[method]bucket.set" (func (param "self" (borrow $bucket)) (param "key" string)
      (param "value" (list u8)) (result (result (error $error)))))"""


def by_label() -> str:
    """A component with two imports that say by their labels, `cache` and `store`, what they implement."""
    imports = "".join(
        f'\n  (import "{name}" (implements "{STORE}") (instance ${name}{_INSTANCE}))'
        for name in ("cache", "store")
    )
    return _cached(imports, {"cache": "cache", "store": "store"})


def by_link_name() -> str:
    """A component with one import, which chooses the links `cache` and `store` by `wasmcloud:bus/lattice`."""
    imports = f"""
  (import "{BUS}" (instance $bus
    (export "call-target-interface" (type $target (sub resource)))
    (export "[constructor]call-target-interface" (func
      (param "namespace" string) (param "package" string) (param "interface" string) (result (own $target))))
    (export "set-link-name" (func (param "name" string) (param "interfaces" (list (own $target)))
      (result (result (error string)))))))
  (import "{STORE}" (instance $any{_INSTANCE}))"""
    lowered = f"""
  (core func $make (canon lower (func $bus "[constructor]call-target-interface") {_CANONICAL}))
  (core func $choose (canon lower (func $bus "set-link-name") {_CANONICAL}))
  (core instance $bus-functions (export "make" (func $make)) (export "choose" (func $choose)))"""
    imported = """
    (import "bus" "make" (func $make (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "bus" "choose" (func $choose (param i32 i32 i32 i32 i32)))"""
    functions = """
    (data (i32.const 1024) "wasikeyvaluestorecache")
    (func $go-by (param $name i32)
      (i32.store (i32.const 16) (call $make (i32.const 1024) (i32.const 4) (i32.const 1028) (i32.const 8)
        (i32.const 1036) (i32.const 5)))
      (call $choose (local.get $name) (i32.const 5) (i32.const 16) (i32.const 1) (i32.const 32)))"""
    return _cached(
        imports, {"cache": "any", "store": "any"}, lowered=lowered, imported=imported, functions=functions
    )


_NAMES_AT: Final = {"store": 1036, "cache": 1041}
"""Where the link names lie in the memory of a component that chooses."""


def _cached(
    imports: str, serving: dict[str, str], *, lowered: str = "", imported: str = "", functions: str = ""
) -> str:
    """Exports `test:words/front` with functions from string to string.

    - `read`: the value of the key in the cache, else in the store, from which it is then put into the cache;
      `(none)` where there is none. An error is its text.
    - `write`: stores the key under itself, in the store only.

    Args:
        imports: Of the component.
        serving: Which import serves the cache, and which the store.
        lowered: Core functions and instances of a component that chooses its links; empty: none does.
        imported: What its core module imports of them.
        functions: What it does with them: `$go-by`, which takes the address of a link name.
    """
    stores = sorted(set(serving.values()))
    arguments = "".join(f' (with "{name}" (instance ${name}-functions))' for name in stores)
    if lowered:
        arguments += ' (with "bus" (instance $bus-functions))'
    go = {name: f"(call $go-by (i32.const {_NAMES_AT[name]}))" if lowered else "" for name in serving}
    exports = " ".join(f'(export "{name}" (func ${name}))' for name in ("read", "write"))
    lifted = "".join(
        f'\n  (func ${name} {_SIGNATURE} (canon lift (core func $guest "{name}") {_CANONICAL}'
        ' (post-return (core func $guest "after"))))'
        for name in ("read", "write")
    )
    return f"""
(component{imports}
  {LIBC}{lowered}{"".join(map(_lowered, stores))}
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset)){imported}{"".join(map(_imported, stores))}
    (data (i32.const 1100) "(none)"){functions}{"".join(map(_functions, stores))}
    ;; Answers with the text or value whose address and size lie at 72.
    (func $told (result i32)
      (i32.store (i32.const 0) (i32.load (i32.const 72)))
      (i32.store (i32.const 4) (i32.load (i32.const 76)))
      (i32.const 0))
    (func (export "read") (param $key i32) (param $bytes i32) (result i32)
      (local $found i32) (local $value i32) (local $size i32)
      {go["cache"]}
      (local.set $found (call ${serving["cache"]}-read (local.get $key) (local.get $bytes)))
      (if (i32.ne (local.get $found) (i32.const 2)) (then (return (call $told))))
      {go["store"]}
      (local.set $found (call ${serving["store"]}-read (local.get $key) (local.get $bytes)))
      (if (i32.eq (local.get $found) (i32.const 1)) (then (return (call $told))))
      (if (i32.eq (local.get $found) (i32.const 2)) (then
        (i32.store (i32.const 0) (i32.const 1100)) (i32.store (i32.const 4) (i32.const 6))
        (return (i32.const 0))))
      (local.set $value (i32.load (i32.const 72)))
      (local.set $size (i32.load (i32.const 76)))
      {go["cache"]}
      (if (call ${serving["cache"]}-write (local.get $key) (local.get $bytes) (local.get $value)
        (local.get $size)) (then (return (call $told))))
      (i32.store (i32.const 0) (local.get $value))
      (i32.store (i32.const 4) (local.get $size))
      (i32.const 0))
    (func (export "write") (param $key i32) (param $bytes i32) (result i32)
      {go["store"]}
      (if (call ${serving["store"]}-write (local.get $key) (local.get $bytes) (local.get $key)
        (local.get $bytes)) (then (return (call $told))))
      (i32.store (i32.const 0) (local.get $key))
      (i32.store (i32.const 4) (local.get $bytes))
      (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc)){arguments}))
  {lifted}
  (instance $out {exports})
  (export "{FRONT}" (instance $out)))
"""


def _lowered(name: str) -> str:
    """The core functions of an imported store."""
    return f"""
  (alias export ${name} "bucket" (type ${name}-bucket))
  (core func ${name}-open (canon lower (func ${name} "open") {_CANONICAL}))
  (core func ${name}-get (canon lower (func ${name} "[method]bucket.get") {_CANONICAL}))
  (core func ${name}-set (canon lower (func ${name} "[method]bucket.set") {_CANONICAL}))
  (core func ${name}-drop (canon resource.drop ${name}-bucket))
  (core instance ${name}-functions (export "open" (func ${name}-open)) (export "get" (func ${name}-get))
    (export "set" (func ${name}-set)) (export "drop" (func ${name}-drop)))"""


def _imported(name: str) -> str:
    return f"""
    (import "{name}" "open" (func ${name}-open (param i32 i32 i32)))
    (import "{name}" "get" (func ${name}-get (param i32 i32 i32 i32)))
    (import "{name}" "set" (func ${name}-set (param i32 i32 i32 i32 i32 i32)))
    (import "{name}" "drop" (func ${name}-drop (param i32)))"""


def _functions(name: str) -> str:
    """`{name}-read` and `{name}-write`: open the bucket, do it, drop the bucket.

    Results lie at 64 as the canonical ABI has them: a byte for an error, at 72 the address and the size of a
    text or a value. Both return 0 when it is done, 1 for an error and, of reading, 2 where there is no such
    key.
    """
    return f"""
    (func ${name}-read (param $key i32) (param $bytes i32) (result i32)
      (local $bucket i32)
      (call ${name}-open (i32.const 0) (i32.const 0) (i32.const 64))
      (if (i32.load8_u (i32.const 64)) (then (return (i32.const 1))))
      (local.set $bucket (i32.load (i32.const 68)))
      (call ${name}-get (local.get $bucket) (local.get $key) (local.get $bytes) (i32.const 64))
      (call ${name}-drop (local.get $bucket))
      (if (i32.load8_u (i32.const 64)) (then (return (i32.const 1))))
      (if (i32.load8_u (i32.const 68)) (then (return (i32.const 0))))
      (i32.const 2))
    (func ${name}-write (param $key i32) (param $bytes i32) (param $value i32) (param $size i32) (result i32)
      (local $bucket i32)
      (call ${name}-open (i32.const 0) (i32.const 0) (i32.const 64))
      (if (i32.load8_u (i32.const 64)) (then (return (i32.const 1))))
      (local.set $bucket (i32.load (i32.const 68)))
      (call ${name}-set (local.get $bucket) (local.get $key) (local.get $bytes) (local.get $value)
        (local.get $size) (i32.const 64))
      (call ${name}-drop (local.get $bucket))
      (i32.load8_u (i32.const 64)))"""
