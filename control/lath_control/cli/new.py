"""`lath new`: projects to begin with."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from lath_control.cli.session import Session, command
from lath_control.cli.wit import WitOption, registered
from lath_control.scaffold import new_provider

app = typer.Typer(help="Begin a project.", no_args_is_help=True)


@command(app, "provider")
async def provider(
    session: Session,
    name: Annotated[
        str,
        typer.Argument(
            help="Of the project: words of a-z and 0-9, joined by '-'.", metavar="NAME", show_default=False
        ),
    ],
    interface: Annotated[
        str | None,
        typer.Option(
            "--interface", "-i", help="What it is to serve; else an interface of its own, as an example."
        ),
    ] = None,
    wit: WitOption = None,
    into: Annotated[
        Path, typer.Option("--into", metavar="FOLDER", help="Where the project's folder is made.")
    ] = Path(),
) -> None:
    """Makes a project with a provider in Python, whose tests pass as they are.

    With --interface wasi:keyvalue/store its operations are there with their exact types, to be written.
    """
    own = await registered(wit)
    made = await asyncio.to_thread(new_provider, name, into, interface, own)
    session.out.done(
        made,
        f"made {made.path}: {made.provider} serves {made.interface}\n"
        f"next: cd {made.path}, pip install -e '.[test]', pytest; README.md says the rest",
    )
