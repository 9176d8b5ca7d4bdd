"""Requests of the control interface: to one host, to whichever host answers, to all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from nats.aio.msg import Msg
from pydantic import BaseModel

from lath import subjects
from lath.bus import Bus
from lath.errors import KINDS, Conflict, DeadlineExceeded, LathError, NotConnected, Unavailable, error_of_kind
from lath.model import Ctl, CtlReply, parse

REQUEST_MS: Final = 2_000
"""How long one host may take to answer a control request: the control interface's own default."""
GATHER_MS: Final = 5_000
"""How long answers of all hosts are waited for, where some stay away."""

M = TypeVar("M", bound=BaseModel)


class NoLattice(NotConnected):
    """No lattice is reachable: the bus does not answer, or no host does."""


class Control:
    """Speaks the control interface on one lattice."""

    def __init__(self, bus: Bus, timeout_ms: int) -> None:
        self._bus = bus
        self.timeout_ms = timeout_ms

    async def any_host(self, *tokens: str, body: Ctl | None = None) -> Any:
        """Asks whichever host answers first; returns the response's JSON.

        Raises:
            NoLattice: No host is there.
            LathError: The host refused, with its own kind.
        """
        try:
            return await self._ask(tokens, body)
        except Unavailable:
            raise NoLattice(
                f"no host answers in lattice {self._bus.lattice}: start one with 'lath host run' or 'lath up'"
            ) from None

    async def host(self, host_id: str, *tokens: str, body: Ctl | None = None) -> Any:
        """Asks one host; returns the response's JSON.

        Raises:
            Unavailable: That host is not there.
            LathError: The host refused, with its own kind.
        """
        try:
            return await self._ask((*tokens, host_id), body)
        except Unavailable:
            raise Unavailable(f"host {host_id} does not answer: see 'lath get hosts'") from None

    async def _ask(self, tokens: tuple[str, ...], body: Ctl | None) -> Any:
        subject = subjects.ctl(self._bus.lattice, *tokens)
        data = body.to_json() if body is not None else b""
        message = await self._bus.request(subject, data, timeout_ms=self.timeout_ms)
        return opened(message.data)

    async def every_host(
        self,
        *tokens: str,
        body: Ctl | None = None,
        expected: int | None = None,
        accept: Callable[[bytes], M],
        timeout_ms: int,
    ) -> list[M]:
        """Asks all hosts at once and returns what came, in the order of arrival.

        Args:
            tokens: Of the subject.
            body: Of the request.
            expected: Stop as soon as so many have answered; None waits out the time-out.
            accept: Reads one answer.
            timeout_ms: How long answers are waited for.
        """
        inbox = self._bus.nc.new_inbox()
        answers: list[M] = []
        complete = asyncio.Event()

        async def on_answer(message: Msg) -> None:
            if message.headers and message.headers.get("Status"):
                complete.set()  # nobody subscribes: there is nothing to wait for
                return
            answers.append(accept(message.data))
            if expected is not None and len(answers) >= expected:
                complete.set()

        subscription = await self._bus.subscribe(inbox, on_answer)
        try:
            data = body.to_json() if body is not None else b""
            await self._bus.publish(subjects.ctl(self._bus.lattice, *tokens), data, reply=inbox)
            async with asyncio.timeout(timeout_ms / 1000):
                await complete.wait()
        except TimeoutError:
            pass  # those that answered are the answer
        finally:
            await subscription.unsubscribe()
        return answers


def opened(data: bytes) -> Any:
    """The response inside a reply's envelope.

    Raises:
        LathError: The reply says that it failed; of the kind that its message begins with, else `Conflict`.
    """
    reply = parse(CtlReply, data, "control reply")
    if reply.success:
        return reply.response
    raise refusal(reply.message)


def refusal(message: str, *, otherwise: type[LathError] = Conflict) -> LathError:
    """The error that a host's refusal stands for: lath's hosts write `kind: message`.

    Args:
        message: What the host wrote.
        otherwise: What it is where no kind stands in front.
    """
    kind, colon, rest = message.partition(": ")
    if colon and kind in KINDS:
        return error_of_kind(kind, rest)
    return otherwise(message or "the host refused, and gave no reason")


def read_response(model: type[M], response: Any, what: str) -> M:
    """Reads the response of a reply as a model."""
    return parse(model, response if isinstance(response, dict) else {}, what)


__all__ = ["GATHER_MS", "REQUEST_MS", "Control", "DeadlineExceeded", "NoLattice", "opened", "read_response"]
