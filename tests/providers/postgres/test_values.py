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
from postgres_server import PostgresServer, postgres_server

from lath.codec import Variant
from lath_providers.postgres.config import PostgresConfig
from lath_providers.postgres.floats import DOUBLE, SINGLE
from lath_providers.postgres.session import Session
from lath_providers.postgres.values import NULL, Values

EXAMPLES: Final = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SETUP: Final = """
    CREATE EXTENSION IF NOT EXISTS hstore;
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

    def text(self, kind: str, value: Variant) -> str:
        """What PostgreSQL takes it for."""
        (found,) = self.query(f"SELECT $1::{kind}::text", value)
        words: str = found.payload
        return words

    def of(self, kind: str, text: str) -> Variant:
        """What PostgreSQL's text is here."""
        (found,) = self.query(f"SELECT $1::text::{kind}", Variant("text", text))
        return found


@pytest.fixture(scope="module")
def asked() -> Iterator[Asked]:
    with postgres_server() as server, asyncio.Runner() as runner:
        session = runner.run(connect(server))
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
WITHOUT_ARRAY: Final = ("pg_snapshot", "tsvector", "hstore", "mood", "xml")


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


@pytest.mark.parametrize("kind", [*TYPES, "interval", "int4[]", "small"])
def test_null_of_any_type_is_null(asked: Asked, kind: str) -> None:
    assert asked.back(kind, NULL) == NULL


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
