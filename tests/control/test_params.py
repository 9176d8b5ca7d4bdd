"""How the text of parameters is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lath.errors import InvalidArgument
from lath.model import ComponentLimits
from lath_control.cli.limits import OPTIONS, limits
from lath_control.cli.params import duration_ms, package, pairs, size_bytes


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("500ms", 500), ("10s", 10_000), ("1.5s", 1_500), ("2m", 120_000), ("3", 3_000)],
)
def test_durations_have_units_and_seconds_are_the_default(text: str, milliseconds: int) -> None:
    assert duration_ms(text, "--timeout") == milliseconds


@pytest.mark.parametrize("text", ["", "0", "-1s", "10 s", "1d", "soon", "1e3"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"--timeout .* is not a duration: write 500ms, 10s or 2m"):
        duration_ms(text, "--timeout")


@pytest.mark.parametrize(
    ("text", "size"), [("1000", 1_000), ("64MiB", 64 * 2**20), ("1KB", 1_000), ("2Gi", 2 * 2**30)]
)
def test_sizes_have_units(text: str, size: int) -> None:
    assert size_bytes(text, "--memory") == size


@pytest.mark.parametrize("text", ["", "-1", "1.5MB", "big"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"--memory .* is not a size: write 64MiB"):
        size_bytes(text, "--memory")


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


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"memory": "1"}, r"--memory \(bytes\): Input should be greater than or equal to 65536"),
        ({"memory": ""}, "--memory '' is not a size"),
        (
            {"timeout": "25h"},
            r"--call-timeout \(milliseconds\): Input should be less than or equal to 86400000",
        ),
        ({"timeout": "soon"}, "--call-timeout 'soon' is not a duration"),
        ({"idle": "soon"}, "--idle 'soon' is not a duration"),
        ({"lease": "48h"}, r"--lease \(seconds\): Input should be less than or equal to 86400"),
        ({"weight": 0, "fuel": 0}, "--fuel: .*; --cpu-weight: "),
        ({"calls": 0}, "--calls-max: "),
        ({"queue": -1}, "--queue: "),
        ({"warm": -1}, "--warm: "),
    ],
)
def test_a_limit_that_makes_no_sense_is_named_by_its_option(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        limits(**given)


def test_every_limit_has_an_option() -> None:
    help_text = (Path(__file__).parent / "help.txt").read_text()
    assert OPTIONS.keys() == ComponentLimits.model_fields.keys()
    for option in OPTIONS.values():
        assert f" {option.split()[0]}:" in help_text
