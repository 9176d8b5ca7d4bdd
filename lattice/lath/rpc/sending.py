"""How the message of one attempt of a call goes out, and what its reply comes to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nats.aio.client import Client
from nats.aio.msg import Msg

from lath.errors import (
    ConnectionLost,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    Unavailable,
)
from lath.rpc.bulk import INLINE_BYTES_MAX, BulkPort, Offer, TransferFailed, announced_size
from lath.rpc.failure import error_of, having_answered, nobody
from lath.rpc.pending import Pending
from lath.rpc.replies import Replies, may_answer
from lath.subjects import HEADER_BULK

if TYPE_CHECKING:
    from lath.bus import Bus

_STATUS: Final = "Status"
_NO_RESPONDERS: Final = "503"


class Gone(Unavailable):
    """Nobody listens on the subject of an instance that presence still shows."""


def is_nobody(msg: Msg) -> bool:
    """Whether the server says that nobody listens where a message went."""
    return msg.headers is not None and msg.headers.get(_STATUS) == _NO_RESPONDERS and not msg.data


def check(pending: Pending, msg: Msg, linked: bool) -> None:
    """Raises what a reply says that went wrong.

    Args:
        pending: The attempt.
        msg: Its reply, with headers.
        linked: Whether a link names the target.
    """
    if is_nobody(msg):
        if pending.instance:
            raise Gone(f"instance {pending.instance} of {pending.route.target} is gone")
        raise nobody(pending.route.target, linked)
    error = error_of(msg)
    if error is not None:
        raise error


class Sending:
    """Sends packed parameters, and returns packed results.

    Args:
        bus: The connection.
        replies: Where replies come in.
    """

    def __init__(self, bus: Bus, replies: Replies) -> None:
        self._bus = bus
        self._replies = replies

    async def send(
        self, payload: bytes, pending: Pending, headers: dict[str, str], deadline: float, linked: bool
    ) -> bytes:
        """Makes one attempt; returns the packed result.

        Args:
            payload: The packed parameters.
            pending: The attempt.
            headers: Of its message.
            deadline: In the loop's time, seconds.
            linked: Whether a link names the target.

        Raises:
            LathError: What it came to.
            nats.errors.Error: It was not sent.
        """
        if len(payload) > INLINE_BYTES_MAX:
            return await self._send_bulk(payload, pending, headers, deadline, linked)
        await self._replies.listen()
        reply, nc = self._replies.subject(pending.call_id), self._bus.nc
        if not nc.post(pending.subject, payload, reply, headers):
            await nc.publish(pending.subject, payload, reply, headers)
        return await self._result(pending, await pending.future, nc, deadline, linked)

    async def _send_bulk(
        self, payload: bytes, pending: Pending, headers: dict[str, str], deadline: float, linked: bool
    ) -> bytes:
        """Offers the payload on the second connection, where pulls and the reply then come in."""
        try:
            async with asyncio.timeout_at(deadline):
                port = await BulkPort.of(self._bus)
        except TimeoutError:
            raise DeadlineExceeded("the connection for large payloads could not be made in time") from None
        offer: Offer
        with port.offer(payload, name=pending.call_id, on_reply=self._replies.take) as offer:
            await port.client.publish(
                pending.subject, b"", offer.subject, {**headers, HEADER_BULK: str(len(payload))}
            )
            return await self._result(pending, await pending.future, port.client, deadline, linked)

    async def _result(
        self, pending: Pending, msg: Msg, client: Client, deadline: float, linked: bool
    ) -> bytes:
        headers = msg.headers
        if not headers:
            return msg.data
        check(pending, msg, linked)
        if HEADER_BULK in headers:
            return await self._pull_result(pending, msg, client, deadline)
        return msg.data

    async def _pull_result(self, pending: Pending, msg: Msg, client: Client, deadline: float) -> bytes:
        target = pending.route.target
        try:
            size = announced_size((msg.headers or {})[HEADER_BULK])
            if not may_answer(msg.reply):
                raise InvalidArgument("it names no inbox to pull from")
        except InvalidArgument as e:
            raise Internal(f"the answer of {target} is malformed: {e.message}") from e
        try:
            with having_answered(target, f"its {size} bytes did not come in time"):
                async with asyncio.timeout_at(deadline):
                    port = await BulkPort.of(self._bus)
                    return await port.pull(client, msg.reply, size)
        except TransferFailed as e:
            raise ConnectionLost(f"{target} had answered, but {e}") from e
