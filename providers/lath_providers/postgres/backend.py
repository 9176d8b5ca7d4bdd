"""What a link holds: its database, its pool, and the transactions that are open."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from lath.provider import BackendLost, Link, OpError
from lath_providers.postgres import failures
from lath_providers.postgres.config import Place, PostgresConfig
from lath_providers.postgres.pool import Exhausted, Pool
from lath_providers.postgres.session import MONEY_DIGITS, Session
from lath_providers.postgres.values import Values

if TYPE_CHECKING:
    from lath_providers.postgres.transactions import Transaction

PROBES_MAX: Final = 8
"""Links of one server that are tried at once: a thousand of them must not take a thousand connections."""
PROBE_S: Final = 5.0
"""How long a server that has taken a connection may take for the first answer."""
NAME_BYTES_MAX: Final = 63
"""What PostgreSQL keeps of an application's name."""
_FULL: Final = "53300"
"""The server, or the role, has all the connections that it may have."""
DIGITS_USUAL: Final = 2
"""Of money, until the database has said."""
PROBE_NAME: Final = "lath"
NO_TLS: Final = "rejected SSL upgrade"
"""What asyncpg says of a server that speaks no TLS."""


@dataclass(frozen=True, slots=True)
class Known:
    """What has to be known of a database before it is used.

    Attributes:
        tls: What its connections speak TLS with; None: they do not.
        values: Converts its values.
    """

    tls: ssl.SSLContext | None
    values: Values


class Probes:
    """Tries whether a link's database can be used. Links of the same config that open together ask once."""

    def __init__(self) -> None:
        self._running: dict[PostgresConfig, asyncio.Task[Known]] = {}
        self._turns: dict[tuple[str, int], asyncio.Semaphore] = {}

    async def ask(self, config: PostgresConfig) -> Known:
        """Connects, and asks the database.

        Raises:
            InvalidArgument: Of the config.
            BackendLost: It cannot be used, and why.
        """
        task = self._running.get(config)
        if task is None:
            task = asyncio.create_task(self._ask(config), name="try a database")
            self._running[config] = task
            task.add_done_callback(partial(self._asked_for, config))
        return await asyncio.shield(task)

    def _asked_for(self, config: PostgresConfig, task: asyncio.Task[Known]) -> None:
        self._running.pop(config, None)
        if not task.cancelled():
            task.exception()  # whoever asked may have been cancelled meanwhile

    async def close(self) -> None:
        """Ends what still asks."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, config: PostgresConfig) -> Known:
        place = config.place
        tls = await asyncio.to_thread(config.tls_context)
        turn = self._turns.setdefault((place.host, place.port), asyncio.Semaphore(PROBES_MAX))
        async with turn:
            try:
                return await self._asked(config, tls)
            except ConnectionError as error:
                if config.tls != "prefer" or NO_TLS not in str(error):
                    raise failures.refused(error, place) from None
            except Exception as error:
                raise failures.refused(error, place) from None
            try:
                return await self._asked(config, None)
            except Exception as error:
                raise failures.refused(error, place) from None

    async def _asked(self, config: PostgresConfig, tls: ssl.SSLContext | None) -> Known:
        session = await Session.connect(config, tls, PROBE_NAME, Values(DIGITS_USUAL))
        try:
            async with asyncio.timeout(PROBE_S):
                ((entry,),) = await session.query(MONEY_DIGITS, [])
        except BaseException:
            session.terminate()
            raise
        await session.close(PROBE_S)
        return Known(tls, Values(entry.value.payload))


class Backend:
    """A database by one link.

    Attributes:
        config: The link's.
        place: Where the database is.
        pool: The link's connections.
        transactions: Those that are open.
    """

    def __init__(self, link: Link, config: PostgresConfig, known: Known) -> None:
        self.config = config
        self.place: Place = config.place
        self.transactions: set[Transaction] = set()
        self._known = known
        self._name = config.application_name or f"lath {link.source_id} {link.name}"[:NAME_BYTES_MAX]
        self.pool = Pool(self._connect, config.pool_max, config.idle_ms / 1000)

    async def borrow(self) -> Session:
        """A connection, until it is given back to the pool.

        Raises:
            OpError: None is free, here or at the server.
            BackendLost: None can be made.
        """
        try:
            return await self.pool.borrow(self.config.pool_wait_ms / 1000)
        except Exhausted as error:
            raise failures.unexpected(str(error)) from None

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A connection for as long as the block runs, whose failures are told in the standard's words.

        Raises:
            OpError: With a `query-error`.
            BackendLost: The connection broke.
        """
        session = await self.borrow()
        try:
            with self.telling():
                yield session
                if session.in_transaction:
                    raise failures.unexpected(
                        "a transaction was left open, and is rolled back: the connection goes to others; "
                        "use lath:postgres/transactions"
                    )
        finally:
            self.pool.give_back(session)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Failures of statements inside become the standard's, or say that the backend is gone."""
        try:
            yield
        except (OpError, BackendLost):
            raise
        except Exception as error:
            gone = failures.lost(error, self.place)
            if gone is not None:
                raise gone from error
            told = failures.query_error(error)
            if told is None:
                raise
            raise OpError(told) from error

    async def close(self) -> None:
        """Rolls back what is open, and closes all connections."""
        for transaction in list(self.transactions):
            transaction.end()
        await self.pool.close()

    async def _connect(self) -> Session:
        try:
            return await Session.connect(self.config, self._known.tls, self._name, self._known.values)
        except Exception as error:
            if getattr(error, "sqlstate", None) == _FULL:
                raise failures.unexpected(f"{self.place}: {error}") from None
            raise failures.refused(error, self.place) from None
