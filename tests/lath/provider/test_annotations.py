"""Annotations that contradict the WIT are refused when the class is defined, and nothing else is."""

from __future__ import annotations

import enum
import itertools
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, NewType, NoReturn, Protocol

import pytest
from pydantic import BaseModel

from lath.codec import Err, Ok, Record, Resource, Some, Variant
from lath.errors import InvalidArgument
from lath.provider import Call, Provider, operation, resource

if TYPE_CHECKING:
    from nowhere import Unseen  # type: ignore[import-not-found]

Key = NewType("Key", str)
_numbers = itertools.count(1)


@resource("shelf")
class Shelf:
    name: str


@resource("box")
class Box:
    name: str


class Colour(enum.Enum):
    RED = "red"
    DARK_BLUE = "dark-blue"


class Shade(enum.StrEnum):
    RED = "red"
    GREEN = "green"


@dataclass
class Point:
    x: int
    how_far: int | None


class PointModel(BaseModel):
    x: int
    how_far: int | None


class PointTuple(NamedTuple):
    x: int
    how_far: int | None


class HasX(Protocol):
    x: int


@dataclass
class Pint:
    x: int
    how_fat: int | None


@dataclass
class Textual:
    x: str
    how_far: int | None


TYPES = """
    enum colour { red, dark-blue }
    flags rights { read, write }
    variant shape { dot, line(u32) }
    record point { x: s32, how-far: option<u32> }
    resource shelf;
    resource box;
"""


def defined(takes: str, gives: str, annotations: Mapping[str, Any]) -> type[Provider]:
    """A provider whose one operation takes a value, gives one, and is so annotated."""

    async def put(self: Provider, call: Call[None], value: Any) -> Any: ...

    put.__annotations__ = dict(annotations)
    package = f"test:annotated{next(_numbers)}"
    body = {
        "wit": f"package {package}@1.0.0; interface things {{ {TYPES} put: func(value: {takes}){gives}; }}",
        "resources": (Shelf,),
        "put": operation(f"{package}/things")(put),
    }
    return type("Things", (Provider,), body)


TAKEN = {
    "string": (
        [str, Key, Annotated[str, "any"], str | None, object, Any],
        [int, bytes, list[str], Shade, None],
    ),
    "u32": ([int, int | str], [str, float, bool, enum.IntEnum]),
    "bool": ([bool], [int, str]),
    "f64": ([float], [str, int]),
    "list<u8>": ([bytes], [list[int], list[str], str, bytearray]),
    "list<string>": (
        [list[str], Sequence[str], Iterable[str], list, list[Any]],
        [str, list[int], set[str], tuple[str, ...], bytes],
    ),
    "option<u32>": ([int | None, Any, int | str | None], [int, str | None, None]),
    "option<option<u32>>": ([Some[int | None] | None], [int | None, Some[int] | None, Some[int | None]]),
    "tuple<string, u32>": (
        [tuple[str, int], tuple[Any, ...], tuple],
        [tuple[str], tuple[int, str], list[Any]],
    ),
    "map<string, u32>": ([dict[str, int], Mapping[str, int]], [dict[str, str], list[str]]),
    "point": ([Record, Point, PointModel, HasX, Any], [Pint, Textual, str, dict[str, Any], Shelf]),
    "shape": ([Variant], [str, int, Colour]),
    "colour": (
        [str, Literal["red", "dark-blue"]],
        [int, Literal["red"], Colour, Literal["red", "dark-blue", "x"]],
    ),
    "rights": ([frozenset[str], Set[str], Iterable[str]], [set[str], list[str], str, frozenset[int]]),
    "result<u32, string>": ([Ok[int] | Err[str]], [int, Ok[int], Ok[str] | Err[str]]),
    "shelf": ([Shelf, Any], [Box, str, Resource]),
    "list<option<shelf>>": ([list[Shelf | None]], [list[Shelf], list[Box | None]]),
    "box": ([Resource, AsyncIterator[bytes], Any], [Shelf, Box, str, Record]),
}
GIVEN = {
    "string": ([str, Shade, Key, Any, NoReturn], [int, bytes, str | None, None]),
    "u32": ([int, enum.IntEnum], [str, float, bool, int | None]),
    "f64": ([float, int], [str]),
    "list<u8>": ([bytes, bytearray, memoryview, bytes | bytearray], [list[int], str, AsyncIterator[str]]),
    "list<string>": (
        [list[str], tuple[str, ...], Iterable[str], set[Shade]],
        [str, list[int], dict[str, str], bytes],
    ),
    "option<u32>": ([int | None, int, None, Some[int] | None], [str | None, int | str]),
    "option<option<u32>>": ([Some[int | None] | None, Some[int], None], [int | None]),
    "tuple<string, u32>": ([tuple[str, int], list[Any]], [tuple[str], tuple[int, str], str]),
    "map<string, u32>": ([dict[str, int], Mapping[str, int]], [list[str], dict[int, int]]),
    "point": (
        [Record, Point, PointModel, PointTuple, dict[str, Any]],
        [Pint, Textual, str, Shelf, list[int]],
    ),
    "shape": ([Variant, Literal["dot"], dict[str, int]], [int, Literal["line"], list[str]]),
    "colour": ([str, Colour, Literal["red"], Literal["dark_blue"]], [int, Shade, Literal["green"]]),
    "rights": ([set[str], frozenset[str], list[Literal["read"]]], [str, set[int], list[Literal["paint"]]]),
    "result<u32, string>": ([int, Ok[int], Ok[int] | Err[str], NoReturn], [str, None, Err[int], int | None]),
    "result<option<u32>>": ([int | None, Ok[int | None]], [str | None]),
    "result<_, string>": ([None, Ok[None]], [int, str]),
    "shelf": ([Shelf, Resource], [Box, str]),
    "list<tuple<shelf, u32>>": ([list[tuple[Shelf, int]]], [list[tuple[Box, int]]]),
}


