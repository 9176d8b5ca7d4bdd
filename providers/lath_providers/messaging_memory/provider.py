"""`MessagingMemory`: wasmcloud:messaging in the memory of one instance, for tests and demos.

Messages reach components that are linked to the same instance of the provider, and nobody else; what waits
when it ends is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from lath import telemetry
from lath.codec import Record
from lath.errors import Draining, InvalidArgument, LathError
from lath.names import shown
from lath.provider import Call, Link, OpError, Provider, operation
from lath_providers.messaging.config import SendingConfig, TakingConfig, group_of
from lath_providers.messaging.handling import Handling
from lath_providers.messaging.links import check_takes_messages
from lath_providers.messaging.message import CONSUMER, wait_ms
from lath_providers.messaging.rights import Rights
from lath_providers.messaging_memory.broker import Broker, Subscriber

CLOSE_GRACE_S: Final = 2.0
"""How long messages in work may go on when their link is closed, as long as calls may."""
_SYSTEM: Final = "lath"
_log: Final = telemetry.get_logger("lath.messaging")


class MessagingMemory(Provider):
    """wasmcloud:messaging in memory. Link config: `SendingConfig` to it, `TakingConfig` from it."""

    def __init__(self) -> None:
        self._broker = Broker()
        self._subscribers: set[Subscriber] = set()
        self._draining = False

    async def start(self, config: Mapping[str, str]) -> None:
        if config:
            names = ", ".join(sorted(config))
            raise InvalidArgument(f"messaging-memory has no config of its own ({names}): it is its links'")

    async def drain(self) -> None:
        self._draining = True
        for subscriber in self._subscribers:
            self._broker.remove(subscriber)
        await asyncio.gather(*(subscriber.drain() for subscriber in self._subscribers))

    # --- links of components that send ---------------------------------------------------------------

    async def open_link(self, link: Link) -> Rights:
        return Rights(link.config_as(SendingConfig).publish_allow, guarded=False)

    @operation(CONSUMER)
    async def publish(self, call: Call[Rights], msg: Record) -> None:
        try:
            call.held.check(msg.subject, msg.reply_to)
        except LathError as e:
            raise OpError(str(e)) from e
        self._broker.publish(msg, _headers())

    @operation(CONSUMER)
    async def request(self, call: Call[Rights], subject: str, body: bytes, timeout_ms: int) -> Record:
        try:
            call.held.check(subject)
            within_ms = wait_ms(timeout_ms, call.ms_left)
            return await self._broker.request(subject, body, _headers(), within_ms / 1000)
        except LathError as e:
            raise OpError(str(e)) from e

    # --- links to components that take messages ------------------------------------------------------

    async def open_source_link(self, link: Link) -> Subscriber:
        check_takes_messages(link)
        if self._draining:
            raise Draining("the provider is stopping, and takes no more messages")
        config = link.config_as(TakingConfig)
        handling = Handling(
            self.context.call, link, config.timeout_ms, _SYSTEM, ",".join(config.subscriptions)
        )

        async def handle(message: Record, headers: Mapping[str, str]) -> None:
            try:
                await handling.handle(message, headers)
            except OpError as e:
                _failed(message, str(e.payload))
            except LathError as e:
                _failed(message, str(e))

        group = group_of(config, link, self.context.lattice)
        subscriber = Subscriber(config.subscriptions, group, handle, config.concurrency_max)
        self._subscribers.add(subscriber)
        self._broker.add(subscriber)
        return subscriber

    async def close_source_link(self, link: Link, subscriber: Subscriber) -> None:
        self._broker.remove(subscriber)
        self._subscribers.discard(subscriber)
        draining = asyncio.create_task(subscriber.drain())
        await asyncio.wait({draining}, timeout=CLOSE_GRACE_S)
        await subscriber.cancel()
        await draining


def _headers() -> dict[str, str]:
    headers: dict[str, str] = {}
    telemetry.inject(headers)
    return headers


def _failed(message: Record, reason: str) -> None:
    _log.warning("a message was not handled", subject=shown(message.subject), reason=reason)
