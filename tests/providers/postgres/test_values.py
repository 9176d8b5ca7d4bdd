"""Values of every type come back from a real PostgreSQL as they were given."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postgres_databases import config_of, make_database, scripted
from postgres_server import PostgresServer

from lath.codec import Variant
from lath_providers.postgres.config import PostgresConfig
from lath_providers.postgres.floats import DOUBLE, SINGLE
from lath_providers.postgres.session import Session
from lath_providers.postgres.values import NULL, Misfit, Unsupported, Values

EXAMPLES: Final = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SETUP: Final = """
    CREATE EXTENSION hstore; CREATE EXTENSION ltree;
    CREATE TYPE mood AS ENUM ('sad', 'so ''so''', 'happy');
    CREATE DOMAIN small AS int4 CHECK (VALUE < 100);
    CREATE TYPE pair AS (a int, b text);
"""


class Asked:
    """A session in a database with all that the tests need, asked from tests that are no coroutines."""

    def __init__(self, runner: asyncio.Runner, session: Session) -> None:
        self.runner = runner
        self.session = session

    def query(self, sql: str, *params: Variant) -> list[Variant]:
        """The values of the first row."""
        rows = self.runner.run(self.session.query(sql, list(params)))
        return [entry.value for entry in rows[0]]

    def back(self, kind: str, value: Variant) -> Variant:
        """A value that was sent as a parameter of a type, and selected."""
        (found,) = self.query(f"SELECT $1::{kind}", value)
        return found

    def taken_for(self, kind: str, value: Variant) -> str:
        """What PostgreSQL says that it got."""
        (found,) = self.query(f"SELECT $1::{kind}::text", value)
        words: str = found.payload
        return words

    def of(self, kind: str, text: str) -> Variant:
        """What comes of PostgreSQL's own text."""
        (found,) = self.query(f"SELECT $1::text::{kind}", Variant("text", text))
        return found


@pytest.fixture(scope="module")
def asked(postgres: PostgresServer) -> Iterator[Asked]:
    with asyncio.Runner() as runner:
        session = runner.run(connect(postgres))
        yield Asked(runner, session)
        runner.run(session.close(5))


async def connect(server: PostgresServer) -> Session:
    name = await asyncio.to_thread(make_database, server)
    await asyncio.to_thread(scripted, server, name, SETUP)
    config = PostgresConfig.model_validate(config_of(server, name))
    return await Session.connect(config, None, "test", Values(money_digits=2))


