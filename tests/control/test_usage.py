"""Wrong usage ends with 2 and says what would be right, before anything is connected to."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from lath_control.cli import make_app


@pytest.mark.parametrize(
    "arguments",
    [
        ("get", "nonsense"),
        ("link", "put", "a.b", "c", "wasi:keyvalue", "-i", "store"),
        ("link", "put", "a", "c", "keyvalue", "-i", "store"),
        ("link", "put", "a", "c", "wasi:keyvalue"),
        ("link", "ping", "--timeout", "soon"),
        ("config", "put", "one.two", "a=b"),
        ("config", "put", "empty"),
        ("label", "put", "one", "no-equals"),
        ("scale", "greeter", "--", "-1"),
        ("get", "hosts", "--lattice", "*"),
        ("call", "greeter", "no-function"),
        ("link", "purge"),
        ("start", "component", "x.wasm", "--id", "bad id"),
        ("start", "provider", "python:x", "--id", "x" * 1_000_000),
    ],
    ids=lambda arguments: " ".join(arguments)[:60],
)
def test_wrong_usage_and_invalid_names_end_with_2(arguments: tuple[str, ...]) -> None:
    ran = CliRunner().invoke(make_app(), arguments)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr
