"""`lath build`, `lath doctor` and `lath demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]

from lath_control.build import build as build_component
from lath_control.cli import tables
from lath_control.cli.output import human_size
from lath_control.cli.session import DONE, NO, NO_LATTICE, Session, command
from lath_control.client import NoLattice
from lath_control.client.doctor import unreachable

Shell = Literal["bash", "zsh", "fish", "powershell"]

root = typer.Typer()


@command(root, "build", rich_help_panel="Use")
async def build(
    session: Session,
    path: Annotated[
        Path,
        typer.Argument(
            help="A folder with app.py and wit/, or with a .wat; or such a file.",
            metavar="PATH",
            show_default=False,
        ),
    ] = Path(),
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Where to; else beside the source.")
    ] = None,
    world: Annotated[
        str | None, typer.Option("--world", help="The world, where the WIT has several.")
    ] = None,
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Take an earlier build of the same source.")
    ] = True,
) -> None:
    """Builds a component: Python with componentize-py, component text (.wat) with wasmtime.

    The WIT that lath ships (wasi:keyvalue, …) is found without a copy in wit/deps.
    """
    with session.out.errors.status(f"building {path} …"):
        built = await build_component(path, output=to, world=world, use_cache=cache)
    how = "unchanged" if built.cached else "built"
    session.out.done(built, f"{how} {built.path} ({built.kind}, {human_size(built.size_bytes)})")


@command(root, "doctor", rich_help_panel="Look")
async def doctor(session: Session) -> int:
    """Looks for what is commonly wrong, and says how to put it right.

    The bus and JetStream, the buckets' settings, lost state, hosts and their versions, silent participants,
    links that are not live, configs that are missing. Exits with 1 when it finds a problem, with 3 when no
    lattice can be reached.
    """
    code = DONE
    try:
        async with session.client() as client:
            with session.out.errors.status("looking …"):
                report = await client.doctor()
        code = DONE if report.healthy else NO
    except NoLattice as e:
        report = unreachable(session.where.lattice, session.where.nats_url, e)
        code = NO_LATTICE
    session.out.one(report, tables.doctor(report))
    return code


@command(root, "completion", rich_help_panel="On this machine")
def completion(
    session: Session,
    shell: Annotated[Shell, typer.Argument(help="For which shell.", show_default=False)],
) -> None:
    """Prints the completion script of a shell; ids that are there right now are completed too.

    For bash: lath completion bash >> ~/.bashrc (or: lath --install-completion).
    """
    script = get_completion_script(prog_name="lath", complete_var="_LATH_COMPLETE", shell=shell)
    session.out.console.print(script, markup=False, soft_wrap=True)


@command(root, "demo", rich_help_panel="On this machine")
async def demo(
    session: Session,
    examples: Annotated[
        Path | None,
        typer.Option("--examples", help="The folder of examples; else the one beside lath's source."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the temporary folder.")] = False,
) -> bool:
    """Shows what lath does, on real parts, in a temporary place; cleans up behind itself.

    A bus, two hosts, two components in two languages and a keyvalue provider, each a process of its own. Of
    every step it says what was expected and what came; exits with 0 only if each was as expected.
    """
    from lath_control.demo import run_demo

    return await run_demo(session.out, examples=examples, keep=keep)
