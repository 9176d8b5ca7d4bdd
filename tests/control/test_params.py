"""How the text of parameters is read."""

from __future__ import annotations

import pytest

from lath.errors import InvalidArgument
from lath_control.cli.params import duration_ms, limits, package, pairs, size_bytes


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("500ms", 500), ("10s", 10_000), ("1.5s", 1_500), ("2m", 120_000), ("3", 3_000)],
)
def test_durations_have_units_and_seconds_are_the_default(text: str, milliseconds: int) -> None:
    assert duration_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["", "0", "-1s", "10 s", "1d", "soon", "1e3"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="write 500ms, 10s or 2m"):
        duration_ms(text)


@pytest.mark.parametrize(
    ("text", "size"), [("1000", 1_000), ("64MiB", 64 * 2**20), ("1KB", 1_000), ("2Gi", 2 * 2**30)]
)
def test_sizes_have_units(text: str, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "-1", "1.5MB", "big"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="64MiB"):
        size_bytes(text)


def test_pairs_keep_everything_after_the_first_equals_sign() -> None:
    assert pairs(["a=1", "b=x=y", "c="], "value") == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize("text", ["a", "=b", ""])
def test_what_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="KEY=VALUE"):
        pairs([text], "label")


def test_a_package_has_a_namespace() -> None:
    assert package("wasi:keyvalue") == ("wasi", "keyvalue")
    for text in ("keyvalue", "wasi:", ":keyvalue", "wasi:key.value", "wasi:keyvalue/store"):
        with pytest.raises(InvalidArgument):
            package(text)


def test_limits_that_are_not_given_are_the_hosts() -> None:
    assert limits() is None
    given = limits(
        memory="64MiB",
        timeout="5s",
        queue=0,
        reuse=True,
        calls=100,
        idle="1500ms",
        weight=3,
        fuse="never",
        lease="1m",
    )
    assert given is not None
    assert given.model_dump(exclude_none=True) == {
        "memory_bytes_max": 64 * 2**20,
        "timeout_ms": 5_000,
        "queue_max": 0,
        "reuse": True,
        "calls_max": 100,
        "idle_seconds": 2,
        "cpu_weight": 3,
        "fuse": "never",
        "lease_seconds": 60,
    }


def test_a_limit_out_of_range_is_named() -> None:
    with pytest.raises(InvalidArgument, match="memory_bytes_max"):
        limits(memory="1")
