"""The command line: `lath`."""

from __future__ import annotations

import importlib.metadata
from typing import Annotated

import typer

from lath_control.cli.commands import Root


def _version(value: bool) -> None:
    if value:
        typer.echo(f"lath {importlib.metadata.version('lath')}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """A lattice of hosts, WebAssembly components and capability providers on one NATS bus.

    Start with 'lath demo', or 'lath up'. Every command takes -o json; logs go to stderr. Exit codes: 0 done,
    1 the answer is no, 2 usage, 3 no lattice reachable.
    """


def make_app() -> typer.Typer:
    """The whole command line."""
    return typer.Typer(
        name="lath",
        cls=Root,
        no_args_is_help=True,
        pretty_exceptions_show_locals=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        callback=_root,
    )


def main() -> None:
    """The script `lath`."""
    make_app()(prog_name="lath")


__all__ = ["main", "make_app"]
