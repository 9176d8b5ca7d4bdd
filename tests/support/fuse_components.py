"""Components in text form for the tests of fusion: callers, callees, and one with a resource of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from engine_components import CANONICAL, LIBC
from engine_guests import BUCKETS

from lath.wit.types import Func, Primitive, PrimitiveKind
from lath_host.engine.compose.abi import core_func

_AFTER: Final = '(post-return (core func $guest "after"))'


@dataclass(frozen=True)
class Passed:
    """A function that a front passes on.

    Attributes:
        imported: The interface that is called, as it is written: in quotes, and what it `implements` behind.
        function: What it is called there.
        func: Its type: parameters and a result that are primitives.
        name: What it is called in the front.
    """

    imported: str
    function: str
    func: Func
    name: str


def front(exported: str, functions: Sequence[Passed]) -> bytes:
    """A component whose interface `exported` passes each call on to one of its imports."""
    imports = list(dict.fromkeys(each.imported for each in functions))
    instances = {imported: f"$far{number}" for number, imported in enumerate(imports)}
    declared: dict[str, list[str]] = {imported: [] for imported in imports}
    core_imports, lowered, given, bodies, lifted, exports = [], [], [], [], [], []
    for each in functions:
        name, signature, core = each.name, _signature(each.func), core_func(each.func)
        params, results = f"(param {' '.join(core.params)})", f"(result {' '.join(core.results)})"
        inside = f"(param {' '.join(core.params)} i32)" if core.returned else f"{params} {results}"
        gets = " ".join(f"(local.get {number})" for number in range(len(core.params)))
        call = (
            f"(call ${name} {gets} (i32.const 0)) (i32.const 0)"
            if core.returned
            else f"(call ${name} {gets})"
        )
        after = _AFTER if core.returned else ""
        declared[each.imported].append(f'(export "{each.function}" (func {signature}))')
        far = f'(func {instances[each.imported]} "{each.function}")'
        lowered.append(f"(core func ${name} (canon lower {far} {CANONICAL}))")
        core_imports.append(f'(import "far" "{name}" (func ${name} {inside}))')
        given.append(f'(export "{name}" (func ${name}))')
        bodies.append(f'(func (export "{name}") {params} {results} {call})')
        lift = f'(canon lift (core func $guest "{name}") {CANONICAL} {after})'
        lifted.append(f"(func ${name}-f {signature} {lift})")
        exports.append(f'(export "{name}" (func ${name}-f))')
    lines = "\n".join
    return f"""
(component
  {lines(f"(import {each} (instance {instances[each]} {lines(declared[each])}))" for each in imports)}
  {LIBC}
  {lines(lowered)}
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    {lines(core_imports)}
    {lines(bodies)}
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc))
    (with "far" (instance {lines(given)}))))
  {lines(lifted)}
  (instance $front {lines(exports)})
  (export "{exported}" (instance $front)))
