"""`lath get`: what there is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import typer
from rich.console import RenderableType

from lath.links import LinkListing
from lath_control.cli import tables
from lath_control.cli.params import (
    NameFilter,
    PackageFilter,
    ParticipantFilter,
    SourceFilter,
    TargetFilter,
    WatchOption,
    selector,
)
from lath_control.cli.session import Session, command
from lath_control.cli.watch import watch as keep_watching
from lath_control.client import Client

app = typer.Typer(
    help="Shows what there is: hosts, components, providers, links, configs.", no_args_is_help=True
)

Read = Callable[[Client], Awaitable[tuple[Sequence[Any], RenderableType]]]


async def _show(session: Session, watching: bool, read: Read) -> None:
    async with session.client() as client:
        if watching:
            session.until_interrupted()
            await keep_watching(client, session.out, lambda: read(client))
        else:
            session.out.many(*await read(client))


@command(app, "hosts")
async def hosts(session: Session, watch: WatchOption = False) -> None:
    """Lists hosts: also those that are present and do not answer."""

    async def read(client: Client) -> tuple[Sequence[Any], RenderableType]:
        found = await client.hosts.list()
        return found, tables.hosts(found)

    await _show(session, watch, read)


@command(app, "components")
async def components(session: Session, watch: WatchOption = False) -> None:
    """Lists components, with the hosts that run them."""

    async def read(client: Client) -> tuple[Sequence[Any], RenderableType]:
        found = await client.components.list()
        return found, tables.components(found)

    await _show(session, watch, read)


@command(app, "providers")
async def providers(session: Session, watch: WatchOption = False) -> None:
    """Lists provider instances: those that hosts supervise and those that stand alone."""

    async def read(client: Client) -> tuple[Sequence[Any], RenderableType]:
        found = await client.providers.list()
        return found, tables.providers(found)

    await _show(session, watch, read)


@command(app, "links")
async def links(
    session: Session,
    source: SourceFilter = None,
    target: TargetFilter = None,
    package: PackageFilter = None,
    name: NameFilter = None,
    participant: ParticipantFilter = None,
    watch: WatchOption = False,
) -> None:
    """Lists links as they stand in KV. What their participants make of them, 'lath link ping' tells."""
    wanted = selector(source, target, package, name=name, participant=participant)

    async def read(client: Client) -> tuple[Sequence[Any], RenderableType]:
        listing = await client.links.list(wanted)
        return link_values(listing), tables.links(listing.links.values(), listing.unreadable)

    await _show(session, watch, read)


@command(app, "configs")
async def configs(session: Session, watch: WatchOption = False) -> None:
    """Lists configs by name. 'lath config get' shows the values of one."""

    async def read(client: Client) -> tuple[Sequence[Any], RenderableType]:
        found = await client.configs.list()
        return [{"name": each.name, "keys": sorted(each.values)} for each in found], tables.configs(found)

    await _show(session, watch, read)


def link_values(listing: LinkListing) -> list[dict[str, Any]]:
    """Links for JSON: without the resolved config values, which may be private; unreadable ones by key."""
    private = {"source_config_values", "target_config_values"}
    values = [
        {"key": key, **link.model_dump(mode="json", exclude=private, exclude_none=True)}
        for key, link in listing.links.items()
    ]
    return values + [{"key": key, "unreadable": reason} for key, reason in listing.unreadable.items()]
