"""The lattice's events as they come. Events are hints: whoever acts on one asks for the truth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, TypeAlias

from nats.aio.msg import Msg

from lath import subjects
from lath.bus import Bus
from lath.errors import InvalidArgument, PermissionDenied
from lath.model import CloudEvent, LinkEvent, parse

if TYPE_CHECKING:
    from lath_control.client import Client

EVENTS_WAITING_MAX: Final = 10_000
"""A watcher that reads too slowly loses the oldest events beyond these, rather than growing without bound."""

Event: TypeAlias = CloudEvent | LinkEvent
"""What happened: a CloudEvent of the control interface, or a link's change of state."""


async def messages(bus: Bus, *patterns: str) -> AsyncGenerator[Msg]:
    """Every message on some subjects, from now on, until the iterator is closed."""
    waiting: asyncio.Queue[Msg] = asyncio.Queue(EVENTS_WAITING_MAX)

    async def on_message(message: Msg) -> None:
        if waiting.full():
            waiting.get_nowait()
        waiting.put_nowait(message)

    subscriptions = [await bus.subscribe(pattern, on_message) for pattern in patterns]
    try:
        await bus.flush()
        for subscription in subscriptions:
            if subscription.denied:
                raise PermissionDenied(
                    f"the bus does not permit subscribing to {subscription.subject}: use credentials that may"
                )
        while True:
            yield await waiting.get()
    finally:
        for subscription in subscriptions:
            await subscription.unsubscribe()


async def events(client: Client) -> AsyncGenerator[Event]:
    """Every event of the lattice, from now on; what is no event is passed over."""
    lattice = client.lattice
    patterns = (subjects.wasmbus_events_pattern(lattice), subjects.lath_events_pattern(lattice))
    async with aclosing(messages(client.bus, *patterns)) as stream:
        async for message in stream:
            event = read_event(message, lattice)
            if event is not None:
                yield event


def read_event(message: Msg, lattice: str) -> Event | None:
    """The event in a message; None for anything else on those subjects."""
    try:
        if message.subject.startswith(subjects.wasmbus_events_pattern(lattice).removesuffix(">")):
            return parse(CloudEvent, message.data, "event")
        return parse(LinkEvent, message.data, "link event")
    except InvalidArgument:
        return None