# --- what there may be -----------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=6).map(lambda n: f"{n:f}")
DOUBLES = st.floats(allow_nan=False).map(lambda n: DOUBLE.parts(DOUBLE.packed(n))) | st.just(
    DOUBLE.parts(DOUBLE.packed(math.nan))
)
SINGLES = st.floats(width=32, allow_nan=False).map(lambda n: SINGLE.parts(SINGLE.packed(n)))
FINITE = st.floats(allow_nan=False, allow_infinity=False).map(lambda n: DOUBLE.parts(DOUBLE.packed(n)))
NEAR = st.floats(min_value=-1e9, max_value=1e9).map(lambda n: DOUBLE.parts(DOUBLE.packed(n)))
POINTS = st.tuples(FINITE, FINITE)
DAYS = st.tuples(st.integers(-4712, 5_000_000), st.integers(1, 12), st.integers(1, 28))
DATES = DAYS.map(lambda ymd: Variant("ymd", ymd)) | st.sampled_from(
    [Variant("positive-infinity"), Variant("negative-infinity"), Variant("ymd", (2000, 2, 29))]
)
MIDNIGHT = {"hour": 0, "min": 0, "sec": 0, "micro": 0}
TIMES = st.fixed_dictionaries(
    {
        "hour": st.integers(0, 23),
        "min": st.integers(0, 59),
        "sec": st.integers(0, 59),
        "micro": st.integers(0, 999_999),
    }
) | st.just({**MIDNIGHT, "hour": 24})
CLOCKS = st.builds(
    lambda year, day, time: {"date": Variant("ymd", (year, *day)), "time": time},
    st.integers(-4000, 200_000),
    st.tuples(st.integers(1, 12), st.integers(1, 28)),
    TIMES.filter(lambda time: time["hour"] < 24),
) | st.sampled_from([Variant("positive-infinity"), Variant("negative-infinity")]).map(
    lambda date: {"date": date, "time": MIDNIGHT}
)
JANUARY, FEBRUARY = Variant("ymd", (2024, 1, 1)), Variant("ymd", (2024, 2, 1))
UTC = Variant("western-hemisphere-secs", 0)
BITS = st.binary(max_size=5).map(lambda data: (8 * len(data), data)) | st.just((3, b"\xa0"))
WORDS = st.text("abc'\\ é", min_size=1, max_size=4)
LEXEMES = st.dictionaries(
    WORDS,
    st.none() | st.dictionaries(st.integers(1, 16_383), st.sampled_from("ABCD"), min_size=1, max_size=3),
    max_size=4,
).map(
    lambda words: [
        {"data": word, "position": position, "weight": weight}
        for word in sorted(words, key=str.encode)
        for position, weight in (sorted(words[word].items()) if words[word] else [(None, None)])
    ]
)
PAIRS = st.dictionaries(TEXTS, st.none() | TEXTS, max_size=3).map(lambda pairs: list(pairs.items()))
ZONES = st.sampled_from(["+00", "-03:30", "+15:59:59"])
WEIGHTED = {"data": "a", "position": None, "weight": "A"}
SNAPSHOTS = st.integers(10, 1000).map(lambda xmin: (xmin, xmin + 9, [xmin + 1, xmin + 4]))


def of(case: str, payloads: st.SearchStrategy[Any]) -> tuple[str, st.SearchStrategy[Variant]]:
    return case, payloads.map(lambda payload: Variant(case, payload))


def sized(payloads: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[int, bytes]]:
    return payloads.map(lambda words: (len(words.encode()), words.encode()))