""".encode()


def _signature(func: Func) -> str:
    params = " ".join(f'(param "{param.name}" {_kind(param.type)})' for param in func.params)
    return params + (f" (result {_kind(func.result)})" if func.result else "")


def _kind(type_: object) -> PrimitiveKind:
    assert isinstance(type_, Primitive)
    return type_.kind


STORE: Final = "lath:test/store@1.0.0"
ATOMICS: Final = "lath:test/atomics@1.0.0"
_OPENED: Final = "(result (result (own $bucket) (error string)))"
_SELF: Final = '(param "self" (borrow $bucket))'
KEEPER: Final = f"""
(component
  {LIBC}
  (core module $counter
    (global $dropped (mut i32) (i32.const 0))
    (func (export "gone") (param i32) (global.set $dropped (i32.add (global.get $dropped) (i32.const 1))))
    (func (export "dropped") (result i32) (global.get $dropped)))
  (core instance $counter (instantiate $counter))
  (type $bucket (resource (rep i32) (dtor (core func $counter "gone"))))
  (core func $new (canon resource.new $bucket))
  (core func $drop (canon resource.drop $bucket))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (import "" "new" (func $new (param i32) (result i32)))
    (import "" "drop" (func $drop (param i32)))
    (func (export "open") (param i32 i32) (result i32)
      (i32.store (i32.const 0) (i32.const 0))
      (i32.store (i32.const 4) (call $new (local.get 1)))
      (i32.const 0))
    (func (export "get") (param $size i32) (param i32 i32) (result i32)
      (if (i32.ne (local.get $size) (local.get 2)) (then unreachable))
      (i32.store (i32.const 0) (local.get 1)) (i32.store (i32.const 4) (local.get 2)) (i32.const 0))
    (func (export "close") (param i32) (call $drop (local.get 0)))
    (func (export "size") (param i32) (result i32) (local.get 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc)) (with "" (instance
    (export "new" (func $new)) (export "drop" (func $drop))))))
  (func $open (param "name" string) {_OPENED} (canon lift (core func $guest "open") {CANONICAL} {_AFTER}))
  (func $close (param "bucket" (own $bucket)) (canon lift (core func $guest "close")))
  (func $get {_SELF} (param "key" string) (result string)
    (canon lift (core func $guest "get") {CANONICAL} {_AFTER}))
  (func $size (param "bucket" (borrow $bucket)) (result u32) (canon lift (core func $guest "size")))
  (func $dropped (result u32) (canon lift (core func $counter "dropped")))
  (component $store
    (import "bucket" (type $bucket (sub resource)))
    (import "open" (func $open (param "name" string) {_OPENED}))
    (import "close" (func $close (param "bucket" (own $bucket))))
    (import "get" (func $get {_SELF} (param "key" string) (result string)))
    (import "dropped" (func $dropped (result u32)))
    (export $named "bucket" (type $bucket))
    (type $state (variant (case "kept" (own $named)) (case "gone")))
    (export "state" (type $state))
    (type $mood (enum "calm" "cross"))
    (export "mood" (type $mood))
    (export "open" (func $open) (func (param "name" string) (result (result (own $named) (error string)))))
    (export "close" (func $close) (func (param "bucket" (own $named))))
    (export "[method]bucket.get" (func $get)
      (func (param "self" (borrow $named)) (param "key" string) (result string)))
    (export "dropped" (func $dropped)))
  (component $atomics
    (import "bucket" (type $bucket (sub resource)))
    (import "size" (func $size (param "bucket" (borrow $bucket)) (result u32)))
    (export $named "bucket" (type $bucket))
    (export "size" (func $size) (func (param "bucket" (borrow $named)) (result u32))))
  (instance $store (instantiate $store (with "bucket" (type $bucket)) (with "open" (func $open))
    (with "close" (func $close)) (with "get" (func $get)) (with "dropped" (func $dropped))))
  (instance $atomics (instantiate $atomics (with "bucket" (type $bucket)) (with "size" (func $size))))
  (export "{STORE}" (instance $store))
  (export "{ATOMICS}" (instance $atomics)))
