"""`lath provider`: the providers that are installed on this machine."""

from __future__ import annotations

import asyncio

import typer
from rich.text import Text

from lath.provider.installed import InstalledProvider, installed_providers
from lath_control.cli.output import row, table
from lath_control.cli.session import Session, command

app = typer.Typer(help="Providers that are installed here.", no_args_is_help=True)


@command(app, "list")
async def list_providers(session: Session) -> None:
    """Lists the providers that 'lath start provider builtin:NAME' finds where hosts run as this command does.

    Those whose modules are missing say what to install. 'lath get providers' shows what runs.
    """
    found = await asyncio.to_thread(installed_providers)
    rows = [row(each.name, _serves(each), each.distribution) for each in found]
    session.out.many(found, table(["name", "serves", "from"], rows, empty="no provider is installed"))


def _serves(provider: InstalledProvider) -> Text:
    if provider.problem is not None:
        return Text(provider.problem, style="red")
    return Text(", ".join(provider.interfaces) or "nothing: it is the source of links")
