"""`lath ctx`: named contexts."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from lath.model import parse
from lath_control.cli import completion
from lath_control.cli.output import row, table
from lath_control.cli.params import YesOption
from lath_control.cli.session import Session, command
from lath_control.context import DEFAULT_LATTICE, DEFAULT_NATS_URL, Contexts, LatticeContext

app = typer.Typer(help="Contexts: where lattices are, by name.", no_args_is_help=True)

NameArgument = Annotated[
    str,
    typer.Argument(
        help="A context's name.", metavar="NAME", autocompletion=completion.contexts, show_default=False
    ),
]


@command(app, "add")
def add(
    session: Session,
    name: NameArgument,
    creds: Annotated[str | None, typer.Option("--creds", help="Path of a NATS credentials file.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="A user name.")] = None,
    password_env: Annotated[
        str | None,
        typer.Option("--password-env", metavar="VARIABLE", help="The variable that holds the password."),
    ] = None,
    token_env: Annotated[
        str | None, typer.Option("--token-env", metavar="VARIABLE", help="The variable that holds a token.")
    ] = None,
    inbox_prefix: Annotated[
        str | None, typer.Option("--inbox-prefix", help="Where replies go, if the user may use one prefix.")
    ] = None,
    select: Annotated[bool, typer.Option("--select", help="Use it from now on.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace one of that name.")] = False,
) -> None:
    """Adds a context: the lattice that --nats-url and --lattice name. The first one is selected.

    Secrets are kept by reference: a file's path, a variable's name.
    """
    context = parse(
        LatticeContext,
        {
            "name": name,
            "nats_url": session.asked("nats_url") or DEFAULT_NATS_URL,
            "lattice": session.asked("lattice") or DEFAULT_LATTICE,
            "creds_path": creds,
            "user": user,
            "password_env": password_env,
            "token_env": token_env,
            "inbox_prefix": inbox_prefix,
        },
        "context",
    )
    Contexts().add(context, select=select, replace=force)
    session.out.done(context, f"context {name}: lattice {context.lattice} at {context.nats_url}")


@command(app, "select")
def select(session: Session, name: NameArgument) -> None:
    """Makes a context the one that commands use."""
    contexts = Contexts()
    contexts.select(name)
    session.out.done(contexts.get(name), f"context {name} is selected")


@command(app, "ls")
def ls(session: Session) -> None:
    """Lists the contexts, and says which lattice commands use now, and why."""
    file = Contexts().read()
    rows = [
        row(
            Text("*" if name == file.selected else " ", style="green"),
            Text(name, style="bold"),
            context.nats_url,
            context.lattice,
            _login(context),
        )
        for name, context in sorted(file.contexts.items())
    ]
    values = [
        {**context.model_dump(exclude_none=True), "selected": name == file.selected}
        for name, context in sorted(file.contexts.items())
    ]
    session.out.many(values, table(["", "NAME", "NATS URL", "LATTICE", "LOGIN"], rows, empty="No contexts."))
    where = session.where
    session.out.note(
        Text(
            f"in use: {where.nats_url} (by {where.nats_url_from}), "
            f"lattice {where.lattice} (by {where.lattice_from})",
            style="dim",
        )
    )


def _login(context: LatticeContext) -> str:
    if context.creds_path:
        return f"creds {context.creds_path}"
    if context.token_env:
        return f"token from {context.token_env}"
    return f"user {context.user}" if context.user else "-"


@command(app, "rm")
def rm(session: Session, name: NameArgument, yes: YesOption = False) -> None:
    """Forgets a context."""
    session.confirm(f"Forget context {name}?", yes)
    Contexts().remove(name)
    session.out.done({"removed": name}, f"context {name} is gone")
