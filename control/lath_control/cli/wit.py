"""`lath wit`: the interfaces that lath knows, as WIT and as Python."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from lath import wit
from lath.errors import NotFound
from lath.provider.stubs import abstract_class
from lath_control.cli.output import table
from lath_control.cli.session import Session, command

app = typer.Typer(help="Interfaces, as WIT and as Python.", no_args_is_help=True)

InterfaceArgument = Annotated[
    str,
    typer.Argument(
        help="An interface: wasi:keyvalue/store, with @version where several are known.",
        metavar="NAMESPACE:PACKAGE/INTERFACE",
        show_default=False,
    ),
]
WitOption = Annotated[
    Path | None, typer.Option("--wit", metavar="FILE", help="WIT of a package of yours, to know it too.")
]


async def registered(file: Path | None) -> str:
    """Makes the package of a file known. Returns its text; empty where there is no file.

    Raises:
        NotFound: The file cannot be read.
        InvalidArgument: It is no WIT; with line and column.
    """
    if file is None:
        return ""
    try:
        text = await asyncio.to_thread(file.read_text, encoding="utf-8")
    except OSError as e:
        raise NotFound(f"{file} cannot be read: {e.strerror}") from None
    wit.register(text)
    return text


@command(app, "list")
async def list_interfaces(session: Session, file: WitOption = None) -> None:
    """Lists the interfaces that ship with lath, which a provider can serve by name."""
    await registered(file)
    names = sorted(each.name for package in wit.packages() for each in package.interfaces.values())
    session.out.many(names, table(["interface"], [[name] for name in names], empty="none"))


@command(app, "show")
async def show(session: Session, interface: InterfaceArgument, file: WitOption = None) -> None:
    """Shows an interface as WIT."""
    await registered(file)
    text = wit.render(wit.load(interface))
    session.out.one({"interface": interface, "wit": text}, Text(text))


@command(app, "python")
async def python(session: Session, interface: InterfaceArgument, file: WitOption = None) -> None:
    """Writes an interface as an abstract class, so that a type checker finds a provider's wrong operations.

    lath wit python wasi:keyvalue/store > store_operations.py
    """
    own = await registered(file)
    text = abstract_class(wit.load(interface), own)
    session.out.one({"interface": interface, "python": text}, Text(text))
