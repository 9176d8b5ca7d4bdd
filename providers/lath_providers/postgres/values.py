"""From the types of a statement's parameters and columns to what converts their values.

All of a statement's types are looked at before it runs: one with a type that wasmcloud:postgres cannot carry
is refused in words, and nothing has happened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any, Final, TypeAlias

import asyncpg
from asyncpg.types import Attribute, Range, Type

from lath.codec import Record, Variant
from lath_providers.postgres import words
from lath_providers.postgres.scalars import SCALARS, TEXT, Scalar, money

ToServer: TypeAlias = Callable[[Variant], Any]
FromServer: TypeAlias = Callable[[Any], Variant]

NULL: Final = Variant("null")
ARRAY: Final = "-array"
_CATALOG: Final = "pg_catalog"
_VECTOR: Final = "int2vector[]"
"""What asyncpg calls int2vector, since its elements have a type."""
_HSTORE_CASES: Final = frozenset({"hstore", "text"})
_EMPTY_DAY: Final = Variant("ymd", (2000, 1, 1))
_ARGUMENT: Final = re.compile(r"invalid input for query argument \$(\d+)")


class Unsupported(ValueError):
    """A type that wasmcloud:postgres has no value for."""


class Misfit(ValueError):
    """A parameter that does not fit."""


class Values:
    """Converts values, in one database.

    Args:
        money_digits: Of amounts, after the point.
    """

    def __init__(self, money_digits: int) -> None:
        self._scalars = {**SCALARS, "money": money(money_digits)}
        self._enum_arrays: dict[int, bool] = {}

    def unknown_arrays(self, types: Iterable[Type]) -> list[int]:
        """The arrays among types of which nobody has said yet whether they are of an enum (`learn`)."""
        arrays = {kind.oid for kind in types if kind.kind == "array" and kind.schema != _CATALOG}
        return sorted(arrays - self._enum_arrays.keys())

    def learn(self, arrays: Iterable[int], of_enums: Container[int]) -> None:
        """Which arrays are of an enum: only those are safe, since asyncpg reads others as text."""
        self._enum_arrays.update({oid: oid in of_enums for oid in arrays})

    async def register(self, connection: asyncpg.Connection[Any]) -> None:
        """Has a connection hand over values as they cross. Asks the server nothing."""
        for scalar in self._scalars.values():
            if scalar.form != "str":
                await connection.set_type_codec(
                    scalar.name, schema=_CATALOG, encoder=_as_is, decoder=_as_is, format=scalar.form
                )

    # --- parameters ----------------------------------------------------------------------------------

    def parameters(self, types: Sequence[Type]) -> Callable[[Sequence[Variant]], list[Any]]:
        """What converts the parameters of a statement.

        Raises:
            Unsupported: A parameter has a type that has no values here.
        """
        converters = [self._parameter(number, kind) for number, kind in enumerate(types, 1)]

        def convert(params: Sequence[Variant]) -> list[Any]:
            if len(params) != len(converters):
                raise Misfit(f"the statement takes {len(converters)} parameters, and {len(params)} are given")
            return [to_server(param) for to_server, param in zip(converters, params, strict=True)]

        return convert

    def _parameter(self, number: int, kind: Type) -> ToServer:
        to_server = self._to_server(kind)
        if to_server is None:
            raise Unsupported(
                f"parameter ${number} is of type {shown(kind)}, for which there are no values: "
                f"cast it from text, as in ${number}::text::{shown(kind)}"
            )

        def convert(param: Variant) -> Any:
            if param.case == NULL.case:
                return None
            try:
                return to_server(param)
            except (ValueError, UnicodeEncodeError) as error:
                raise Misfit(f"parameter ${number} is of type {shown(kind)}: {error}") from None

        return convert

    def _to_server(self, kind: Type) -> ToServer | None:
        if kind.kind == "array":
            element = self._element(kind)
            return None if element is None else _array_to_server(element)
        if _is_daterange(kind):
            return _range_to_server
        if kind.name == "hstore":
            return _hstore_to_server
        scalar = self._scalar(kind.name, kind.schema) if kind.kind == "scalar" else None
        return None if scalar is None else scalar.to_server

    # --- columns -------------------------------------------------------------------------------------

    def rows(self, columns: Sequence[Attribute]) -> Callable[[Sequence[Any]], list[list[Record]]]:
        """What converts the rows of a statement.

        Raises:
            Unsupported: A column has a type that has no values here.
        """
        converters = [(column.name, self._column(column)) for column in columns]

        def convert(rows: Sequence[Any]) -> list[list[Record]]:
            return [
                [
                    Record(column_name=name, value=NULL if value is None else from_server(value))
                    for (name, from_server), value in zip(converters, row, strict=True)
                ]
                for row in rows
            ]

        return convert

    def _column(self, column: Attribute) -> FromServer:
        from_server = self._from_server(column.type)
        if from_server is None:
            raise Unsupported(
                f"column {column.name!r} is of type {shown(column.type)}, for which there are no values: "
                f"cast it to {'text[]' if column.type.kind == 'array' else 'text'}"
            )

        def convert(value: Any) -> Variant:
            try:
                return from_server(value)
            except Unsupported as error:
                raise Unsupported(f"column {column.name!r} of type {shown(column.type)}: {error}") from None

        return convert

    def _from_server(self, kind: Type) -> FromServer | None:
        if kind.name == "void":
            return lambda _: NULL
        if kind.name == _VECTOR and kind.schema == _CATALOG:
            return _vector_from_server
        if kind.kind == "array":
            element = self._element(kind)
            return None if element is None else _array_from_server(element)
        if _is_daterange(kind):
            return _range_from_server
        if kind.name == "hstore":
            return lambda text: Variant("hstore", words.decode_hstore(text))
        scalar = self._scalar(kind.name, kind.schema) if kind.kind == "scalar" else None
        return None if scalar is None else scalar.from_server

    def _element(self, array: Type) -> Scalar | None:
        if array.schema != _CATALOG:
            return TEXT if self._enum_arrays.get(array.oid) else None
        element = self._scalars.get(array.name.removesuffix("[]"))
        return element if element is not None and element.array_case else None

    def _scalar(self, name: str, schema: str) -> Scalar | None:
        """Types outside of `pg_catalog` are enums, and base types of extensions: both cross as text."""
        return self._scalars.get(name) if schema == _CATALOG else TEXT


def shown(kind: Type) -> str:
    """A type's name in messages."""
    return kind.name if kind.schema == _CATALOG else f"{kind.schema}.{kind.name}"


