"""The lattice's events as they come. Events are hints: whoever acts on one asks for the truth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
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


def _nothing() -> None:
    """What is called by default once a watcher listens."""


async def messages(
    bus: Bus, *patterns: str, on_listening: Callable[[], None] = _nothing
) -> AsyncGenerator[Msg]:
    """Every message on some subjects, until the iterator is closed.

    It begins to listen when the first message is asked for; `on_listening` is called once it does: what is
    published from then on is seen.
    """
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
        on_listening()
        while True:
            yield await waiting.get()
    finally:
        for subscription in subscriptions:
            await subscription.unsubscribe()


async def events(client: Client, on_listening: Callable[[], None] = _nothing) -> AsyncGenerator[Event]:
    """Every event of the lattice; what is no event is passed over. See `messages`."""
    lattice = client.lattice
    patterns = (subjects.wasmbus_events_pattern(lattice), subjects.lath_events_pattern(lattice))
    async with aclosing(messages(client.bus, *patterns, on_listening=on_listening)) as stream:
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
