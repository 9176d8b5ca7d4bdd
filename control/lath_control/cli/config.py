"""`lath config`: named configs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lath.errors import InvalidArgument
from lath.names import check_name
from lath_control.cli.output import fields
from lath_control.cli.params import ConfigArgument, YesOption, pairs
from lath_control.cli.session import Session, command

app = typer.Typer(help="Named configs, which links and components take by name.", no_args_is_help=True)


@command(app, "put")
async def put(
    session: Session,
    name: ConfigArgument,
    values: Annotated[
        list[str] | None, typer.Argument(help="The config's values.", metavar="[KEY=VALUE]...")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="Read KEY=VALUE lines from a file; empty lines and # are skipped."),
    ] = None,
) -> None:
    """Writes a config as a whole. Links that name it are applied again by themselves."""
    check_name(name, "config name")
    found = _from_file(file) if file else {}
    found |= pairs(values or (), "value")
    if not found:
        raise InvalidArgument(f"config {name} would be empty: give KEY=VALUE, or --file")
    async with session.client() as client:
        config = await client.configs.put(name, found)
    session.out.done({"name": name, "revision": config.revision}, f"config {name} written")


def _from_file(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise InvalidArgument(f"config file {path} cannot be read: {e}") from None
    return pairs((line for line in lines if line.strip() and not line.lstrip().startswith("#")), "line")


@command(app, "get")
async def get(session: Session, name: ConfigArgument) -> None:
    """Shows a config with its values."""
    async with session.client() as client:
        config = await client.configs.get(name)
    session.out.one(config, fields(sorted(config.values.items())))


@command(app, "del")
async def delete(
    session: Session,
    name: ConfigArgument,
    force: Annotated[bool, typer.Option("--force", help="Also when links name it.")] = False,
    yes: YesOption = False,
) -> None:
    """Deletes a config. One that links name is kept, unless --force is given."""
    session.confirm(f"Delete config {name}?", yes)
    async with session.client() as client:
        await client.configs.delete(name, force=force)
    session.out.done({"deleted": name}, f"config {name} deleted")