""".encode()
"""Owns the resource `bucket`: `get` of a key as long as the bucket's name gives the key back, `size` is how
long the name is, `dropped` counts the buckets that are gone."""

USER: Final = BUCKETS[: BUCKETS.index(b'(func (export "pass-own") (param "bucket"')] + b")"
"""`BUCKETS` without the functions that pass buckets on to its callers."""

NAPPER: Final = b"""
(component
  (import "wasi:io/poll@0.2.3" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (type $many (list (borrow $pollable)))
    (export "poll" (func (param "in" $many) (result (list u32))))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (import "wasi:clocks/wall-clock@0.2.3" (instance
    (type $raw (record (field "seconds" u64) (field "nanoseconds" u32)))
    (export "datetime" (type $datetime (eq $raw)))
    (export "now" (func (result $datetime)))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $outer))
    (export "pollable" (type $pollable (eq $outer)))
    (export "resolution" (func (result u64)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (import "sleep" (func $sleep (param "ns" u64) (result u32)))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $drop (canon resource.drop $pollable))
  (core func $in (canon lower (func $clock "subscribe-duration")))
  (core func $sleep (canon lower (func $sleep)))
  (core module $guest
    (import "" "block" (func $block (param i32)))
    (import "" "drop" (func $drop (param i32)))
    (import "" "in" (func $in (param i64) (result i32)))
    (import "" "sleep" (func $sleep (param i64) (result i32)))
    (func (export "nap") (param i64) (result i32) (local $timer i32)
      (local.set $timer (call $in (local.get 0)))
      (call $block (local.get $timer))
      (call $drop (local.get $timer))
      (call $sleep (local.get 0))))
  (core instance $guest (instantiate $guest (with "" (instance
    (export "block" (func $block)) (export "drop" (func $drop)) (export "in" (func $in))
    (export "sleep" (func $sleep))))))
  (func (export "nap") (param "ns" u64) (result u32) (canon lift (core func $guest "nap"))))
"""
"""Waits itself, and then has the import `sleep` wait, which `SLEEPER` exports. Of the same interfaces it
declares other functions than that does, at another version."""

MEASURER: Final = f"""
(component
  (import "{STORE}" (instance (export "bucket" (type (sub resource)))))
  (import "measure" (func $measure (param "name" string) (result u32)))
  {LIBC}
  (core func $measure (canon lower (func $measure) {CANONICAL}))
  (core module $guest
    (import "" "measure" (func $measure (param i32 i32) (result i32)))
    (func (export "measure") (param i32 i32) (result i32) (call $measure (local.get 0) (local.get 1))))
  (core instance $guest (instantiate $guest (with "" (instance (export "measure" (func $measure))))))
  (func (export "measure") (param "name" string) (result u32)
    (canon lift (core func $guest "measure") {CANONICAL})))
""".encode()
"""Imports a store as `BUCKETS` does, but asks that one to measure."""

GIVER: Final = f"""
(component
  (import "{STORE}" (instance $store
    (export "bucket" (type $bucket (sub resource)))
    (type $raw (variant (case "kept" (own $bucket)) (case "gone")))
    (export "state" (type $state (eq $raw)))
    (type $raw-mood (enum "calm" "cross"))
    (export "mood" (type $mood (eq $raw-mood)))
    (export "close" (func (param "bucket" (own $bucket))))))
  (alias export $store "bucket" (type $bucket))
  (alias export $store "state" (type $state))
  (alias export $store "mood" (type $mood))
  (core func $close (canon lower (func $store "close")))
  (core module $guest
    (import "" "close" (func $close (param i32)))
    (func (export "take") (param i32) (result i32) (call $close (local.get 0)) (i32.const 7))
    (func (export "judge") (param i32 i32) (result i32) (local.get 0))
    (func (export "sigh") (param i32) (result i32) (i32.sub (i32.const 1) (local.get 0))))
  (core instance $guest (instantiate $guest (with "" (instance (export "close" (func $close))))))
  (func $take (param "bucket" (own $bucket)) (result u32) (canon lift (core func $guest "take")))
  (func $judge (param "state" $state) (result u32) (canon lift (core func $guest "judge")))
  (func $sigh (param "mood" $mood) (result $mood) (canon lift (core func $guest "sigh")))
  (export "sigh" (func $sigh))
  (instance $gifts <exported>)
  (export "lath:test/gifts@1.0.0" (instance $gifts)))
""".encode()
"""Takes buckets that its callers have, in what stands for `<exported>`."""

EVENTS: Final = "lath:test/events@1.0.0"
LOG: Final = "lath:test/log@1.0.0"
_EVENT: Final = """
    (type $raw-level (enum "low" "high"))
    (export "level" (type $level (eq $raw-level)))
    (type $raw-event (record (field "text" string) (field "level" $level)))
    (export "event" (type $event (eq $raw-event)))
"""
_USES: Final = '(alias outer 1 $event (type $outer)) (export "event" (type $event (eq $outer)))'
RECORDER: Final = f"""
(component
  (import "{EVENTS}" (instance $events {_EVENT}))
  (alias export $events "event" (type $event))
  (import "{LOG}" (instance $log {_USES} (export "add" (func (param "event" $event) (result $event)))))
  (import "lath:test/audit@1.0.0" (instance $audit {_USES} (export "seen" (func (param "event" $event)))))
  {LIBC}
  (core func $add (canon lower (func $log "add") {CANONICAL}))
  (core func $seen (canon lower (func $audit "seen") {CANONICAL}))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (import "" "add" (func $add (param i32 i32 i32 i32)))
    (import "" "seen" (func $seen (param i32 i32 i32)))
    (func (export "record") (param i32 i32 i32) (result i32)
      (call $seen (local.get 0) (local.get 1) (local.get 2))
      (call $add (local.get 0) (local.get 1) (local.get 2) (i32.const 0))
      (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc))
    (with "" (instance (export "add" (func $add)) (export "seen" (func $seen))))))
  (func $record (param "event" $event) (result $event)
    (canon lift (core func $guest "record") {CANONICAL} {_AFTER}))
  (export "record" (func $record)))