def integers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def octets(count: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.binary(min_size=count, max_size=count).map(lambda data: {"bytes": tuple(data)})


MONEY = st.integers(-(10**16), 10**16).map(
    lambda n: f"{'-' if n < 0 else ''}{abs(n) // 100}.{abs(n) % 100:02}"
)
UUIDS = st.uuids().map(str)
INETS = st.ip_addresses().map(str)
CIDRS = st.ip_addresses(v=4).map(lambda address: f"{address}/32")
JSONS = st.sampled_from(["1", '"a\\"é"', '{"a": [1, null]}', "[]", "12345678901234567890.5", "null"])
BOXES = st.tuples(st.tuples(NEAR, NEAR), st.just((DOUBLE.parts(DOUBLE.packed(1e10)),) * 2))
TYPES: Final[dict[str, tuple[str, st.SearchStrategy[Variant]]]] = {
    "bool": of("bool", st.booleans()),
    "int2": of("int2", integers(16)),
    "int4": of("int4", integers(32)),
    "int8": of("int8", integers(64)),
    "float4": of("float4", SINGLES),
    "float8": of("float8", DOUBLES),
    "numeric": of("numeric", NUMBERS),
    "text": of("text", TEXTS),
    "varchar": of("varchar", sized(TEXTS)),
    "bpchar": of("char", sized(TEXTS.map(lambda words: words + "."))),
    "name": of("name", st.text("abc é'", max_size=10)),
    "bytea": of("bytea", st.binary(max_size=50)),
    "bit varying": of("varbit", BITS),
    "uuid": of("uuid", UUIDS),
    "json": of("json", JSONS),
    "jsonb": of("jsonb", JSONS),
    "xml": of("xml", st.just("<a>b</a>")),
    "inet": of("inet", INETS),
    "cidr": of("cidr", CIDRS),
    "macaddr": of("macaddr", octets(6)),
    "macaddr8": of("macaddr8", octets(8)),
    "point": of("point", POINTS),
    "lseg": of("lseg", st.tuples(POINTS, POINTS)),
    "box": of("box", BOXES),
    "circle": of("circle", st.tuples(POINTS, FINITE.map(lambda parts: (*parts[:2], 1)))),
    "path": of("path", st.lists(POINTS, min_size=1, max_size=4)),
    "polygon": of("polygon", st.lists(st.tuples(NEAR, NEAR), min_size=1, max_size=4)),
    "date": of("date", DATES),
    "time": of("time", TIMES),
    "timetz": of("time-tz", st.fixed_dictionaries({"timesonze": ZONES, "time": TIMES})),
    "timestamp": of("timestamp", CLOCKS),
    "timestamptz": of("timestamp-tz", CLOCKS.map(lambda clock: {"timestamp": clock, "offset": UTC})),
    "money": of("money", MONEY),
    "pg_lsn": of("pg-lsn", st.integers(0, 2**64 - 1)),
    "pg_snapshot": of("pg-snapshot", SNAPSHOTS),
    "tsvector": of("ts-vector", LEXEMES),
    "hstore": of("hstore", PAIRS),
    "mood": of("text", st.sampled_from(["sad", "so 'so'", "happy"])),
}  # fmt: skip
WITHOUT_ARRAY: Final = ("pg_snapshot", "tsvector", "hstore", "xml")


# --- tests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TYPES)
@EXAMPLES
@given(data=st.data())
def test_a_value_comes_back_as_it_was_given(asked: Asked, kind: str, data: st.DataObject) -> None:
    value = data.draw(TYPES[kind][1])
    assert plain(asked.back(kind, value)) == plain(value)


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind not in WITHOUT_ARRAY])
@settings(EXAMPLES, max_examples=5)
@given(data=st.data())
def test_an_array_comes_back_as_it_was_given(asked: Asked, kind: str, data: st.DataObject) -> None:
    case, values = TYPES[kind]
    payloads = [each.payload for each in data.draw(st.lists(values, max_size=4))]
    value = Variant(f"{case}-array", payloads)
    assert plain(asked.back(f"{kind}[]", value)) == plain(value)


def test_null_of_any_type_is_null(asked: Asked) -> None:
    for kind in (*TYPES, "interval", "int4[]", "small"):
        assert asked.back(kind, NULL) == NULL, kind


