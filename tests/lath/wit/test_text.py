"""Descriptors as WIT text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from wit_strategies import steady, types

from lath.wit import load, packages, parse, render
from lath.wit.text import func_text, type_text
from lath.wit.types import (
    Case,
    Enum,
    Field,
    Flags,
    Func,
    Interface,
    ListOf,
    MapOf,
    OptionOf,
    Primitive,
    Record,
    ResultOf,
    TupleOf,
    Type,
    Variant,
)

U32, STRING = Primitive("u32"), Primitive("string")
TEXT = """package a:b@1.0.0;

interface i {
  enum color {
    red,
    %list,
  }
  record inner {
    c: color,
    %type: map<string, u32>,
  }
  record outer {
    inner: option<inner>,
  }
  flags rights {
    read,
    write,
  }
  resource bucket {
    constructor(name: string);
    get: func(key: string) -> option<tuple<u32, list<u8>>>;
    make: static async func() -> result<bucket>;
  }
  resource bare;
  f: func(o: outer, r: rights) -> result<_, color>;
  %use: func(b: borrow<bucket>, c: bare) -> result;
}"""


def test_the_text_of_an_interface_is_wit_that_gives_the_same_interface() -> None:
    interface = parse(TEXT).interfaces["i"]
    assert render(interface) == TEXT
    assert parse(render(interface)).interfaces["i"] == interface


@pytest.mark.parametrize("interface", ["wasi:keyvalue/store", "wasmcloud:bus/lattice"])
def test_shipped_interfaces_survive_the_way_through_text(interface: str) -> None:
    loaded = load(interface)
    name = loaded.name.partition("/")[2].partition("@")[0]
    assert parse(render(loaded)).interfaces[name] == loaded


def test_resources_of_other_interfaces_are_shown_as_used() -> None:
    atomics = load("wasi:keyvalue/atomics")
    assert "  use wasi:keyvalue/store@0.2.0-draft.{bucket};" in render(atomics)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Record((Field("n", U32), Field("enum", STRING))), "record { n: u32, %enum: string }"),
        (Variant((Case("a", None), Case("b", U32))), "variant { a, b(u32) }"),
        (ListOf(Enum(("a", "b"))), "list<enum { a, b }>"),
        (Flags(("a",)), "flags { a }"),
        (ResultOf(None, None), "result"),
        (ResultOf(None, Enum(("a",), "error")), "result<_, error>"),
    ],
)
def test_types_without_names_are_written_out(kind: Type, text: str) -> None:
    assert type_text(kind) == text


def test_signatures_are_shown_on_one_line() -> None:
    assert func_text(Func((Field("a", U32), Field("b", STRING)), None)) == "func(a: u32, b: string)"
    assert func_text(Func((), U32, is_async=True)) == "async func() -> u32"


def test_a_world_shows_what_it_imports_and_exports() -> None:
    world = parse("package a:b; interface i { f: func(); } world w { import c: i; export g: func() -> u32; }")
    assert render(world.worlds["w"]).splitlines() == [
        "world root {",
        "  import c: a:b/i {",
        "    f: func();",
        "  }",
        "  export g: func() -> u32;",
        "}",
    ]


def test_every_shipped_world_can_be_shown() -> None:
    assert all(render(world) for package in packages() for world in package.worlds.values())


def named(kind: Type | None, names: Iterator[str]) -> Any:
    """The same type with a name wherever WIT text needs one."""
    match kind:
        case ListOf(inner) | OptionOf(inner):
            return type(kind)(named(inner, names))
        case MapOf(key, value):
            return MapOf(key, named(value, names))
        case TupleOf(elements):
            return TupleOf(tuple(named(each, names) for each in elements))
        case Record(fields):
            return Record(tuple(Field(f.name, named(f.type, names)) for f in fields), next(names))
        case Variant(cases):
            return Variant(tuple(Case(c.name, named(c.type, names)) for c in cases), next(names))
        case Enum() | Flags():
            return replace(kind, name=next(names))
        case ResultOf(ok, err):
            return ResultOf(named(ok, names), named(err, names))
        case _:
            return kind


@steady
@given(types())
def test_any_type_survives_the_way_through_text(kind: Type) -> None:
    func = Func((), named(kind, (f"t{n}" for n in count())))
    text = render(Interface("a:b/i@1.0.0", {"f": func}))
    assert parse(text).interfaces["i"].functions == {"f": func}
