"""The command line as it is described: commands, options, help. A change here is a change for users."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from lath_control import cli
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


def test_a_command_imports_none_of_the_others() -> None:
    """All of them take a second, which each use of the command line would begin with."""
    program = (
        "import sys; from lath_control.cli import main; sys.argv[1:] = ['ctx', 'ls', '-o', 'json']; main()"
    )
    shown = "import atexit, sys; atexit.register(lambda: print(*sys.modules, sep='\\n', file=sys.stderr))"
    ran = subprocess.run(
        [sys.executable, "-c", f"{shown}; {program}"], capture_output=True, text=True, check=True
    )
    imported = set(ran.stderr.split())
    assert "lath_control.cli.ctx" in imported
    assert not imported & {
        "lath_host",
        "lath_control.cli.lifecycle",
        "lath_control.demo",
        "lath_control.build",
    }


def test_every_command_that_a_module_declares_is_one_of_lath() -> None:
    known = set(typer.main.get_command(make_app()).commands)  # type: ignore[attr-defined]
    for each in pkgutil.iter_modules(cli.__path__):
        root = getattr(importlib.import_module(f"{cli.__name__}.{each.name}"), "root", None)
        declared = {command.name for command in root.registered_commands} if root is not None else set()
        assert declared <= known, each.name


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