def _as_is(value: Any) -> Any:
    return value


def _is_daterange(kind: Type) -> bool:
    return kind.kind == "range" and kind.name == "daterange" and kind.schema == _CATALOG


# --- arrays ----------------------------------------------------------------------------------------------


def _array_to_server(element: Scalar) -> ToServer:
    def convert(value: Variant) -> list[Any]:
        if not value.case.endswith(ARRAY):
            raise ValueError(f"{value.case} is no array")
        case = value.case.removesuffix(ARRAY)
        return [element.to_server(Variant(case, each)) for each in value.payload]

    return convert


def _array_from_server(element: Scalar) -> FromServer:
    def convert(values: list[Any]) -> Variant:
        for each in values:
            if each is None:
                raise Unsupported("an array with NULL in it has no value; cast it to text")
            if isinstance(each, list):
                raise Unsupported("an array of arrays has no value; cast it to text")
        return Variant(element.array_case, [element.decode(each) for each in values])

    return convert


def _vector_from_server(values: list[Any]) -> Variant:
    element = SCALARS["int2"]
    if values and isinstance(values[0], list):
        return Variant("int2-vector-array", [[element.decode(each) for each in inner] for inner in values])
    return Variant("int2-vector", [element.decode(each) for each in values])


# --- ranges of dates, and hstore -------------------------------------------------------------------------


def _range_to_server(value: Variant) -> Range[bytes]:
    if value.case != "interval":
        raise ValueError(f"{value.case} is not interval")
    days = value.payload
    start, end = days["start"], days["end"]
    start_in, end_in = days["start_inclusive"], days["end_inclusive"]
    if start == end and not (start_in and end_in):
        return Range(empty=True)
    encode = SCALARS["date"].encode
    return Range(
        None if start.case == "negative-infinity" and not start_in else encode(start),
        None if end.case == "positive-infinity" and not end_in else encode(end),
        lower_inc=start_in,
        upper_inc=end_in,
    )


def _range_from_server(days: Range[bytes]) -> Variant:
    """Without a bound it goes on to infinity; an empty one has neither of two equal ends."""
    decode = SCALARS["date"].decode
    if days.isempty:
        start = end = _EMPTY_DAY
    else:
        start = Variant("negative-infinity") if days.lower is None else decode(days.lower)
        end = Variant("positive-infinity") if days.upper is None else decode(days.upper)
    return Variant(
        "interval",
        Record(start=start, start_inclusive=days.lower_inc, end=end, end_inclusive=days.upper_inc),
    )


def _hstore_to_server(value: Variant) -> str:
    if value.case not in _HSTORE_CASES:
        raise ValueError(f"{value.case} is not one of hstore, text")
    if value.case == "text":
        text: str = value.payload
        return text
    return words.encode_hstore(value.payload)
