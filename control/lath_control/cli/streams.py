"""`lath events` and `lath spy`: what happens, as it happens."""

from __future__ import annotations

from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from lath.model import CloudEvent
from lath_control.cli import completion, tables
from lath_control.cli.output import human_size
from lath_control.cli.session import Session, command
from lath_control.client import Event
from lath_control.client.spying import SpiedCall, spy_calls

root = typer.Typer()

CountOption = Annotated[
    int | None, typer.Option("--count", min=1, help="End after so many; else Ctrl-C ends it.")
]


@command(root, "events", rich_help_panel="Look")
async def events(
    session: Session,
    name: Annotated[
        list[str] | None, typer.Option("--name", help="Only events of this name; may be repeated.")
    ] = None,
    heartbeats: Annotated[bool, typer.Option("--heartbeats", help="Hosts' heartbeats too.")] = False,
    count: CountOption = None,
) -> None:
    """Shows the lattice's events: hosts, components, providers, links and configs that change."""
    shown = 0
    session.until_interrupted()
    async with session.client() as client:
        note = Text(f"events of lattice {client.lattice}; Ctrl-C ends", style="dim")
        async with aclosing(client.watch(lambda: session.out.note(note))) as stream:
            async for event in stream:
                title = event.name if isinstance(event, CloudEvent) else "link_state"
                if (title == "host_heartbeat" and not heartbeats) or (name and title not in name):
                    continue
                session.out.event(event, _event_text(event))
                shown += 1
                if shown == count:
                    return


def _event_text(event: Event) -> Text:
    if isinstance(event, CloudEvent):
        time, title, details = event.time, event.name, _details(event.data)
        return Text.assemble((f"{time:%H:%M:%S} ", "dim"), (f"{title:<24}", "bold"), details)
    time = datetime.fromtimestamp(event.at_ms / 1000)
    word = "deleted" if event.deleted else event.link.state
    text = Text.assemble((f"{time:%H:%M:%S} ", "dim"), (f"{'link_state':<24}", "bold"), f"{event.link.key} ")
    text.append_text(tables.state(word))
    text.append(f" at {event.kind} {event.participant}", style="dim")
    if event.link.error:
        text.append(f"  {event.link.error}", style="red")
    return text


def _details(data: dict[str, Any]) -> str:
    plain = {key: str(value) for key, value in data.items() if isinstance(value, str | int) and value != ""}
    if "host_id" in plain:
        plain["host_id"] = tables.short(plain["host_id"])
    return "  ".join(f"{key}={value}" for key, value in plain.items())


@command(root, "spy", rich_help_panel="Look")
async def spy(
    session: Session,
    target: Annotated[
        str | None,
        typer.Option("--target", help="Only calls to this id.", autocompletion=completion.participants),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--source", help="Only calls from this id.", autocompletion=completion.participants),
    ] = None,
    count: CountOption = None,
) -> None:
    """Shows calls on the bus: source, target, function, size, and the arguments where they can be read.

    Calls inside one host do not cross the bus and are not seen.
    """
    shown = 0
    session.until_interrupted()
    async with session.client() as client:
        note = Text(f"calls in lattice {client.lattice}; Ctrl-C ends", style="dim")
        calls = spy_calls(client, target=target, source=source, on_listening=lambda: session.out.note(note))
        async with aclosing(calls) as stream:
            async for call in stream:
                session.out.event(call, _call_text(call))
                shown += 1
                if shown == count:
                    return


def _call_text(call: SpiedCall) -> Text:
    text = Text.assemble(
        (f"{call.at:%H:%M:%S.%f}"[:-3] + " ", "dim"),
        (call.source, "bold"),
        " → ",
        (call.target, "bold"),
        f"  {call.interface}.{call.function}",
        (f"  {human_size(call.size_bytes)}", "dim"),
    )
    if call.link != "_":
        text.append(f"  link {call.link}", style="dim")
    if call.arguments is not None:
        text.append(f"  {call.arguments}"[:200], style="cyan")
    return text
