"""Transactions, each on a connection of its own from its begin to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from lath.codec import Record, Resource, Variant
from lath.errors import NotFound
from lath.provider import OpError
from lath.provider.pins import Pins
from lath_providers.postgres import failures
from lath_providers.postgres.backend import Backend
from lath_providers.postgres.session import Session

COMMIT: Final = "COMMIT"
ROLLBACK: Final = "ROLLBACK"


def begin_text(options: Any) -> str:
    """The statement that begins a transaction as `options` say."""
    level = options["isolation"].replace("-", " ").upper()
    return f"BEGIN ISOLATION LEVEL {level} {'READ ONLY' if options['read_only'] else 'READ WRITE'}"


async def commit(session: Session) -> None:
    """Makes it happen.

    Raises:
        OpError: A statement had failed, so the server has rolled it back.
    """
    if await session.command(COMMIT) == ROLLBACK:
        raise failures.unexpected(
            "25P02: a statement of the transaction had failed, so that it was rolled back"
        )


async def run(session: Session, statements: Sequence[Any], options: Any) -> list[list[list[Record]]]:
    """Runs statements in one transaction; after an error the connection has to be cleaned.

    Raises:
        OpError: A statement failed; the error names it.
    """
    await session.command(begin_text(options))
    results = []
    for number, statement in enumerate(statements, 1):
        try:
            results.append(await session.query(statement["query"], statement["params"]))
        except Exception as error:
            told = failures.query_error(error)
            if told is None:
                raise
            raise OpError(Variant(told.case, f"statement {number}: {told.payload}")) from error
        if not session.in_transaction:
            raise failures.unexpected(
                f"statement {number} has ended the transaction; what came before may stand"
            )
    await commit(session)
    return results


class Transaction:
    """A transaction that is open.

    It ends by a commit or a rollback, when nobody holds it or asks of it any more, and when a call of it is
    cancelled, since what its statement has done is then unknown.

    Args:
        backend: Whose connection it has.
        session: The connection; given back at the end.
        pins: Keep it.
    """

    def __init__(self, backend: Backend, session: Session, pins: Pins) -> None:
        self._backend = backend
        self._session = session
        self._pins = pins
        self._turn = asyncio.Lock()
        self._ended = False
        self._idle: asyncio.TimerHandle | None = None
        self.handle: Resource = pins.pin(self, self._abandoned)
        backend.transactions.add(self)
        self._wait_for_calls()

    @staticmethod
    async def begin(backend: Backend, options: Any, pins: Pins) -> Transaction:
        """Begins one.

        Raises:
            OpError: No connection is free, or the server refused.
            BackendLost: There is no connection to be had.
        """
        session = await backend.borrow()
        try:
            with backend.telling():
                await session.command(begin_text(options))
        except BaseException:
            backend.pool.give_back(session)
            raise
        return Transaction(backend, session, pins)

    async def query(self, sql: str, params: Sequence[Variant]) -> list[list[Record]]:
        async with self._working() as session:
            return await session.query(sql, params)

    async def execute(self, sql: str, params: Sequence[Variant]) -> int:
        async with self._working() as session:
            return await session.execute(sql, params)

    async def commit(self) -> None:
        async with self._working() as session:
            try:
                await commit(session)
            finally:
                self.end()

    async def rollback(self) -> None:
        async with self._working() as session:
            try:
                await session.command(ROLLBACK)
            finally:
                self.end()

    def end(self) -> None:
        """Gives the connection back, which rolls back what is open. Doing it twice is fine."""
        if self._ended:
            return
        self._ended = True
        if self._idle is not None:
            self._idle.cancel()
        self._pins.unpin(self.handle)
        self._backend.transactions.discard(self)
        self._backend.pool.give_back(self._session)

    @asynccontextmanager
    async def _working(self) -> AsyncIterator[Session]:
        """The connection, for one call at a time."""
        async with self._turn:
            if self._ended:
                raise NotFound("the transaction has ended")
            if self._idle is not None:
                self._idle.cancel()
            try:
                with self._backend.telling():
                    yield self._session
            except asyncio.CancelledError:
                self.end()
                raise
            finally:
                if not self._session.in_transaction:
                    self.end()  # by a statement of its own, or because the connection is gone
                self._wait_for_calls()

    def _wait_for_calls(self) -> None:
        if not self._ended:
            wait_s = self._backend.config.transaction_idle_ms / 1000
            self._idle = asyncio.get_running_loop().call_later(wait_s, self.end)

    async def _abandoned(self) -> None:
        """Nobody holds it any more."""
        async with self._turn:
            self.end()