""".encode()
"""Uses one interface's types in two others, and in a function of the world itself."""

LOGGER: Final = f"""
(component
  (import "{EVENTS}" (instance $events {_EVENT}))
  (alias export $events "level" (type $level))
  (alias export $events "event" (type $event))
  {LIBC}
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (func (export "add") (param i32 i32 i32) (result i32)
      (i32.store (i32.const 0) (local.get 0))
      (i32.store (i32.const 4) (local.get 1))
      (i32.store (i32.const 8) (local.get 2))
      (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc))))
  (func $add (param "event" $event) (result $event)
    (canon lift (core func $guest "add") {CANONICAL} {_AFTER}))
  (instance $types (export "level" (type $level)) (export "event" (type $event)))
  (instance $log (export "event" (type $event)) (export "add" (func $add)))
  (export "{EVENTS}" (instance $types))
  (export "{LOG}" (instance $log)))
""".encode()
"""Answers `RECORDER`'s log, and has the types as well."""

SIZER: Final = f"""
(component
  (import "{STORE}" (instance $store (export "bucket" (type $bucket (sub resource)))
    (export "[method]bucket.get" (func {_SELF} (param "key" string) (result string)))))
  (alias export $store "bucket" (type $bucket))
  {LIBC}
  (core func $get (canon lower (func $store "[method]bucket.get") {CANONICAL}))
  (core func $drop (canon resource.drop $bucket))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "" "get" (func $get (param i32 i32 i32 i32)))
    (import "" "drop" (func $drop (param i32)))
    (func (export "size") (param $bucket i32) (result i32)
      (call $get (local.get $bucket) (i32.const 1024) (i32.const 4) (i32.const 0))
      (call $drop (local.get $bucket))
      (i32.load (i32.const 4))))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc))
    (with "" (instance (export "get" (func $get)) (export "drop" (func $drop))))))
  (func $size (param "bucket" (borrow $bucket)) (result u32)
    (canon lift (core func $guest "size") {CANONICAL}))
  (instance $atomics (export "bucket" (type $bucket)) (export "size" (func $size)))
  (export "{ATOMICS}" (instance $atomics)))
""".encode()
"""Sizes buckets of a store that it imports: `KEEPER` has that answer only for names of four letters."""

ASKER_NAME: Final = "lath:test/asker@1.0.0"
ASKER: Final = f"""
(component
  (type $raw (record (field "text" string)))
  (import "note" (type $note (eq $raw)))
  (import "judge" (func $judge (param "note" $note) (result string)))
  {LIBC}
  (core func $judge (canon lower (func $judge) {CANONICAL}))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (import "" "judge" (func $judge (param i32 i32 i32)))
    (func (export "ask") (param i32 i32) (result i32)
      (call $judge (local.get 0) (local.get 1) (i32.const 0)) (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc))
    (with "" (instance (export "judge" (func $judge))))))
  (func $ask (param "key" string) (result string) (canon lift (core func $guest "ask") {CANONICAL} {_AFTER}))
  (instance $asker (export "ask" (func $ask)))
  (export "{ASKER_NAME}" (instance $asker)))
""".encode()
"""Asks a function of its world, with a type of its world."""