@pytest.mark.parametrize(
    ("kind", "written", "case", "payload"),
    [
        ("float8", "1.5", "float8", (0x18000000000000, -52, 1)),
        ("float8", "0", "float8", (0, -1075, 1)),
        ("float8", "-Infinity", "float8", (0x10000000000000, 972, -1)),
        ("float8", "NaN", "float8", (0x18000000000000, 972, 1)),
        ("float4", "-2", "float4", (0x800000, -22, -1)),
        ("float4", "Infinity", "float4", (0x800000, 105, 1)),
        ("numeric", "-0.00100", "numeric", "-0.00100"),
        ("numeric", "NaN", "numeric", "NaN"),
        ("numeric", "1e20", "numeric", "100000000000000000000"),
        ("money", "-1234.5", "money", "-1234.50"),
        ("char(4)", "é", "char", (5, "é   ".encode())),
        ("bit(10)", "1000000001", "bit", (10, b"\x80\x40")),
        ("date", "0044-03-15 BC", "date", Variant("ymd", (-43, 3, 15))),
        ("date", "infinity", "date", Variant("positive-infinity")),
        ("inet", "10.0.0.1/8", "inet", "10.0.0.1/8"),
        ("inet", "::1", "inet", "::1"),
        ("cidr", "10.0.0.0/8", "cidr", "10.0.0.0/8"),
        ("interval", "1 year 2 days", "text", "1 year 2 days"),
        ("int2vector", "1 2 3", "int2-vector", [1, 2, 3]),
        ("tsquery", "'a' & !'b'", "ts-query", "'a' & !'b'"),
        ("regclass", "pg_class", "text", "pg_class"),
        ("oid", "4294967295", "int8", 4294967295),
        ("line", "{2,-1,3}", "line", None),
        ("small", "99", "int4", 99),
        ("ltree", "a.b", "text", "a.b"),
    ],
)  # fmt: skip
def test_what_postgresql_writes_is_the_value_of_its_case(
    asked: Asked, kind: str, written: str, case: str, payload: Any
) -> None:
    found = asked.of(kind, written)
    assert found.case == case
    if payload is not None:
        assert found.payload == payload


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("int8", Variant("small-int", -5), "-5"),
        ("int2", Variant("big-int", 7), "7"),
        ("numeric", Variant("int8", 12), "12"),
        ("numeric", Variant("decimal", "1.50e2"), "150"),
        ("numeric", Variant("numeric", ".5"), "0.5"),
        ("float8", Variant("real", (0x800000, -24, 1)), "0.5"),
        ("float8", Variant("double", (1, 3, -1)), "-8"),
        ("text", Variant("varchar", (None, b"abc")), "abc"),
        ("varchar", Variant("text", "abc"), "abc"),
        ("jsonb", Variant("text", '{"b":1,"a":2}'), '{"a": 2, "b": 1}'),
        ("timetz", Variant("time-tz", {"timesonze": "Z", "time": MIDNIGHT}), "00:00:00+00"),
        ("line", Variant("line", (((0, 0, 1), (1, 0, 1)), ((1, 0, 1), (3, 0, 1)))), "{2,-1,1}"),
        ("box", Variant("box", (((3, 0, 1), (4, 0, 1)), ((1, 0, 1), (2, 0, 1)))), "(3,4),(1,2)"),
        ("path", Variant("path", [((1, 0, 1), (2, 0, 1))]), "[(1,2)]"),
        ("small", Variant("int4", 5), "5"),
        ("interval", Variant("text", "36 hours"), "36:00:00"),
        ("varbit", Variant("bit-varying", (None, b"\xf0")), "11110000"),
        ("int4[]", Variant("int8-array", [1, 2]), "{1,2}"),
    ],
)  # fmt: skip
def test_every_case_of_a_family_is_taken(asked: Asked, kind: str, value: Variant, words: str) -> None:
    assert asked.taken_for(kind, value) == words


def test_the_offset_of_a_timestamp_says_where_its_clock_hangs(asked: Asked) -> None:
    clock = {"date": Variant("ymd", (2024, 7, 1)), "time": {**MIDNIGHT, "hour": 8}}
    new_york = Variant("western-hemisphere-secs", 4 * 3600)
    found = asked.back("timestamptz", Variant("timestamp-tz", {"timestamp": clock, "offset": new_york}))
    assert found.payload.timestamp.time.hour == 12
    assert found.payload.offset == UTC


@pytest.mark.parametrize(
    ("written", "start", "end", "inclusive"),
    [
        ("[2024-01-01,2024-02-01)", JANUARY, FEBRUARY, (True, False)),
        ("(,2024-02-01)", Variant("negative-infinity"), FEBRUARY, (False, False)),
        ("[2024-01-01,)", JANUARY, Variant("positive-infinity"), (True, False)),
    ],
)  # fmt: skip
def test_a_range_of_dates_is_an_interval_both_ways(
    asked: Asked, written: str, start: Variant, end: Variant, inclusive: tuple[bool, bool]
) -> None:
    found = asked.of("daterange", written)
    days = found.payload
    assert (found.case, days.start, days.end) == ("interval", start, end)
    assert (days.start_inclusive, days.end_inclusive) == inclusive
    assert asked.taken_for("daterange", found) == written


