"""Components in text form, for the engine's tests: written by hand, or generated around a type."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Final

from lath.wit.types import (
    Enum,
    Flags,
    Handle,
    ListOf,
    MapOf,
    OptionOf,
    Primitive,
    Record,
    ResultOf,
    TupleOf,
    Type,
    Variant,
)  # fmt: skip

LIBC: Final = """
  (core module $libc-module
    (memory (export "memory") 2)
    (global $next (mut i32) (i32.const 4096))
    (func (export "realloc")
      (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get $size)))
      (block $enough
        (br_if $enough (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
        (drop (memory.grow (i32.add (i32.div_u (local.get $size) (i32.const 65536)) (i32.const 1)))))
      (memory.copy (local.get $at) (local.get $old) (local.get $old-size))
      (local.get $at))
    (func (export "reset") (global.set $next (i32.const 4096))))
  (core instance $libc (instantiate $libc-module))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
  (alias core export $libc "reset" (core func $reset))
"""
"""A memory with an allocator that starts anew after each call."""

CANONICAL: Final = "(memory $memory) (realloc $realloc)"


def echo(type_: Type) -> bytes:
    """A component whose `echo: func(a: list<T>) -> list<T>` returns what it is given, through its memory.

    The list makes every type pass as an address and a length, so the guest is the same for all of them.
    """
    definitions, name = define(type_)
    return f"""
(component
  {LIBC}
  {definitions}
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (func (export "echo") (param i32 i32) (result i32)
      (i32.store (i32.const 0) (local.get 0))
      (i32.store (i32.const 4) (local.get 1))
      (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest (with "libc" (instance $libc))))
  (func $echo (param "a" (list {name})) (result (list {name}))
    (canon lift (core func $guest "echo") {CANONICAL} (post-return (core func $guest "after"))))
  (export "echo" (func $echo)))
""".encode()


def forward(type_: Type) -> bytes:
    """Like `echo`, but the guest asks the import `lath:test/far` `echo` and returns its answer."""
    definitions, name = define(type_, imported=True)
    return f"""
(component
  (import "lath:test/far@1.0.0" (instance $far
    {definitions}
    (export "echo" (func (param "a" (list {name})) (result (list {name}))))))
  {_aliases(definitions)}
  {LIBC}
  (core func $far-echo (canon lower (func $far "echo") {CANONICAL}))
  (core module $guest
    (import "libc" "memory" (memory 1))
    (import "libc" "reset" (func $reset))
    (import "far" "echo" (func $echo (param i32 i32 i32)))
    (func (export "echo") (param i32 i32) (result i32)
      (call $echo (local.get 0) (local.get 1) (i32.const 0))
      (i32.const 0))
    (func (export "after") (param i32) (call $reset)))
  (core instance $guest (instantiate $guest
    (with "libc" (instance $libc))
    (with "far" (instance (export "echo" (func $far-echo))))))
  (func $echo (param "a" (list {name})) (result (list {name}))
    (canon lift (core func $guest "echo") {CANONICAL} (post-return (core func $guest "after"))))
  (export "echo" (func $echo)))
""".encode()


def _join(parts: Iterable[str]) -> str:
    return " ".join(parts)


def _quoted(what: str, name: str, rest: str) -> str:
    return f"({what} {json.dumps(name)} {rest})"


def _aliases(definitions: str) -> str:
    """Brings the types of the imported instance into the component, under the same names."""
    numbers = range(definitions.count("(export "))
    return _join(f'(alias export $far "t{number}" (type $t{number}))' for number in numbers)


def define(type_: Type, *, imported: bool = False) -> tuple[str, str]:
    """Text that defines what has to be named in `type_`, and how to refer to `type_` itself.

    Args:
        type_: The type.
        imported: Whether the text stands in the type of an imported instance.
    """
    lines: list[str] = []
    numbers = itertools.count()

    def named(body: str) -> str:
        number = next(numbers)
        lines.append(f"(type $raw{number} {body})")
        if imported:
            lines.append(f'(export "t{number}" (type $t{number} (eq $raw{number})))')
        else:
            lines.append(f'(export $t{number} "t{number}" (type $raw{number}))')
        return f"$t{number}"

    def ref(each: Type) -> str:
        match each:
            case Primitive(kind=kind):
                return kind
            case ListOf(element=element):
                return f"(list {ref(element)})"
            case MapOf(key=key, value=value):
                return f"(map {ref(key)} {ref(value)})"
            case TupleOf(elements=elements):
                return f"(tuple {' '.join(map(ref, elements))})"
            case OptionOf(inner=inner):
                return f"(option {ref(inner)})"
            case ResultOf(ok=ok, err=err):
                return f"(result {ref(ok) if ok else ''} {f'(error {ref(err)})' if err else ''})"
            case Record(fields=fields):
                return named(f"(record {_join(_quoted('field', f.name, ref(f.type)) for f in fields)})")
            case Variant(cases=cases):
                parts = [_quoted("case", case.name, ref(case.type) if case.type else "") for case in cases]
                return named(f"(variant {_join(parts)})")
            case Enum(cases=names):
                return named(f"(enum {_join(map(json.dumps, names))})")
            case Flags(labels=labels):
                return named(f"(flags {_join(map(json.dumps, labels))})")
            case Handle():
                raise AssertionError("handles have tests of their own")

    name = ref(type_)
    return "\n".join(lines), name
