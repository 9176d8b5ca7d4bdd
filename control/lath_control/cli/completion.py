"""Completion with the ids that are there right now. It never fails and never takes long: else it is empty."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import typer

from lath.errors import LathError
from lath_control.client import Client
from lath_control.context import Contexts, resolve

COMPLETION_MS: Final = 1_000
"""Somebody holds the Tab key: what takes longer is worth nothing."""

Candidates = list[tuple[str, str]]
"""Each with what is said beside it."""


def _live(
    ctx: typer.Context, incomplete: str, read: Callable[[Client], Awaitable[Iterable[tuple[str, str]]]]
) -> Candidates:
    params = ctx.params or {}

    async def ask() -> list[tuple[str, str]]:
        where = resolve(
            nats_url=params.get("nats_url"), lattice=params.get("lattice"), context=params.get("context")
        )
        async with asyncio.timeout(COMPLETION_MS / 1000):
            client = Client(
                where.nats_url,
                lattice=where.lattice,
                credentials=where.credentials(),
                timeout_ms=COMPLETION_MS,
                connect_timeout_ms=COMPLETION_MS,
            )
            async with client:
                return list(await read(client))

    try:
        found = asyncio.run(ask())
    except (LathError, OSError, TimeoutError):
        return []
    return sorted({(name, about) for name, about in found if name.startswith(incomplete)})


def hosts(ctx: typer.Context, incomplete: str) -> Candidates:
    async def read(client: Client) -> Iterable[tuple[str, str]]:
        present = client.presence.hosts()
        return [(p.name, p.target) for p in present if p.name] + [(p.target, p.name) for p in present]

    return _live(ctx, incomplete, read)


def components(ctx: typer.Context, incomplete: str) -> Candidates:
    return _live(ctx, incomplete, lambda client: _of_kind(client, "component"))


def providers(ctx: typer.Context, incomplete: str) -> Candidates:
    return _live(ctx, incomplete, lambda client: _of_kind(client, "provider"))


async def _of_kind(client: Client, kind: str) -> Iterable[tuple[str, str]]:
    return {(p.target, kind) for p in client.presence.all() if p.kind == kind}


def participants(ctx: typer.Context, incomplete: str) -> Candidates:
    async def read(client: Client) -> Iterable[tuple[str, str]]:
        return {(p.target, p.kind) for p in client.presence.all() if p.kind != "host"}

    return _live(ctx, incomplete, read)


def configs(ctx: typer.Context, incomplete: str) -> Candidates:
    async def read(client: Client) -> Iterable[tuple[str, str]]:
        return [(config.name, "config") for config in await client.configs.list()]

    return _live(ctx, incomplete, read)


def functions(ctx: typer.Context, incomplete: str) -> Candidates:
    """The functions of the component that stands before, as `interface.function`."""
    target = (ctx.params or {}).get("component") or ""

    async def read(client: Client) -> Iterable[tuple[str, str]]:
        world = await client.components.describe(target)
        return [
            (f"{interface.name.partition('@')[0]}.{function}", "function")
            for interface in world.exports.values()
            for function in interface.functions
        ]

    return _live(ctx, incomplete, read) if target else []


def contexts(incomplete: str) -> Candidates:
    try:
        known = Contexts().read().contexts
    except (LathError, OSError):
        return []
    return [(name, each.nats_url) for name, each in sorted(known.items()) if name.startswith(incomplete)]
