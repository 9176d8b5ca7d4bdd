"""`--watch`: shows a view again at every event, and gives the terminal back as it was."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

from rich.console import RenderableType
from rich.live import Live

from lath.errors import LathError
from lath_control.cli.output import Output
from lath_control.cli.session import error_text
from lath_control.client import Client

REFRESH_SECONDS: Final = 2.0
"""Uptimes grow and counters count without an event: shown again at least this often."""
SETTLE_SECONDS: Final = 0.1
"""Events come in bursts: one look after each burst is enough."""

View = tuple[Any, RenderableType]


async def watch(client: Client, out: Output, look: Callable[[], Awaitable[View]]) -> None:
    """Shows what `look` returns, again and again, until Ctrl-C.

    On a terminal the view is redrawn in place; elsewhere each look is printed, if it differs from the one
    before: as a line of JSON, or as text.
    """
    changed = asyncio.Event()
    listener = asyncio.create_task(_listen(client, changed))
    try:
        if out.on_terminal:
            await _redraw(out, look, changed)
        else:
            await _print(out, look, changed)
    except asyncio.CancelledError:
        raise
    finally:
        listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listener


async def _listen(client: Client, changed: asyncio.Event) -> None:
    async with contextlib.aclosing(client.watch()) as events:
        async for _ in events:
            changed.set()


async def _pause(changed: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(REFRESH_SECONDS):
            await changed.wait()
            await asyncio.sleep(SETTLE_SECONDS)
    changed.clear()


async def _redraw(out: Output, look: Callable[[], Awaitable[View]], changed: asyncio.Event) -> None:
    with Live(console=out.console, auto_refresh=False, vertical_overflow="visible") as live:
        while True:
            try:
                _, text = await look()
            except LathError as e:  # the bus may be away for a moment: say so, and look again
                text = error_text(e)
            live.update(text, refresh=True)
            await _pause(changed)


async def _print(out: Output, look: Callable[[], Awaitable[View]], changed: asyncio.Event) -> None:
    before: Any = None
    while True:
        value, text = await look()
        if value != before:
            out.event(value, text)
            before = value
        await _pause(changed)
