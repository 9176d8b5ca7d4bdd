"""One call while its callee runs it."""

from __future__ import annotations

import asyncio

from nats.aio.msg import Msg

from lath.errors import LathError
from lath.rpc.header import CallHeader
from lath.subjects import CallSubject


class Running:
    """A call while it runs.

    Attributes:
        msg: The message that it came by.
        subject: What is called, and by whom.
        header: What the caller says of it.
        deadline: In the loop's time, seconds.
        key: Names it: source and call id.
        reason: Why it was stopped.
        started: Whether its task has taken its first step.
        task: Runs it.
        asks: How often its caller was asked whether it waits.
        strikes: How often nobody listened, in a row.
        answered: Whether its caller has the reply, and only a stream goes on.
        lasting: Whether its deadline does not hold any more.
    """

    __slots__ = (
        "answered", "asks", "deadline", "header", "key", "lasting", "msg", "reason", "started", "strikes",
        "subject", "task",
    )  # fmt: skip

    def __init__(self, msg: Msg, subject: CallSubject, header: CallHeader, deadline: float) -> None:
        self.msg = msg
        self.subject = subject
        self.header = header
        self.deadline = deadline
        self.key = (subject.source, header.call_id)
        self.reason: LathError | None = None
        self.started = False
        self.task: asyncio.Task[None] | None = None
        self.asks = 0
        self.strikes = 0
        self.answered = False
        self.lasting = False

    def last(self) -> None:
        """Its deadline does not hold any more."""
        self.lasting = True

    @property
    def began(self) -> float:
        """When it came, in the loop's time, seconds."""
        return self.deadline - self.header.ms_left / 1000

    def stop(self, reason: LathError) -> None:
        """Cancels the call; its caller is told why."""
        if self.reason is None and self.task is not None and not self.task.done():
            self.reason = reason
            if self.started:  # a task that is cancelled before its first step never gets to answer
                self.task.cancel()
