"""PostgreSQL's built-in types: which case of `pg-value` each has, and how its values cross.

A value crosses as PostgreSQL's own bytes, or as its text where it has no case of its own. Before that it has
a form that all cases of a family share: 5 is the number 5, be it `int4(5)` or `big-int(5)`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from lath.codec import Record, Variant
from lath_providers.postgres import decimals, moments, networks, shapes, words
from lath_providers.postgres.floats import DOUBLE, SINGLE

Convert: TypeAlias = Callable[[Any], Any]
Form: TypeAlias = Literal["binary", "text", "str"]

_BITS_PER_BYTE: Final = 8
_AMOUNT: Final = re.compile(r"([+-]?)(\d{1,20})(?:\.(\d{0,40}))?\Z")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A built-in type.

    Attributes:
        name: In `pg_catalog`.
        case: Of its values, in a row.
        array_case: Of arrays of it; empty where the standard has none.
        form: How values cross: as bytes, as text, or as the str that asyncpg itself makes of the bytes. Of
            text there are no arrays: asyncpg takes "" for NULL in them.
        takes: The cases that a parameter of the type may have, and what makes of a payload the family's form.
        encode: From the family's form to what crosses. Raises `ValueError`.
        decode: From what crosses to the payload of `case`.
    """

    name: str
    case: str
    array_case: str
    form: Form
    takes: Mapping[str, Convert]
    encode: Convert
    decode: Convert

    def to_server(self, value: Variant) -> Any:
        """What crosses for a parameter.

        Raises:
            ValueError: It does not fit the type; the message says why.
        """
        prepare = self.takes.get(value.case)
        if prepare is None:
            raise ValueError(f"{value.case} is not one of {', '.join(sorted(self.takes))}")
        return self.encode(prepare(value.payload))

    def from_server(self, crossed: Any) -> Variant:
        """The value that has crossed."""
        return Variant(self.case, self.decode(crossed))


def _same(value: Any) -> Any:
    return value


def _cases(names: str, prepare: Convert = _same) -> dict[str, Convert]:
    return dict.fromkeys(names.split(), prepare)


def _struct(form: str, what: str) -> tuple[Convert, Convert]:
    """To and from the bytes of one number."""

    def encode(number: int) -> bytes:
        try:
            return struct.pack(form, number)
        except struct.error:
            raise ValueError(f"{number} is out of the range of {what}") from None

    return encode, lambda data: struct.unpack(form, data)[0]


# --- what a payload must be ------------------------------------------------------------------------------


def _text(text: str) -> str:
    if "\0" in text:
        raise ValueError("PostgreSQL's text cannot hold the character NUL")
    return text


def _sized_text(payload: tuple[int | None, bytes]) -> str:
    """Text with its length in bytes: exactly of a `char`, at most of a `varchar`."""
    limit, data = payload
    if limit is not None and len(data) > limit:
        raise ValueError(f"{len(data)} bytes are more than the {limit} that are said to be there")
    try:
        return _text(data.decode())
    except UnicodeDecodeError:
        raise ValueError("its bytes are not UTF-8") from None


