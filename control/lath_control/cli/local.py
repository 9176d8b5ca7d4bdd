"""`lath up` and `lath down`: a lattice on this machine."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from lath_control.cli.output import human_duration
from lath_control.cli.params import YesOption
from lath_control.cli.session import Session, command
from lath_control.context import DEFAULT_LATTICE
from lath_control.local.detached import down as take_down
from lath_control.local.detached import up_detached
from lath_control.local.lattice import HOSTS_MAX, LocalLattice, LocalOptions
from lath_control.local.state import StateFile

root = typer.Typer()


@command(root, "up", rich_help_panel="On this machine")
async def up(
    session: Session,
    hosts: Annotated[int, typer.Option("--hosts", min=0, max=HOSTS_MAX, help="How many hosts.")] = 1,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="Of nats-server; 0 takes a free one.")
    ] = 4222,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Leave it running in the background.")
    ] = False,
    store: Annotated[
        Path | None, typer.Option("--store", help="Where nats-server keeps its data.", file_okay=False)
    ] = None,
) -> bool:
    """Starts a lattice on this machine: nats-server and hosts, each a process of its own.

    A context for it is written and selected, so that other commands find it. 'lath down' ends it; without
    --detach, Ctrl-C does.
    """
    lattice = session.lattice_name()
    context = "local" if lattice == DEFAULT_LATTICE else f"local-{lattice}"[:64]
    options = LocalOptions(lattice=lattice, hosts=hosts, port=port, store=store, context=context)
    if detach:
        with session.out.errors.status(f"starting lattice {lattice} …"):
            state = await up_detached(options)
        logs = str(StateFile(lattice).logs)
        session.out.done(
            {
                "lattice": lattice,
                "nats_url": state.nats_url,
                "port": int(state.nats_url.rpartition(":")[2]),
                "hosts": list(state.hosts),
                "context": state.context,
                "keeper_pid": state.keeper.pid,
                "logs": logs,
            },
            f"lattice {lattice} is up at {state.nats_url}, hosts: {hosts} (context {context}); "
            f"'lath down' ends it; logs: {logs}",
        )
        return True
    return await _hold(session, options)


async def _hold(session: Session, options: LocalOptions) -> bool:
    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked_to_stop.set)
    errors = session.out.errors
    with errors.status("starting …") as status:
        lattice = LocalLattice(options, tell=lambda text: status.update(f"{text} …"))
        async with lattice:
            status.stop()  # the next line goes to stdout: the spinner must not stand in it
            session.out.event(
                {"lattice": options.lattice, "nats_url": lattice.url, "hosts": list(lattice.host_pids)},
                Text(f"lattice {options.lattice} is up at {lattice.url}"),
            )
            status.start()
            ended = asyncio.create_task(lattice.wait())
            stopping = asyncio.create_task(asked_to_stop.wait())
            since = loop.time()
            while not (ended.done() or stopping.done()):
                up_for = human_duration((loop.time() - since) * 1000)
                status.update(
                    f"{lattice.url} · hosts: {len(lattice.host_pids)} · up {up_for} · "
                    f"logs {lattice.logs} · Ctrl-C stops"
                )
                await asyncio.wait({ended, stopping}, timeout=1, return_when=asyncio.FIRST_COMPLETED)
            status.update("stopping: hosts finish what runs …")
            reason = ended.result() if ended.done() else ""
            for task in (ended, stopping):
                task.cancel()
            await asyncio.wait({ended, stopping})
    if reason:
        session.out.note(Text(reason, style="bold red"))
        return False
    session.out.note(f"lattice {options.lattice} is down")
    return True


@command(root, "down", rich_help_panel="On this machine")
async def down(
    session: Session,
    forget: Annotated[bool, typer.Option("--forget", help="Remove its store and logs too.")] = False,
    yes: YesOption = False,
) -> None:
    """Ends the lattice that 'lath up' started on this machine, also after a crash; nothing else."""
    lattice = session.lattice_name()
    if forget:
        session.confirm(f"Remove everything that lattice {lattice} has stored here?", yes)
    with session.out.errors.status(f"stopping lattice {lattice} …"):
        ended = await take_down(lattice, forget=forget)
    killed = f", {len(ended.killed)} killed" if ended.killed else ""
    crashed = " (it had crashed)" if ended.crashed else ""
    session.out.done(ended, f"lattice {lattice} is down{crashed}: {len(ended.ended)} processes ended{killed}")
