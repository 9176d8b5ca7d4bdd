"""`parse`: WIT text to descriptors."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wit_strategies import steady

from lath.errors import InvalidArgument
from lath.wit.grammar import KEYWORDS
from lath.wit.parser import parse
from lath.wit.types import (
    Case,
    Enum,
    Field,
    Flags,
    Func,
    Handle,
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

STRING, U8, U32, U64 = Primitive("string"), Primitive("u8"), Primitive("u32"), Primitive("u64")
POLL = parse("package wasi:io@0.2.0; interface poll { resource pollable { ready: func() -> bool; } }")


def interface(body: str) -> Interface:
    """The interface `a:b/i` with this body."""
    return parse(f"package a:b@1.0.0;\ninterface i {{\n{body}\n}}").interfaces["i"]


def type_of(expression: str, definitions: str = "") -> Type:
    """What `expression` stands for, as the result of a function."""
    result = interface(f"{definitions} f: func() -> {expression};").functions["f"].result
    assert result is not None
    return result


def problem(text: str) -> str:
    with pytest.raises(InvalidArgument) as caught:
        parse(text)
    return caught.value.message


def body_problem(body: str) -> str:
    """The problem with the body of an interface, which begins in line 3."""
    return problem(f"package a:b@1.0.0;\ninterface i {{\n{body}\n}}")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        *((kind, Primitive(kind)) for kind in ("bool", "u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64")),
        *((kind, Primitive(kind)) for kind in ("f32", "f64", "char", "string")),
        ("list<u8>", ListOf(U8)),
        ("list<list<string>>", ListOf(ListOf(STRING))),
        ("option<option<u32>>", OptionOf(OptionOf(U32))),
        ("result", ResultOf(None, None)),
        ("result<u32>", ResultOf(U32, None)),
        ("result<_, string>", ResultOf(None, STRING)),
        ("result<u32, string>", ResultOf(U32, STRING)),
        ("tuple<u32, string,>", TupleOf((U32, STRING))),
        ("map<string, list<u32>>", MapOf(STRING, ListOf(U32))),
    ],
)
def test_every_type_expression_becomes_its_descriptor(expression: str, expected: Type) -> None:
    assert type_of(expression) == expected


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        (
            "record t { a: u32, b-c: option<string> }",
            Record((Field("a", U32), Field("b-c", OptionOf(STRING)))),
        ),
        (
            "variant t { none-such, other(string), }",
            Variant((Case("none-such", None), Case("other", STRING))),
        ),
        ("enum t { red, green }", Enum(("red", "green"))),
        ("flags t { read, write }", Flags(("read", "write"))),
        ("type t = list<u8>;", ListOf(U8)),
        ("type t = u; type u = v; type v = u64;", U64),
        ("record t { inner: later } enum later { x }", Record((Field("inner", Enum(("x",))),))),
        ("record t { %type: u32, %list: u32 }", Record((Field("type", U32), Field("list", U32)))),
        ("enum t { HTTP, not-OK }", Enum(("HTTP", "not-OK"))),
    ],
)
def test_every_definition_becomes_its_descriptor(definition: str, expected: Type) -> None:
    assert type_of("t", definition) == expected


def test_defined_types_keep_their_names() -> None:
    kind = type_of("t", "record t { e: u } enum u { x }")
    assert isinstance(kind, Record)
    assert kind.name == "t"
    assert isinstance(kind.fields[0].type, Enum)
    assert kind.fields[0].type.name == "u"


def test_a_resource_has_methods_statics_and_a_constructor() -> None:
    found = interface(
        """
        resource bucket {
            constructor(name: string);
            get: func(key: string) -> option<list<u8>>;
            make: static async func(n: u32) -> result<bucket>;
        }
        resource bare;
        take: func(a: bucket, b: own<bucket>, c: borrow<bucket>, d: option<borrow<bare>>);
        """
    )
    own, borrow = Handle("own", "bucket"), Handle("borrow", "bucket")
    assert found.resources == ("bucket", "bare")
    assert found.functions == {
        "[constructor]bucket": Func((Field("name", STRING),), own),
        "[method]bucket.get": Func((Field("self", borrow), Field("key", STRING)), OptionOf(ListOf(U8))),
        "[static]bucket.make": Func((Field("n", U32),), ResultOf(own, None), is_async=True),
        "take": Func(
            (
                Field("a", own),
                Field("b", own),
                Field("c", borrow),
                Field("d", OptionOf(Handle("borrow", "bare"))),
            ),
            None,
        ),
    }
    handle = found.functions["take"].params[0].type
    assert isinstance(handle, Handle)
    assert handle.interface == "a:b/i@1.0.0"


def test_a_constructor_may_fail() -> None:
    found = interface("resource r { constructor() -> result<r, string>; }")
    assert found.functions["[constructor]r"].result == ResultOf(Handle("own", "r"), STRING)


def test_another_name_for_a_resource_names_the_same_resource() -> None:
    found = interface("resource r; type s = r; f: func(a: borrow<s>) -> s;")
    assert found.functions["f"] == Func((Field("a", Handle("borrow", "r")),), Handle("own", "r"))


def test_use_reaches_types_of_the_same_package_in_any_order() -> None:
    package = parse(
        """
        package a:b@1.0.0;
        interface second { use first.{t as renamed, r}; f: func(a: renamed, b: borrow<r>); }
        interface first { enum t { x } resource r; }
        """
    )
    f = package.interfaces["second"].functions["f"]
    assert f.params[0].type == Enum(("x",))
    handle = f.params[1].type
    assert isinstance(handle, Handle)
    assert handle.interface == "a:b/first@1.0.0"


@pytest.mark.parametrize("path", ["wasi:io/poll@0.2.0", "wasi:io/poll"])
def test_use_reaches_types_of_other_packages(path: str) -> None:
    package = parse(f"package a:b; interface i {{ use {path}.{{pollable}}; f: func() -> pollable; }}", [POLL])
    handle = package.interfaces["i"].functions["f"].result
    assert isinstance(handle, Handle)
    assert (handle.resource, handle.interface) == ("pollable", "wasi:io/poll@0.2.0")


def test_use_outside_of_interfaces_gives_them_another_name() -> None:
    package = parse(
        """
        package a:b;
        use wasi:io/poll@0.2.0 as waiting;
        interface i { use waiting.{pollable}; f: func(p: borrow<pollable>); }
        world w { import waiting; }
        """,
        [POLL],
    )
    assert list(package.worlds["w"].imports) == ["wasi:io/poll@0.2.0"]


def test_a_world_imports_and_exports_by_path_by_label_and_in_place() -> None:
    package = parse(
        """
        package a:b@1.0.0;
        interface store { get: func() -> u32; }
        world base { import wasi:io/poll@0.2.0; export store; }
        world w {
            include base;
            enum color { red }
            import store;
            import cache: store;
            import other: a:b/store@1.0.0;
            import log: func(m: string);
            import paint: async func(c: color);
            export handler: interface { enum e { x } handle: func(e: e); }
            export run: func() -> result;
        }
        """,
        [POLL],
    )
    world = package.worlds["w"]
    store = package.interfaces["store"]
    assert list(world.imports) == ["wasi:io/poll@0.2.0", "a:b/store@1.0.0", "cache", "other", ""]
    assert world.imports["cache"] == Interface("a:b/store@1.0.0", store.functions, (), "cache")
    assert world.imports[""].functions == {
        "log": Func((Field("m", STRING),), None),
        "paint": Func((Field("c", Enum(("red",))),), None, is_async=True),
    }
    assert world.exports["a:b/store@1.0.0"] == store
    assert world.exports["handler"].functions == {"handle": Func((Field("e", Enum(("x",))),), None)}
    assert world.exports[""].functions == {"run": Func((), ResultOf(None, None))}


def test_gates_comments_and_trailing_commas_are_read() -> None:
    package = parse(
        """
        /// Docs of the package.
        @since(version = 1.0.0)
        package a:b@1.0.0-rc.1+build.5; // the version goes on to the ';'
        /* block /* nested */ still a comment */
        @unstable(feature = new-things)
        interface i {
            @since(version = 0.2.0) @deprecated(version = 0.3.0-draft)
            f: func(a: u32,);
            /** docs **/ record r { @since(version = 1.0.0) a: u32, }
        }
        """
    )
    assert package.version == "1.0.0-rc.1+build.5"
    assert str(package) == "a:b@1.0.0-rc.1+build.5"
    assert list(package.interfaces["i"].functions) == ["f"]


@pytest.mark.parametrize("keyword", sorted(KEYWORDS))
def test_every_keyword_can_be_a_name_when_escaped(keyword: str) -> None:
    assert list(interface(f"%{keyword}: func();").functions) == [keyword]
    assert f"written %{keyword}" in body_problem(f"f: func({keyword}: u32);")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("f: func()", "line 4, column 1: expected ';', found '}'"),
        ("f: fun();", "line 3, column 4: expected 'func', found 'fun'"),
        ("f: func(a u32);", "line 3, column 11: expected ':', found 'u32'"),
        ("f: func(a: u32 b: u32);", "line 3, column 16: expected ',' or ')', found 'b'"),
        ("f: func() -> nope;", "line 3, column 14: 'nope' is not defined here"),
        ("f: func() -> ;", "line 3, column 14: expected a type, found ';'"),
        ("f: func() -> (a: u32);", "line 3, column 14: results with names are not WIT any more"),
        ("f: func() -> stream<u8>;", "line 3, column 14: 'stream' is not supported"),
        ("f: func() -> future;", "line 3, column 14: 'future' is not supported"),
        ("f: func() -> list<u8, 4>;", "line 3, column 23: lists of a fixed length are not supported"),
        ("f: func() -> list;", "line 3, column 14: 'list' takes 1 type, found 0"),
        ("f: func() -> result<u8, u8, u8>;", "line 3, column 14: 'result' takes 0 to 2 types, found 3"),
        ("f: func() -> tuple<>;", "line 3, column 14: 'tuple' takes at least 1 type, found 0"),
        ("f: func() -> list<_>;", "line 3, column 14: only a result may have '_' for a type"),
        ("f: func() -> map<f64, u8>;", "line 3, column 14: the keys of a map are integers, bool"),
        ("f: func() -> own<u8>;", "line 3, column 14: 'own' takes the name of a resource"),
        ("enum e { x } f: func() -> borrow<e>;", "line 3, column 27: 'borrow' takes the name of a resource"),
        ("record r {}", "line 3, column 8: the record 'r' is empty"),
        ("flags g {}", "line 3, column 7: the flags 'g' is empty"),
        ("record r { a: u8, A: u8 }", "line 3, column 19: the name 'A' is defined twice"),
        ("enum e { a, a }", "line 3, column 13: the name 'a' is defined twice"),
        ("f: func(a: u8, a: u8);", "line 3, column 16: the name 'a' is defined twice"),
        ("f: func(); enum f { x }", "line 3, column 17: the name 'f' is defined twice"),
        ("resource r { m: func(); m: func(); }", "line 3, column 25: the name 'm' is defined twice"),
        ("record r { next: option<r> }", "line 3, column 25: the type 'r' contains itself"),
        ("type a = b; type b = a;", "contains itself"),
        ("use nowhere.{t};", "line 3, column 5: the package has no interface 'nowhere'"),
        ("use i.{};", "line 3, column 5: this use names nothing"),
        ("use wasi:io/poll@0.2.0.{pollable};", "line 3, column 5: the package wasi:io@0.2.0 is not known"),
        ("f: func(fooBar: u8);", "line 3, column 9: 'fooBar' mixes cases"),
        ("# comment", "line 3, column 1: the character '#' begins nothing"),
        ("/* open", "line 3, column 1: the comment is not closed"),
        ("@soon(version = 1.0.0) f: func();", "line 3, column 2: expected since, unstable or deprecated"),
        ("f: func(); ; ", "line 3, column 12: expected a function, a type or '}', found ';'"),
        (f"flags g {{ {', '.join(f'x{n}' for n in range(33))} }}", "33 flags; at most 32 are allowed"),
        (f"type t = {'list<' * 101}u8{'>' * 101};", "types are nested deeper than 100"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_column(body: str, message: str) -> None:
    assert message in body_problem(body)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1, column 1: expected 'package namespace:name@1.2.3;' first, found the end of the text"),
        (
            "interface i {}",
            "line 1, column 1: expected 'package namespace:name@1.2.3;' first, found 'interface'",
        ),
        ("package a:b {}", "line 1, column 13: packages within a text are not supported"),
        ("package a:b@1.0;", "line 1, column 13: expected a version like 1.2.3, found '1'"),
        ("package a:b; interface i {", "found the end of the text"),
        ("package a:b; interface i {} interface i {}", "column 39: the name 'i' is defined twice"),
        ("package a:b; world w { include w; }", "column 32: the world w includes itself"),
        ("package a:b; world w { include v; }", "column 32: the package has no world 'v'"),
        ("package a:b; world w { import i; }", "column 31: the package has no interface 'i'"),
        ("package a:b; interface i {} world w { import i; import i; }", "'a:b/i' stands there twice"),
        ("package a:b; world w { export f: func(); export f: func(); }", "'f' stands there twice"),
        ("package a:b; world w { include v with { a as b }; } world v {}", "include … with is not supported"),
        ("package a:b; world w { f: func(); }", "expected an import, an export, a type or '}', found 'f'"),
    ],
)
def test_what_is_wrong_with_a_document_is_named(text: str, message: str) -> None:
    assert message in problem(text)


def test_types_that_grow_too_large_through_names_are_refused() -> None:
    doubling = "type t0 = u8; " + " ".join(
        f"record t{n} {{ x: t{n - 1}, y: t{n - 1} }}" for n in range(1, 50)
    )
    assert "more than 10000 parts" in body_problem(doubling)
    nesting = "type t0 = u8; " + " ".join(f"record t{n} {{ x: t{n - 1} }}" for n in range(1, 200))
    assert "nested deeper than 100" in body_problem(nesting)


def test_long_chains_of_use_are_refused_and_do_not_overflow() -> None:
    chain = "interface i0 { enum t { x } } " + " ".join(
        f"interface i{n} {{ use i{n - 1}.{{t}}; }}" for n in range(1, 2000)
    )
    reverse = " ".join(f"interface i{n} {{ use i{n + 1}.{{t}}; }}" for n in range(2000))
    assert "i1999" in parse(f"package a:b; {chain}").interfaces
    assert problem(f"package a:b; {reverse} interface i2000 {{ enum t {{ x }} }}")


WORDS = [
    "package",
    "a:b;",
    "interface",
    "i",
    "{",
    "}",
    "f",
    ":",
    "func",
    "(",
    ")",
    "->",
    "u8",
    "list",
    "<",
    ">",
    ";",
    "record",
    "use",
    ".",
    "@",
    "0.2.0",
    "world",
    "import",
    "resource",
    "own",
    "_",
    ",",
    "type",
    "=",
    "%",
    "//",
    "/*",
    "*/",
    "variant",
    "enum",
    "flags",
    "option",
    "result",
    "tuple",
    "borrow",
    "constructor",
    "static",
    "async",
    "include",
    "with",
    "as",
]


@steady
@given(st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join) | st.text(max_size=60))
def test_no_text_fails_otherwise_than_with_invalid_argument(text: str) -> None:
    for whole in (text, f"package a:b; {text}", f"package a:b; interface i {{ {text} }}"):
        with contextlib.suppress(InvalidArgument):
            parse(whole)
