"""The command line: `lath`."""

from __future__ import annotations

import importlib.metadata
from typing import Annotated, Final

import typer

from lath_control.cli import (
    call,
    config,
    ctx,
    get,
    http,
    inspecting,
    label,
    lifecycle,
    link,
    local,
    new,
    provider,
    secret,
    streams,
    tools,
    wit,
)

COMMANDS_GROUP: Final = "lath.commands"
"""Other packages add commands through this entry-point group: a typer app each."""


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
    app = typer.Typer(
        name="lath",
        no_args_is_help=True,
        pretty_exceptions_show_locals=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        callback=_root,
    )
    app.add_typer(local.root)
    app.add_typer(tools.root)
    app.add_typer(new.app, name="new", rich_help_panel="Use")
    app.add_typer(get.app, name="get", rich_help_panel="Look")
    app.add_typer(inspecting.app, name="inspect", rich_help_panel="Look")
    app.add_typer(provider.app, name="provider", rich_help_panel="Look")
    app.add_typer(wit.app, name="wit", rich_help_panel="Look")
    app.add_typer(streams.root)
    app.add_typer(lifecycle.start, name="start", rich_help_panel="Change")
    app.add_typer(lifecycle.stop, name="stop", rich_help_panel="Change")
    app.add_typer(lifecycle.root)
    app.add_typer(link.app, name="link", rich_help_panel="Change")
    app.add_typer(config.app, name="config", rich_help_panel="Change")
    app.add_typer(secret.app, name="secret", rich_help_panel="Change")
    app.add_typer(label.app, name="label", rich_help_panel="Change")
    app.add_typer(call.root)
    app.add_typer(http.root)
    app.add_typer(ctx.app, name="ctx", rich_help_panel="On this machine")
    for point in sorted(importlib.metadata.entry_points(group=COMMANDS_GROUP), key=lambda each: each.name):
        app.add_typer(point.load(), name=point.name, rich_help_panel="On this machine")
    return app


def main() -> None:
    """The script `lath`."""
    make_app()(prog_name="lath")


__all__ = ["main", "make_app"]