def accepted(takes: str, gives: str, annotations: Mapping[str, Any]) -> bool:
    try:
        defined(takes, gives, annotations)
    except InvalidArgument as e:
        return "is annotated" not in e.message
    return True


@pytest.mark.parametrize("kind", TAKEN)
def test_a_parameter_is_annotated_with_what_takes_all_that_comes(kind: str) -> None:
    fitting, wrong = TAKEN[kind]
    assert [each for each in fitting if not accepted(kind, "", {"value": each, "return": None})] == []
    assert [each for each in wrong if accepted(kind, "", {"value": each, "return": None})] == []


@pytest.mark.parametrize("kind", GIVEN)
def test_a_result_is_annotated_with_what_the_wit_can_carry(kind: str) -> None:
    fitting, wrong = GIVEN[kind]
    assert [each for each in fitting if not accepted("string", f" -> {kind}", {"return": each})] == []
    assert [each for each in wrong if accepted("string", f" -> {kind}", {"return": each})] == []


def test_a_result_where_the_wit_has_none_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="the WIT says no result: expected `None`"):
        defined("string", "", {"return": int})


def test_what_is_not_annotated_is_accepted() -> None:
    defined("list<shelf>", " -> result<point, string>", {})


def test_one_error_tells_every_contradiction_of_a_class_with_the_wit_beside_each() -> None:
    with pytest.raises(InvalidArgument) as caught:

        class _Wrong(Provider):
            wit = """
                package test:wrong@1.0.0;
                interface things {
                    record page { keys: list<string>, cursor: option<u64> }
                    get: func(key: string, cursor: option<u64>) -> result<list<u8>, string>;
                    pages: func() -> page;
                }
            """
            interface = "test:wrong/things"

            @operation
            async def get(self, call: Call[None], key: int, cursor: int) -> list[int]:
                return []

            @operation
            async def pages(self, call: Call[None]) -> Point:
                return Point(1, 2)

    where = caught.value.message.partition(".get: ")[0]
    assert caught.value.message.replace(where, "_Wrong").splitlines() == [
        "_Wrong.get: parameter 'key' is annotated `int`, but the WIT says `string`: expected `str`",
        "_Wrong.get: parameter 'cursor' is annotated `int`, but the WIT says `option<u64>`: expected"
        " `int | None` (`| None` is missing)",
        "_Wrong.get: the result is annotated `list[int]`, but the WIT says `result<list<u8>, string>`:"
        " expected `bytes`",
        "    test:wrong/things@1.0.0.get: func(key: string, cursor: option<u64>) -> result<list<u8>, string>",
        "_Wrong.pages: the result is annotated `Point`, but the WIT says `page`: expected `Record`, or"
        " a class with the fields keys, cursor (the record has no field 'how_far')",
        "    test:wrong/things@1.0.0.pages: func() -> page",
    ]


def test_names_that_only_type_checkers_see_are_tolerated() -> None:
    class Tolerated(Provider):
        wit = "package test:tolerated@1.0.0; interface things { put: func(value: string) -> list<u8>; }"

        @operation("test:tolerated/things")
        async def put(self, call: Call[None], value: Unseen) -> Nowhere:  # type: ignore[name-defined]  # noqa: F821
            ...

    assert len(Tolerated.operations) == 1


def test_an_operation_that_a_subclass_overrides_is_checked_again() -> None:
    class Base(Provider):
        wit = "package test:base@1.0.0; interface things { put: func(value: string); }"

        @operation("test:base/things")
        async def put(self, call: Call[None], value: str) -> None: ...

    with pytest.raises(InvalidArgument, match="'value' is annotated `bytes`"):

        class _Wrong(Base):
            async def put(self, call: Call[None], value: bytes) -> None: ...  # type: ignore[override]