def test_an_empty_range_of_dates_stays_empty(asked: Asked) -> None:
    assert asked.taken_for("daterange", asked.of("daterange", "empty")) == "empty"


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        ("int4", Variant("text", "5"), "text is not one of"),
        ("int2", Variant("int8", 40_000), "40000 is out of the range of int2"),
        ("uuid", Variant("uuid", "nonsense"), "badly formed"),
        ("numeric", Variant("numeric", "1,5"), "'1,5' is no number"),
        ("text", Variant("text", "a\0b"), "NUL"),
        ("text", Variant("varchar", (1, b"ab")), "more than the 1"),
        ("text", Variant("char", (1, b"\xff")), "UTF-8"),
        ("varbit", Variant("varbit", (9, b"a")), "9 bits take 2 bytes"),
        ("date", Variant("date", Variant("ymd", (2023, 2, 29))), "no date 2023-2-29"),
        ("date", Variant("date", Variant("ymd", (2**31 - 1, 1, 1))), "out of PostgreSQL's range"),
        ("time", Variant("time", {**MIDNIGHT, "hour": 25}), "no time 25"),
        ("timetz", Variant("time-tz", {"timesonze": "Mars", "time": MIDNIGHT}), "'Mars' is no zone"),
        ("float4", Variant("double", (1, 200, 1)), "float of 32 bits"),
        ("float8", Variant("float8", (1, 0, 3)), "sign"),
        ("polygon", Variant("polygon", []), "at least one point"),
        ("inet", Variant("inet", "300.0.0.1"), "300.0.0.1"),
        ("money", Variant("money", "1.005"), "2 digits"),
        ("tsvector", Variant("ts-vector", [WEIGHTED]), "without a position"),
        ("int4[]", Variant("int4", 5), "int4 is no array"),
        ("int4", Variant("int4-array", [5]), "int4-array is not one of"),
        ("hstore", Variant("int4", 5), "int4 is not one of hstore, text"),
    ],
)  # fmt: skip
def test_a_parameter_that_does_not_fit_is_refused_naming_it_and_its_type(
    asked: Asked, kind: str, value: Variant, says: str
) -> None:
    with pytest.raises(Misfit, match=r"^parameter \$1 is of type ") as caught:
        asked.back(kind, value)
    assert says in str(caught.value)


@pytest.mark.parametrize("kind", ["int4range", "pair", "ltree[]", "int4multirange", "interval[]"])
def test_a_type_without_values_is_refused_before_the_statement_runs(asked: Asked, kind: str) -> None:
    asked.query("SELECT set_config('test.touched', 'no', false)")
    with pytest.raises(Unsupported, match=r"column 'odd' is of type .*: cast it to text"):
        asked.query(f"SELECT set_config('test.touched', 'yes', false), NULL::{kind} AS odd")
    with pytest.raises(Unsupported, match=r"parameter \$1 is of type .*: cast it from text"):
        asked.query(f"SELECT set_config('test.touched', 'yes', false) WHERE $1::{kind} IS NULL", NULL)
    assert asked.query("SELECT current_setting('test.touched')") == [Variant("text", "no")]


@pytest.mark.parametrize("written", ["{1,NULL}", "{{1,2},{3,4}}"])
def test_an_array_that_the_standard_cannot_carry_is_refused_naming_its_column(
    asked: Asked, written: str
) -> None:
    with pytest.raises(Unsupported, match=r"column 'odd' of type int4\[\]: an array"):
        asked.query(f"SELECT '{written}'::int4[] AS odd")


def test_a_function_that_returns_nothing_gives_null(asked: Asked) -> None:
    assert asked.query("SELECT pg_sleep(0)") == [NULL]


def plain(value: Variant) -> Variant:
    """The same, with dicts for records and lists for tuples, and the pairs of an hstore in order."""
    payload = sorted(value.payload) if value.case == "hstore" else value.payload
    return Variant(value.case, _plain(payload))


def _plain(payload: Any) -> Any:
    if isinstance(payload, Variant):
        return plain(payload)
    if isinstance(payload, bytes | str):
        return payload
    if isinstance(payload, list | tuple):
        return [_plain(each) for each in payload]
    if hasattr(payload, "__iter__"):
        return {name: _plain(payload[name]) for name in payload}
    return payload
