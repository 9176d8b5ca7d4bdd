"""The command line as it is described: commands, options, help. A change here is a change for users."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from lath_control.cli import make_app

SNAPSHOT = Path(__file__).parent / "help.txt"


COMMON = ("output", "nats_url", "lattice", "context", "color")


def described(name: str, command: Any) -> Iterator[str]:
    """A command, its parameters and its subcommands, in words of ours: layout is typer's affair."""
    yield f"## {name}"
    yield from (command.help or "").strip().splitlines()
    for parameter in command.params:
        names = " ".join([*parameter.opts, *parameter.secondary_opts])
        if parameter.param_type_name == "argument":
            names = parameter.metavar or parameter.name.upper()
        text = " ".join((getattr(parameter, "help", None) or "").split())
        if name == "lath" and names.startswith(("--install", "--show")):
            continue  # typer's own words
        if parameter.name in COMMON and name != "lath get hosts":
            continue  # the same everywhere
        yield f"   {names}: {text}"
    yield ""
    for each, subcommand in sorted(getattr(command, "commands", {}).items()):
        if f"{name} {each}" != "lath host":  # another package's
            yield from described(f"{name} {each}", subcommand)


def test_the_commands_and_their_help_are_as_in_the_snapshot() -> None:
    text = "\n".join(described("lath", typer.main.get_command(make_app()))) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(text)
    assert text == SNAPSHOT.read_text(), "UPDATE_SNAPSHOTS=1 pytest … writes it anew, once it is as wanted"


@pytest.mark.parametrize(
    "command",
    [(), ("get",), ("link", "put"), ("start", "component"), ("call",), ("ctx", "add"), ("host", "run")],
    ids=" ".join,
)
def test_help_is_printed_by_every_command(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(make_app(), [*command, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_help_names_the_environment_variables() -> None:
    result = CliRunner().invoke(make_app(), ["link", "ping", "--help"])
    assert "LATH_NATS_URL" in result.output and "LATH_LATTICE" in result.output


def test_every_command_that_prints_has_the_output_option() -> None:
    def missing(name: str, command: Any) -> Iterator[str]:
        for each, subcommand in getattr(command, "commands", {}).items():
            yield from missing(f"{name} {each}", subcommand)
        if not hasattr(command, "commands") and not any("-o" in p.opts for p in command.params):
            yield name

    assert list(missing("lath", typer.main.get_command(make_app()))) == ["lath host run"]


def test_the_version_is_shown() -> None:
    result = CliRunner().invoke(make_app(), ["--version"])
    assert result.exit_code == 0 and result.output.startswith("lath ")


def test_a_completion_script_is_printed_for_each_shell() -> None:
    for shell in ("bash", "zsh", "fish"):
        result = CliRunner().invoke(make_app(), ["completion", shell])
        assert result.exit_code == 0 and "_LATH_COMPLETE" in result.output
