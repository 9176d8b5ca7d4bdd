"""`lath label`: the labels of hosts, by which starts choose among them."""

from __future__ import annotations

from typing import Annotated

import typer

from lath_control.cli.output import fields
from lath_control.cli.params import HostArgument, pairs
from lath_control.cli.session import Session, command

app = typer.Typer(help="Labels of hosts, which 'lath start --label' chooses by.", no_args_is_help=True)


@command(app, "put")
async def put(
    session: Session,
    host: HostArgument,
    labels: Annotated[
        list[str], typer.Argument(help="Labels to set.", metavar="KEY=VALUE...", show_default=False)
    ],
) -> None:
    """Sets labels of a running host; its others stay. hostcore.* are its machine's and refused.

    They last until it restarts: 'lath host run --label' gives it labels for good.
    """
    wanted = pairs(labels, "label")
    async with session.client() as client:
        for key, value in wanted.items():
            await client.labels.put(host, key, value)
    session.out.done({"host": host, "put": wanted}, f"host {host} has {_listed(wanted)}")


@command(app, "get")
async def get(session: Session, host: HostArgument) -> None:
    """Shows the labels of a host, its machine's included."""
    async with session.client() as client:
        labels = await client.labels.get(host)
    session.out.one(labels, fields(sorted(labels.items())))


@command(app, "del")
async def delete(
    session: Session,
    host: HostArgument,
    keys: Annotated[
        list[str], typer.Argument(help="Labels to remove.", metavar="KEY...", show_default=False)
    ],
) -> None:
    """Removes labels of a host; one that it does not have is no error."""
    async with session.client() as client:
        for key in keys:
            await client.labels.delete(host, key)
    session.out.done({"host": host, "deleted": keys}, f"host {host} is without {', '.join(keys)}")


def _listed(labels: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items())
