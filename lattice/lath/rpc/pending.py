"""One attempt of a call that waits for its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nats.aio.msg import Msg

from lath.errors import DeadlineExceeded, LathError
from lath.rpc.routes import Route


class Pending:
    """An attempt.

    Attributes:
        future: Its answer.
        route: What is called.
        instance: Who holds it; empty when that is unknown.
        call_id: Names it in a cancel, and its reply.
        subject: Where it went.
        lasts: Whether its deadline does not hold any more, when that is asked.
    """

    __slots__ = ("call_id", "future", "instance", "lasts", "route", "subject")

    def __init__(self, future: asyncio.Future[Msg], route: Route, instance: str, call_id: str) -> None:
        self.future = future
        self.route = route
        self.instance = instance
        self.call_id = call_id
        self.subject = route.subject(instance)
        self.lasts: Callable[[], bool] = bool

    @property
    def cancel_subject(self) -> str:
        return self.route.cancel_subject(self.instance)

    def abandon(self) -> None:
        """Nobody looks at the answer any more."""
        if not self.future.cancel() and not self.future.cancelled():
            self.future.exception()

    def fail(self, error: LathError) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def expire(self) -> None:
        """The time of the call is up."""
        if self.lasts():
            return
        self.fail(DeadlineExceeded(f"no answer from {self.route.target} in time"))
