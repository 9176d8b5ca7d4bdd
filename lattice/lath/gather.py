"""Scatter/gather: one request to many, ended as soon as everybody who should has answered.

Who should answer is a set of ids that may grow while replies come in, since replies may name others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from nats.aio.msg import Msg

from lath.bus import Bus
from lath.errors import LathError, PermissionDenied
from lath.telemetry import get_logger

HOPED_GRACE_MS = 250
"""How long those are waited for that may answer but need not, once all others have. Many times a round trip
on a healthy bus; short beside any time-out."""

_log = get_logger(__name__)
_STATUS = "Status"
_NO_RESPONDERS = "503"


@dataclass(slots=True)
class Gathered:
    """What came of it.

    Attributes:
        replies: The first reply of each id, expected or not.
        silent: The expected ids without a reply.
    """

    replies: dict[str, Msg] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)


async def gather(
    bus: Bus,
    subject: str,
    data: bytes,
    *,
    expected: Collection[str],
    id_of: Callable[[Msg], str],
    timeout_ms: float,
    on_reply: Callable[[str, Msg], None] | None = None,
    hoped: Collection[str] = (),
) -> Gathered:
    """Publishes one request and gathers the replies.

    Args:
        bus: The bus.
        subject: Where everybody listens.
        data: The request.
        expected: Ids to wait for. Read again after each reply, so `on_reply` may add to it.
        id_of: Who sent a reply. A reply for which it raises a `LathError` is logged and left out.
        timeout_ms: The longest wait.
        on_reply: Called with each id's first reply.
        hoped: Ids to wait for a little (`HOPED_GRACE_MS`) after all expected ones have answered. They are
            never silent.

    Raises:
        NotConnected: There is no connection to the bus; nothing was sent.
        PermissionDenied: This process may not publish there.
    """
    gathered = Gathered()
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    nobody = False
    denied = ""

    def forbidden(what: str) -> None:
        nonlocal denied
        if what in (subject, inbox):
            denied = what
            changed.set()

    async def receive(msg: Msg) -> None:
        nonlocal nobody
        if not msg.data and msg.headers and msg.headers.get(_STATUS) == _NO_RESPONDERS:
            nobody = True
        else:
            try:
                sender = id_of(msg)
            except LathError as e:
                _log.warning("left out a reply that cannot be read", subject=subject, error=str(e))
                return
            if sender in gathered.replies:
                return
            gathered.replies[sender] = msg
            if on_reply is not None:
                on_reply(sender, msg)
        changed.set()

    inbox = bus.new_inbox()
    subscription = await bus.subscribe(inbox, receive)
    forget = bus.on_denied(forbidden)
    try:
        await bus.publish(subject, data, reply=inbox)
        deadline = loop.time() + timeout_ms / 1000
        all_expected_at: float | None = None
        while not nobody:
            until = deadline
            if all(i in gathered.replies for i in expected):
                if all(i in gathered.replies for i in hoped):
                    break
                all_expected_at = loop.time() if all_expected_at is None else all_expected_at
                until = min(deadline, all_expected_at + HOPED_GRACE_MS / 1000)
            else:
                all_expected_at = None
            try:
                async with asyncio.timeout_at(until):
                    await changed.wait()
            except TimeoutError:
                break
            changed.clear()
            if denied:
                raise PermissionDenied(f"the bus does not permit the use of {denied}")
    finally:
        forget()
        await subscription.unsubscribe()
    gathered.silent = {i for i in expected if i not in gathered.replies}
    return gathered