def _bits(payload: tuple[int | None, bytes]) -> bytes:
    count, data = payload
    count = len(data) * _BITS_PER_BYTE if count is None else count
    if len(data) != -(-count // _BITS_PER_BYTE):
        raise ValueError(f"{count} bits take {-(-count // _BITS_PER_BYTE)} bytes, and there are {len(data)}")
    return struct.pack(">i", count) + data


def _decode_bits(data: bytes) -> tuple[int, bytes]:
    return struct.unpack_from(">i", data)[0], data[4:]


def _octets(value: Any) -> bytes:
    return bytes(value["bytes"])


def _decode_octets(data: bytes) -> Record:
    return Record(bytes=tuple(data))


def _snapshot(payload: tuple[int, int, list[int]]) -> str:
    xmin, xmax, running = payload
    return f"{xmin}:{xmax}:{','.join(map(str, running))}"


def _decode_snapshot(text: str) -> tuple[int, int, list[int]]:
    xmin, xmax, running = text.split(":")
    return int(xmin), int(xmax), [int(each) for each in running.split(",") if each]


def _decode_char(text: str) -> tuple[int, bytes]:
    data = text.encode()
    return len(data), data


# --- the types -------------------------------------------------------------------------------------------

_INTEGERS: Final = _cases(
    "big-int int8 big-serial serial8 integer int int4 serial serial4 small-int int2 small-serial serial2 "
    "txid-snapshot"
)
_FLOATS: Final = {**_cases("double float8", DOUBLE.number), **_cases("real float4", SINGLE.number)}
_NUMERICS: Final = {**_cases("numeric decimal money"), **_INTEGERS}
_TEXTS: Final = {**_cases("text name xml json jsonb", _text), **_cases("char varchar", _sized_text)}
_JSONS: Final = _cases("json jsonb text", _text)


def _integer(name: str, case: str, form: str, array_case: str = "") -> Scalar:
    return Scalar(name, case, array_case, "binary", _INTEGERS, *_struct(form, name))


def _binary(
    name: str, encode: Convert, decode: Convert, case: str = "", takes: Mapping[str, Convert] | None = None
) -> Scalar:
    """A type with a case, and an array case, of its own."""
    case = case or name
    return Scalar(name, case, f"{case}-array", "binary", takes or _cases(case), encode, decode)


def _as_text(name: str, case: str, takes: Mapping[str, Convert], decode: Convert = _same) -> Scalar:
    return Scalar(name, case, "", "text", takes, _same, decode)


def _words(name: str, case: str, takes: Mapping[str, Convert], decode: Convert = _same) -> Scalar:
    """A type of texts, for which asyncpg has strings."""
    return Scalar(name, case, f"{case}-array", "str", takes, _same, decode)


def _decode_uuid(data: bytes) -> str:
    return str(UUID(bytes=data))


def _encode_uuid(text: str) -> bytes:
    return UUID(text).bytes


WITHOUT_CASE: Final = (
    "interval", "jsonpath", "refcursor", "tid", "aclitem", "unknown", "cstring", "regclass", "regcollation",
    "regconfig", "regdictionary", "regnamespace", "regoper", "regoperator", "regproc", "regprocedure",
    "regrole", "regtype",
)  # fmt: skip
"""Types for which the standard has no case: PostgreSQL's text, as `text`."""

_SCALARS: Final[Iterable[Scalar]] = (
    _binary("bool", *_struct(">?", "bool"), takes=_cases("bool boolean")),
    _integer("int2", "int2", ">h", "int2-array"),
    _integer("int4", "int4", ">i", "int4-array"),
    _integer("int8", "int8", ">q", "int8-array"),
    _integer("oid", "int8", ">I", "int8-array"),
    _integer("xid", "int8", ">I", "int8-array"),
    _integer("cid", "int8", ">I", "int8-array"),
    _integer("xid8", "int8", ">q", "int8-array"),
    Scalar("float4", "float4", "float4-array", "binary", _FLOATS, SINGLE.packed, SINGLE.parts),
    Scalar("float8", "float8", "float8-array", "binary", _FLOATS, DOUBLE.packed, DOUBLE.parts),
    _binary(
        "numeric", lambda number: decimals.encode_numeric(str(number)), decimals.decode_numeric,
        takes=_NUMERICS,
    ),
    _binary("bytea", _same, _same),
    Scalar("bit", "bit", "bit-array", "binary", _cases("bit bit-varying varbit", _bits), _same, _decode_bits),
    Scalar(
        "varbit", "varbit", "varbit-array", "binary",
        _cases("bit bit-varying varbit", _bits), _same, _decode_bits,
    ),
    _words("text", "text", _TEXTS),
    _words("name", "name", _TEXTS),
    _words("xml", "xml", _TEXTS),
    _words("varchar", "varchar", _TEXTS, _decode_char),
    _words("bpchar", "char", _TEXTS, _decode_char),
    _words("char", "char", _TEXTS, _decode_char),
    _words("json", "json", _JSONS),
    _words("jsonb", "jsonb", _JSONS),
    _binary("uuid", _encode_uuid, _decode_uuid, takes=_cases("uuid text")),
    _binary("inet", networks.encode_inet, networks.decode_inet, takes=_cases("inet cidr text")),
    _binary("cidr", networks.encode_cidr, networks.decode_cidr, takes=_cases("inet cidr text")),
    _as_text("tsquery", "ts-query", _cases("ts-query text", _text)),
    _binary("tsvector", words.encode_ts_vector, words.decode_ts_vector, "ts-vector"),
    _binary("macaddr", _octets, _decode_octets),
    _binary("macaddr8", _octets, _decode_octets),
    _binary("point", shapes.encode_point, shapes.decode_point),
    _binary("lseg", shapes.encode_segment, shapes.decode_segment),
    _binary("box", shapes.encode_box, shapes.decode_box),
    _binary("line", shapes.encode_line, shapes.decode_line),
    _binary("circle", shapes.encode_circle, shapes.decode_circle),
    _binary("path", shapes.encode_path, shapes.decode_path),
    _binary("polygon", shapes.encode_polygon, shapes.decode_polygon),
    _binary("date", moments.encode_date, moments.decode_date),
    _binary("time", moments.encode_time, moments.decode_time),
    _binary("timetz", moments.encode_time_tz, moments.decode_time_tz, "time-tz"),
    _binary("timestamp", moments.encode_timestamp, moments.decode_timestamp),
    _binary("timestamptz", moments.encode_timestamp_tz, moments.decode_timestamp_tz, "timestamp-tz"),
    _binary("pg_lsn", *_struct(">Q", "pg_lsn"), case="pg-lsn"),
    _as_text("pg_snapshot", "pg-snapshot", _cases("pg-snapshot", _snapshot), _decode_snapshot),
    _as_text("txid_snapshot", "pg-snapshot", _cases("pg-snapshot", _snapshot), _decode_snapshot),
    *(_as_text(name, "text", _TEXTS) for name in WITHOUT_CASE),
)  # fmt: skip

SCALARS: Final[Mapping[str, Scalar]] = {scalar.name: scalar for scalar in _SCALARS}
"""By the name in `pg_catalog`. Money is made by `money`, for it needs to know how many digits it has."""
TEXT: Final = SCALARS["text"]
"""Also what enums and the types of extensions cross as."""


def money(digits: int) -> Scalar:
    """The type `money` of a database whose amounts have so many digits after the point."""
    units = 10**digits
    encode_units, decode_units = _struct(">q", "money")

    def encode(amount: str | int) -> bytes:
        text = str(amount)
        found = _AMOUNT.match(text)
        if found is None:
            raise ValueError(f"{text[:40]!r} is no amount")
        sign, whole, fraction = found.groups("")
        if len(fraction.rstrip("0")) > digits:
            raise ValueError(f"{text[:40]} has more than the {digits} digits after the point of money here")
        count = int(whole) * units + int(fraction[:digits].ljust(digits, "0") or 0)
        packed: bytes = encode_units(-count if sign == "-" else count)
        return packed

    def decode(data: bytes) -> str:
        amount = decode_units(data)
        whole, fraction = divmod(abs(amount), units)
        text = f"{'-' if amount < 0 else ''}{whole}"
        return f"{text}.{fraction:0{digits}}" if digits else text

    return Scalar("money", "money", "money-array", "binary", _NUMERICS, encode, decode)
