"""Takes messages from NATS core for one component: at most once, and only while somebody listens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from nats.aio.msg import Msg

from lath.bus import Subscription
from lath.errors import LathError, PermissionDenied
from lath.names import shown
from lath.provider import OpError
from lath.telemetry import get_logger
from lath_providers.messaging.handling import Counts, Handling
from lath_providers.messaging.message import broker_message
from lath_providers.messaging_nats.config import NatsTakingConfig
from lath_providers.messaging_nats.connections import Connection

_log: Final = get_logger("lath.messaging")


class Taker:
    """What a link from the provider holds: its subscriptions.

    At `concurrency_max` messages in work the others wait in the client, up to 64 Ki messages or 128 MiB for
    each subscription; beyond that they are dropped, counted and logged (`lath.bus.subscription`).

    Args:
        connection: To the servers.
        config: The link's.
        group: Its queue group.
        handling: Calls the component.

    Attributes:
        counts: What became of its messages.
    """

    def __init__(
        self, connection: Connection, config: NatsTakingConfig, group: str, handling: Handling
    ) -> None:
        self.connection = connection
        self.counts = Counts()
        self._config = config
        self._group = group
        self._handling = handling
        self._slots = asyncio.Semaphore(config.concurrency_max)
        self._subscriptions: list[Subscription] = []

    async def start(self, gone: Callable[[str], None]) -> None:
        """Subscribes; on return the server knows.

        Args:
            gone: Not called: NATS core takes nothing back that it has granted.

        Raises:
            PermissionDenied: The credentials do not allow one of the subjects.
            LathError: The connection broke.
        """
        bus = self.connection.bus
        for pattern in self._config.subscriptions:
            self._subscriptions.append(
                await bus.subscribe(
                    pattern, self._take, queue=self._group, concurrency_max=self._config.concurrency_max
                )
            )
        await bus.flush()
        denied = [each.subject for each in self._subscriptions if each.denied]
        if denied:
            raise PermissionDenied(f"the server does not permit subscribing to {', '.join(denied)}")

    async def drain(self) -> None:
        """Takes no more messages, and finishes those that have come."""
        await asyncio.gather(*(subscription.drain() for subscription in self._subscriptions))

    async def close(self, grace_s: float) -> None:
        """Takes no more messages; those in work are cancelled after a grace."""
        draining = asyncio.create_task(self.drain())
        await asyncio.wait({draining}, timeout=grace_s)
        draining.cancel()
        await asyncio.gather(*(subscription.close() for subscription in self._subscriptions))
        self.counts.dropped = sum(subscription.dropped for subscription in self._subscriptions)
        await asyncio.wait({draining})

    async def _take(self, msg: Msg) -> None:
        async with self._slots:
            message = broker_message(msg.subject, msg.data, msg.reply or None)
            try:
                await self._handling.handle(message, msg.headers)
            except OpError as e:
                self._failed(message, str(e.payload))
            except LathError as e:
                self._failed(message, str(e))
            else:
                self.counts.handled += 1

    def _failed(self, message: Any, reason: str) -> None:
        """Nobody sends it again: what must not be lost goes through a stream."""
        self.counts.failed += 1
        _log.warning("a message was not handled", subject=shown(message.subject), reason=reason)
