"""One connection to Redis that calls in flight share.

Commands of one turn of the loop are written together, and answers are read in the order of the commands, as
Redis promises; so a call costs no connection of its own, no turn at a pool, and few system calls. One that is
given up leaves its answer to be read and dropped; the connection goes on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from lath.errors import DeadlineExceeded, Overloaded
from lath.provider import BackendLost

IN_FLIGHT_MAX: Final = 1_024
"""Commands without an answer on one connection; beyond, calls are refused: Redis does not keep up."""


@dataclass(slots=True)
class _Command:
    packed: list[bytes]
    answer: asyncio.Future[Any]
    sent_at: float = 0.0


class Wire:
    """A connection that is open, with the two tasks that write and read. Ended by `close`.

    Args:
        connection: Connected, without time-outs of its own.
        address: For messages.
        timeout_s: How long Redis may leave a command without an answer.
    """

    def __init__(self, connection: AbstractConnection, address: str, timeout_s: float) -> None:
        self._connection = connection
        self._address = address
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Command] = []
        self._sent: deque[_Command] = deque()
        self._wake = asyncio.Event()
        self._watch: asyncio.TimerHandle | None = None
        self._broken: Exception | None = None
        self._tasks = [
            asyncio.create_task(self._write(), name=f"write to {address}"),
            asyncio.create_task(self._read(), name=f"read from {address}"),
        ]

    @property
    def usable(self) -> bool:
        return self._broken is None

    @property
    def in_flight(self) -> int:
        """Commands without an answer."""
        return len(self._waiting) + len(self._sent)

    def ask(self, *command: str | bytes | int) -> asyncio.Future[Any]:
        """Sends a command. The future has its answer; cancelled, the answer is dropped.

        Raises:
            Overloaded: Too many commands have no answer yet.
            BackendLost: The connection broke before.
        """
        if self._broken is not None:
            raise BackendLost(f"{self._address}: {self._broken}", may_have_run=False)
        if self.in_flight >= IN_FLIGHT_MAX:
            raise Overloaded(f"{self.in_flight} commands wait for an answer of {self._address}")
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(_Command(self._connection.pack_command(*command), answer))
        self._wake.set()
        return answer

    async def close(self) -> None:
        """Closes the connection; what waits for an answer is told so. Closing twice is fine."""
        self._break(RedisConnectionError("the connection was closed"))
        await asyncio.wait(self._tasks)
        await self._connection.disconnect(nowait=True)

    # --- inside --------------------------------------------------------------------------------------

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                batch, self._waiting = self._waiting, []
                now = self._loop.time()
                packed: list[bytes] = []
                for command in batch:
                    if not command.answer.done():
                        command.sent_at = now
                        self._sent.append(command)
                        packed += command.packed
                if packed:
                    if self._watch is None:
                        self._watch = self._loop.call_at(now + self._timeout_s, self._look)
                    await self._connection.send_packed_command(packed, check_health=False)
        except (RedisError, OSError) as e:
            self._break(e)

    async def _read(self) -> None:
        try:
            while True:
                try:
                    found = await self._connection.read_response(disconnect_on_error=False)
                except ResponseError as e:
                    self._answered(None, e)
                else:
                    self._answered(found, None)
        except (RedisError, OSError) as e:
            self._break(e)

    def _answered(self, found: Any, error: ResponseError | None) -> None:
        answer = self._sent.popleft().answer if self._sent else None
        if answer is None or answer.done():  # asked by nobody, or by one who has given up
            return
        if error is None:
            answer.set_result(found)
        else:
            answer.set_exception(error)

    def _look(self) -> None:
        """Gives the connection up when its oldest command has waited for too long."""
        self._watch = None
        if not self._sent:
            return
        due = self._sent[0].sent_at + self._timeout_s
        if due > self._loop.time():
            self._watch = self._loop.call_at(due, self._look)
            return
        self._break(DeadlineExceeded(f"{self._address} gave no answer within {self._timeout_s:g} s"))

    def _break(self, error: Exception) -> None:
        """Ends both tasks; what was sent may have been done, what was not was not."""
        if self._broken is not None:
            return
        self._broken = error
        if self._watch is not None:
            self._watch.cancel()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        slow = isinstance(error, DeadlineExceeded)
        for command in self._sent:
            if not command.answer.done():
                command.answer.set_exception(error if slow else BackendLost(f"{self._address}: {error}"))
        for command in self._waiting:
            if not command.answer.done():
                lost = BackendLost(f"{self._address}: {error}", may_have_run=False)
                command.answer.set_exception(lost)
        self._sent.clear()
        self._waiting.clear()
