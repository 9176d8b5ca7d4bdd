"""How messages come in: straight from the read loop of the connection; a queue per message is dear."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from nats import errors as nats_errors
from nats.aio.msg import Msg


class Sink:
    """Looks like a future to nats-py, which asks it only `cancelled()` and `set_result(msg)`."""

    __slots__ = ("set_result",)

    def __init__(self, take: Callable[[Msg], None]) -> None:
        self.set_result = take

    def cancelled(self) -> bool:
        return False


def sink(take: Callable[[Msg], None]) -> Any:
    """What to give as `future` to `nats.Client.subscribe`, to have each message handed to `take` at once.

    There is then no queue, no task to wake and no limit past which messages are dropped. nats-py's own use
    of the parameter is for one message; a test holds it to calling `set_result` for each. `take` must not
    raise: it runs in the connection's read loop, which would end.
    """
    return Sink(take)


async def drain_sink(subscription: Any) -> None:
    """Ends a subscription that was made with a sink: on return it has taken what was on its way, and no more.

    Where the connection breaks, or this is cancelled, what was on its way is lost.
    """
    try:
        with contextlib.suppress(nats_errors.Error):
            await subscription.drain()
    finally:
        subscription._conn._remove_sub(subscription._id)  # nats-py keeps one whose draining failed
