"""`MessagingNats`: wasmcloud:messaging on NATS, both ways: components send by it, and it calls components."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from typing import Final, TypeAlias

from lath.codec import Record
from lath.errors import ConnectionLost, Draining, InvalidArgument, LathError, NotConnected
from lath.provider import BackendLost, Call, Link, OpError, Provider, operation
from lath.telemetry import get_logger
from lath_providers.messaging.config import group_of
from lath_providers.messaging.handling import SYSTEM_NATS, Handling
from lath_providers.messaging.links import check_takes_messages
from lath_providers.messaging.message import CONSUMER
from lath_providers.messaging.rights import check_guarded_pattern
from lath_providers.messaging_nats.config import NatsSendingConfig, NatsTakingConfig
from lath_providers.messaging_nats.connections import Connection, Connections
from lath_providers.messaging_nats.consumer import consumer_name
from lath_providers.messaging_nats.sender import Sender
from lath_providers.messaging_nats.stream_taker import StreamTaker
from lath_providers.messaging_nats.taker import Taker
from lath_providers.nats_servers import NatsServers

CLOSE_GRACE_S: Final = 2.0
"""How long messages in work may go on when their link is closed, as long as calls may."""

_log: Final = get_logger("lath.messaging")

Taking: TypeAlias = Taker | StreamTaker


class MessagingNats(Provider):
    """wasmcloud:messaging on NATS.

    A link to it lets a component publish and request (`NatsSendingConfig`); a link from it to a component has
    that one handle messages (`NatsTakingConfig`).
    """

    def __init__(self) -> None:
        self._takers: set[Taking] = set()
        self._draining = False

    async def start(self, config: Mapping[str, str]) -> None:
        if config:
            names = ", ".join(sorted(config))
            raise InvalidArgument(f"messaging-nats has no config of its own ({names}): put it into its links")
        self._connections = Connections(self.context)

    async def drain(self) -> None:
        self._draining = True
        await asyncio.gather(*(taker.drain() for taker in tuple(self._takers)))

    # --- links of components that send ---------------------------------------------------------------

    async def open_link(self, link: Link) -> Sender:
        config = link.config_as(NatsSendingConfig)
        async with self._connected(config) as connection:
            sender = Sender(connection, config)
            connection.on_lost[sender] = lambda reason: self.context.lost(link, sender, reason)
            return sender

    async def close_link(self, link: Link, sender: Sender) -> None:
        await self._release(sender)

    async def check_link(self, link: Link, sender: Sender) -> None:
        await sender.connection.bus.flush()

    @operation(CONSUMER)
    async def publish(self, call: Call[Sender], msg: Record) -> None:
        with _told():
            await call.held.publish(msg)

    @operation(CONSUMER)
    async def request(self, call: Call[Sender], subject: str, body: bytes, timeout_ms: int) -> Record:
        with _told():
            return await call.held.request(subject, body, timeout_ms, call.ms_left)

    # --- links to components that take messages ------------------------------------------------------

    async def open_source_link(self, link: Link) -> Taking:
        check_takes_messages(link)
        if self._draining:
            raise Draining("the provider is stopping, and takes no more messages")
        config = link.config_as(NatsTakingConfig)
        async with self._connected(config) as connection:
            if connection.guarded:
                for pattern in (*config.subscriptions, *filter(None, (config.dead_letter_subject,))):
                    check_guarded_pattern(pattern)
            taker = self._taker(link, config, connection)

            def lost(reason: str) -> None:
                self.context.lost(link, taker, reason)

            try:
                await taker.start(lost)
            except BaseException:
                await taker.close(0)
                raise
            self._takers.add(taker)
            connection.on_lost[taker] = lost
            return taker

    def _taker(self, link: Link, config: NatsTakingConfig, connection: Connection) -> Taking:
        handling = Handling(
            self.context.call, link, config.timeout_ms, SYSTEM_NATS, ",".join(config.subscriptions)
        )
        if not config.stream:
            return Taker(connection, config, group_of(config, link, self.context.lattice), handling)
        name = consumer_name(config, link, self.context.lattice)
        return StreamTaker(connection, config, name, handling)

    async def close_source_link(self, link: Link, taker: Taking) -> None:
        self._takers.discard(taker)
        try:
            await taker.close(CLOSE_GRACE_S)
        finally:
            await self._release(taker)
        _log.info("a link takes no more messages", key=link.key, **asdict(taker.counts))

    async def check_source_link(self, link: Link, taker: Taking) -> None:
        await taker.connection.bus.flush()

    async def _release(self, held: Sender | Taking) -> None:
        held.connection.on_lost.pop(held, None)
        await self._connections.release(held.connection)

    @asynccontextmanager
    async def _connected(self, config: NatsServers) -> AsyncIterator[Connection]:
        """A connection, which is kept unless the block fails."""
        connection = await self._connections.acquire(config.url, config.credentials(self.context.credentials))
        try:
            yield connection
        except BaseException:
            await self._connections.release(connection)
            raise


@contextmanager
def _told() -> Iterator[None]:
    """Failures inside reach the component as the interface's own error: a text that begins with the kind."""
    try:
        yield
    except NotConnected as e:
        raise BackendLost(e.message, may_have_run=False) from e
    except ConnectionLost as e:
        raise BackendLost(e.message) from e
    except LathError as e:
        raise OpError(str(e)) from e
