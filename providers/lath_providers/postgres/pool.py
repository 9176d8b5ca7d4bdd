"""The connections of one link: opened as calls need them, given back clean, closed when they lie unused.

asyncpg's own pool is not used: its prepared statements end with each borrowing, and a call that has ended, by
its deadline or well, would wait for its connection to be cleaned.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from lath.telemetry import get_logger
from lath_providers.postgres.session import Session

CLEAN_S: Final = 5.0
"""How long a connection may take to end what was cancelled and to be clean; then it is hung up."""
CLOSE_S: Final = 2.0
"""How long a good-bye may take."""

_log = get_logger(__name__)


class Exhausted(Exception):
    """No connection became free in time."""


class Pool:
    """Connections that are lent.

    Args:
        connect: Makes one.
        connections_max: At once.
        idle_s: How long one may lie unused.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[Session]], connections_max: int, idle_s: float
    ) -> None:
        self._connect = connect
        self._idle_s = idle_s
        self._max = connections_max
        self._permits = asyncio.Semaphore(connections_max)
        self._idle: list[tuple[Session, float]] = []
        """The one that was used last stands last."""
        self._sessions: set[Session] = set()
        self._cleaning: set[asyncio.Task[None]] = set()
        self._expiry: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        """How many are open."""
        return len(self._sessions)

    async def borrow(self, wait_s: float) -> Session:
        """A connection, for one user until it is given back.

        Raises:
            Exhausted: All are in use, and stayed so for `wait_s`.
            Exception: No connection could be made.
        """
        try:
            async with asyncio.timeout(wait_s):
                await self._permits.acquire()
        except TimeoutError:
            raise Exhausted(
                f"all {self._max} connections of the link are in use, and none became free within "
                f"{wait_s * 1000:g} ms"
            ) from None
        try:
            while self._idle:
                session, _ = self._idle.pop()
                if not session.closed:
                    return session
                self._sessions.discard(session)
            session = await self._connect()
        except BaseException:
            self._permits.release()
            raise
        self._sessions.add(session)
        if self._closed:
            self.give_back(session)
            raise ConnectionError("the link was closed")
        return session

    def give_back(self, session: Session) -> None:
        """Takes a connection back. It is cleaned, and then free for others; nobody waits for that."""
        task = asyncio.create_task(self._clean(session), name="clean a connection")
        self._cleaning.add(task)
        task.add_done_callback(self._cleaning.discard)

    @asynccontextmanager
    async def session(self, wait_s: float) -> AsyncIterator[Session]:
        """A connection for as long as the block runs."""
        session = await self.borrow(wait_s)
        try:
            yield session
        finally:
            self.give_back(session)

    async def close(self) -> None:
        """Closes all that are open, those in use too."""
        self._closed = True
        if self._expiry is not None:
            self._expiry.cancel()
        idle, self._idle = self._idle, []
        if idle:
            await asyncio.gather(*(session.close(CLOSE_S) for session, _ in idle))
        self._sessions.difference_update(session for session, _ in idle)
        while self._cleaning:
            await asyncio.wait(self._cleaning)
        for session in self._sessions:
            session.terminate()
        self._sessions.clear()

    # --- inside --------------------------------------------------------------------------------------

    async def _clean(self, session: Session) -> None:
        try:
            if self._closed:
                await session.close(CLOSE_S)
            elif not session.closed:
                async with asyncio.timeout(CLEAN_S):
                    await session.clean()
        except Exception as error:
            _log.info("a connection could not be cleaned, and is hung up", reason=type(error).__name__)
            session.terminate()
        finally:
            if session.closed:
                self._sessions.discard(session)
            else:
                self._idle.append((session, asyncio.get_running_loop().time()))
                self._expire_later()
            self._permits.release()

    def _expire_later(self) -> None:
        if self._expiry is None and self._idle and not self._closed:
            _, since = self._idle[0]
            self._expiry = asyncio.get_running_loop().call_at(since + self._idle_s, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        now = asyncio.get_running_loop().time()
        while self._idle and self._idle[0][1] + self._idle_s <= now:
            session, _ = self._idle.pop(0)
            self._sessions.discard(session)
            session.terminate()
        self._expire_later()
