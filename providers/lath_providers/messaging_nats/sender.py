"""Sends the messages of one component."""

from __future__ import annotations

from lath import telemetry
from lath.codec import Record
from lath_providers.messaging.message import broker_message, wait_ms
from lath_providers.messaging.rights import Rights
from lath_providers.messaging_nats.config import NatsSendingConfig
from lath_providers.messaging_nats.connections import Connection


class Sender:
    """What a link to the provider holds.

    Args:
        connection: To the servers.
        config: The link's.
    """

    def __init__(self, connection: Connection, config: NatsSendingConfig) -> None:
        self.connection = connection
        self._config = config
        self._rights = Rights(config.publish_allow, guarded=connection.guarded)

    async def publish(self, message: Record) -> None:
        """Sends a message now, or not at all.

        Raises:
            LathError: It was refused, or there is no connection.
        """
        self._rights.check(message.subject, message.reply_to)
        headers: dict[str, str] = {}
        telemetry.inject(headers)
        await self.connection.bus.publish(
            message.subject, message.body, headers=headers, reply=message.reply_to or ""
        )

    async def request(self, subject: str, body: bytes, timeout_ms: int, call_ms_left: float) -> Record:
        """Sends a message and waits for the first answer.

        Args:
            subject: Whom to ask.
            body: Of the message.
            timeout_ms: How long the component wants to wait.
            call_ms_left: How long its call may take yet.

        Raises:
            Unavailable: Nobody listens there.
            DeadlineExceeded: No answer in time.
            LathError: It was refused, or there is no connection.
        """
        self._rights.check(subject)
        within_ms = wait_ms(timeout_ms, call_ms_left)
        headers: dict[str, str] = {}
        telemetry.inject(headers)
        answer = await self.connection.bus.request(subject, body, headers=headers, timeout_ms=within_ms)
        return broker_message(answer.subject, answer.data, answer.reply or None)
