"""Serves the control interface: subscriptions, replies, and who of many hosts answers.

What is for one host stands on a subject with that host's id; what is for all is heard by all; the rest, and
what is unknown or for a host that is not there, is answered by whichever host the queue group picks.
"""

from __future__ import annotations

import asyncio
from typing import Final

from nats.aio.msg import Msg

from lath import subjects
from lath.bus import Subscription
from lath.errors import LathError, NotFound
from lath.model import CtlReply
from lath.names import shown
from lath.rpc.replies import may_answer
from lath.telemetry import get_logger
from lath_host.control import dispatch
from lath_host.control.dispatch import Asked
from lath_host.control.operation import Request
from lath_host.services import Services

_log = get_logger(__name__)

LAST_REPLIES_SECONDS: Final = 1.0
"""For requests that are being answered when the host stops, the reply to `host.stop` among them."""
NEWCOMER_SECONDS: Final = 0.3
"""How long the presence of a host may take to get here, before a request to it is refused in its stead."""
STATUS_HEADER: Final = "Status"
INTERNAL_ERROR: Final = "internal: the host failed at this request; its log says why"


class ControlServer:
    """Answers control requests for one host."""

    def __init__(self, host: Services) -> None:
        self._host = host
        self._prefix = subjects.ctl(host.bus.lattice) + "."
        self._subscriptions: list[Subscription] = []

    async def start(self) -> None:
        """Subscribes; on return the server knows of it."""
        bus = self._host.bus
        for operation in dispatch.OPERATIONS:
            if operation.audience == "one":
                continue
            tokens = [operation.noun, operation.verb]
            if operation.audience == "host":
                tokens.append(self._host.identity.id)
            subject = subjects.ctl(bus.lattice, *tokens)
            self._subscriptions.append(await bus.subscribe(subject, self._for_me))
        everything = subjects.ctl_pattern(bus.lattice)
        self._subscriptions.append(
            await bus.subscribe(everything, self._for_one_of_us, queue=subjects.CTL_QUEUE)
        )
        await bus.flush()

    async def close(self) -> None:
        """Takes no more requests; those being answered get a moment for it."""
        subscriptions, self._subscriptions = self._subscriptions, []
        try:
            async with asyncio.timeout(LAST_REPLIES_SECONDS):
                await asyncio.gather(*(subscription.drain() for subscription in subscriptions))
        except TimeoutError:
            _log.info("control requests were cut short, since the host stops")
        for subscription in subscriptions:
            await subscription.close()

    async def _for_me(self, msg: Msg) -> None:
        if self._is_request(msg):
            await self._answer(msg, dispatch.find(self._suffix(msg)))

    async def _for_one_of_us(self, msg: Msg) -> None:
        """Heard by one host: answers what is for any host, and what nobody else will answer."""
        if not self._is_request(msg):
            return
        try:
            asked = dispatch.find(self._suffix(msg))
            if asked.operation.audience == "all":
                return
            if asked.operation.audience == "host":
                await self._check_host_is_there(asked.argument)
                return
        except LathError as e:
            await self._reply(msg, _refusal(e))
            return
        await self._answer(msg, asked)

    def _is_request(self, msg: Msg) -> bool:
        """Whether somebody asked this on purpose.

        A consumer's `deliver_subject` may be aimed here by one who may not ask: then the server itself sends
        what is stored elsewhere, under its own subject, and heartbeats, which have a status and no reply.
        """
        asked = (
            msg.subject.startswith(self._prefix)
            and may_answer(msg.reply)
            and not (msg.headers and STATUS_HEADER in msg.headers)
        )
        if not asked:
            _log.warning("refused a message that is no control request", subject=msg.subject[:200])
        return asked

    def _suffix(self, msg: Msg) -> str:
        return msg.subject[len(self._prefix) :]

    async def _check_host_is_there(self, host_id: str) -> None:
        presence = self._host.presence

        def there() -> bool:
            return host_id == self._host.identity.id or any(h.target == host_id for h in presence.hosts())

        try:
            # One that has just started answers for itself, before its presence has arrived here.
            async with asyncio.timeout(NEWCOMER_SECONDS):
                await presence.wait_until(there)
        except TimeoutError:
            raise NotFound(f"no host {shown(host_id)} is in lattice {self._host.bus.lattice}") from None

    async def _answer(self, msg: Msg, asked: Asked) -> None:
        try:
            reply = await asked.operation.handler(self._host, Request(asked.argument, msg.data))
        except LathError as e:
            reply = _refusal(e)
        except Exception:
            _log.exception("control request failed", subject=msg.subject)
            reply = CtlReply(success=False, message=INTERNAL_ERROR)
        if reply is not None:
            await self._reply(msg, reply)

    async def _reply(self, msg: Msg, reply: CtlReply) -> None:
        if msg.reply:
            await self._host.bus.publish(msg.reply, reply.to_json())


def _refusal(error: LathError) -> CtlReply:
    """The message begins with the error's kind, so that a typed client can raise the same error."""
    return CtlReply(success=False, message=str(error))
