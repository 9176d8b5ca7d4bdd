"""Sends the messages of one component."""

from __future__ import annotations

import asyncio
from typing import Final

from lath import telemetry
from lath.bus import jetstream
from lath.bus.jetstream import JetStreamError
from lath.codec import Record
from lath.errors import DeadlineExceeded, InvalidArgument, Unavailable
from lath.names import new_id, shown
from lath_providers.messaging.message import broker_message, wait_ms
from lath_providers.messaging.rights import Rights
from lath_providers.messaging.subjects import any_matches
from lath_providers.messaging_nats.config import NatsSendingConfig
from lath_providers.messaging_nats.connections import Connection

MSG_ID: Final = "Nats-Msg-Id"
"""A stream keeps one of the messages with the same id, within its window of duplicates."""
STORE_MS: Final = 2_500.0
"""How long to wait for a stream's word before sending again: it comes in milliseconds, but for elections."""
AGAIN_S: Final = 0.25
NOBODY_TRIES: Final = 3
"""For a moment nobody may listen to a stream's subjects, while its cluster elects a leader."""


class Sender:
    """What a link to the provider holds.

    Args:
        connection: To the servers.
        config: The link's.

    Attributes:
        duplicates: Messages that a stream had already when they were sent again, for want of its word.
    """

    def __init__(self, connection: Connection, config: NatsSendingConfig) -> None:
        self.connection = connection
        self.duplicates = 0
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
        if any_matches(self._config.acknowledged_publish, message.subject):
            await self._store(message, headers)
            return
        await self.connection.bus.publish(
            message.subject, message.body, headers=headers, reply=message.reply_to or ""
        )

    async def _store(self, message: Record, headers: dict[str, str]) -> None:
        """Sends until a stream says that it has the message, for as long as the call lasts.

        Each try carries the same id, so that the stream keeps one of them.
        """
        if message.reply_to is not None:
            raise InvalidArgument(
                f"reply-to: a stream acknowledges {shown(message.subject)}, so nobody else can answer it"
            )
        headers[MSG_ID] = new_id()
        nobody = 0
        while True:
            try:
                stored = await jetstream.store(
                    self.connection.bus, message.subject, message.body, headers=headers, timeout_ms=STORE_MS
                )
            except Unavailable:
                nobody += 1
                if nobody == NOBODY_TRIES:
                    raise Unavailable(f"no stream takes {shown(message.subject)}") from None
            except DeadlineExceeded:
                pass
            except JetStreamError as e:
                if e.code not in jetstream.TEMPORARY:
                    raise
            else:
                self.duplicates += stored.duplicate
                return
            await asyncio.sleep(AGAIN_S)

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
