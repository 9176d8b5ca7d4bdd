"""The packages that a process knows."""

from __future__ import annotations

import re

import pytest

from lath.errors import Conflict, InvalidArgument, NotFound
from lath.wit import load, packages
from lath.wit.registry import Registry, shipped
from lath.wit.types import Field, Func, Handle, ListOf, OptionOf, Primitive, ResultOf, TupleOf, Variant

MINE = "package me:shop@1.2.0; interface cart { add: func(n: u32); }"


def test_keyvalue_has_the_signatures_of_the_standard() -> None:
    store = load("wasi:keyvalue/store")
    string, data, u64 = Primitive("string"), ListOf(Primitive("u8")), Primitive("u64")
    bucket = Field("self", Handle("borrow", "bucket"))
    error = store.functions["open"].result.err  # type: ignore[union-attr]
    assert isinstance(error, Variant)
    assert [case.name for case in error.cases] == ["no-such-store", "access-denied", "other"]
    get = Func((bucket, Field("key", string)), ResultOf(OptionOf(data), error))
    assert store.name == "wasi:keyvalue/store@0.2.0-draft"
    assert store.functions["[method]bucket.get"] == get
    assert store.functions["open"] == Func(
        (Field("identifier", string),), ResultOf(Handle("own", "bucket"), error)
    )
    increment = load("wasi:keyvalue/atomics").functions["increment"]
    assert increment.params[2] == Field("delta", u64)
    assert increment.result == ResultOf(u64, error)
    get_many = load("wasi:keyvalue/batch").functions["get-many"]
    assert get_many.result == ResultOf(ListOf(OptionOf(TupleOf((string, data)))), error)
    assert set(load("wasi:keyvalue/watcher").functions) == {"on-set", "on-delete"}


def test_an_interface_is_loaded_at_a_compatible_version() -> None:
    assert load("wasi:keyvalue/store@0.2.0-draft") == load("wasi:keyvalue/store")
    assert load("wasmcloud:bus/lattice@2.0.0").name == "wasmcloud:bus/lattice@2.0.1"
    assert load("wasmcloud:bus/lattice@1.0.0").name == "wasmcloud:bus/lattice@1.0.0"
    assert load("wasmcloud:bus/lattice").name == "wasmcloud:bus/lattice@2.0.1"


@pytest.mark.parametrize(
    ("interface", "message"),
    [
        (
            "wasi:keyvalue/store@0.2.0",
            "wasi:keyvalue/store is asked for at 0.2.0, and is known at 0.2.0-draft",
        ),
        (
            "wasi:keyvalue/nope",
            "the WIT package wasi:keyvalue@0.2.0-draft has no interface nope; it has atomics, batch, store",
        ),
        ("wasi:nope/store", "the WIT package wasi:nope is not known: register its text first"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(interface: str, message: str) -> None:
    with pytest.raises(NotFound, match=re.escape(message)):
        load(interface)


def test_a_name_that_is_no_interface_is_invalid() -> None:
    with pytest.raises(InvalidArgument, match="not of the form"):
        load("store")


def test_a_registered_package_is_found_and_may_use_the_shipped_ones() -> None:
    registry = shipped()
    registry.register(MINE)
    registry.register(
        "package me:more; interface i { use wasi:keyvalue/store@0.2.0-draft.{bucket}; f: func() -> bucket; }"
    )
    assert registry.load("me:shop/cart@1.0.0").name == "me:shop/cart@1.2.0"
    assert registry.load("me:more/i").functions["f"].result == Handle("own", "bucket")


def test_registering_again_is_fine_with_the_same_text_only() -> None:
    registry = Registry()
    assert registry.register(MINE) is registry.register(MINE)
    with pytest.raises(Conflict, match="is registered with another text"):
        registry.register(MINE.replace("u32", "u64"))
    assert registry.load("me:shop/cart").functions["add"].params[0].type == Primitive("u32")


def test_the_latest_version_is_loaded_when_none_is_asked_for() -> None:
    registry = Registry()
    for version in ("0.10.0", "0.9.0", "0.10.0-rc.1"):
        registry.register(f"package a:b@{version}; interface i {{ f: func(); }}")
    assert registry.load("a:b/i").name == "a:b/i@0.10.0"
    assert len(packages()) >= 3


def test_shipped_texts_are_registered_once() -> None:
    assert [str(package) for package in shipped().packages()] == [
        "wasi:io@0.2.0",
        "wasmcloud:postgres@0.1.1-draft",
        "lath:postgres@1.0.0",
        "wasi:blobstore@0.2.0-draft",
        "wasi:clocks@0.2.0",
        "wasi:config@0.2.0-draft",
        "wasi:config@0.2.0-rc.1",
        "wasi:http@0.2.0",
        "wasi:keyvalue@0.2.0-draft",
        "wasi:logging@0.1.0-draft",
        "wasi:sockets@0.2.0",
        "wasmcloud:bus@1.0.0",
        "wasmcloud:bus@2.0.1",
        "wasmcloud:cron@0.1.0",
        "wasmcloud:messaging@0.2.0",
        "wasmcloud:secrets@0.1.0-draft",
    ]
