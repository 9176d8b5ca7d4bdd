"""What a link to Redis holds: some connections, made as they are needed, and the commands that go by them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from lath.errors import InvalidArgument, LathError, PermissionDenied, Unavailable
from lath.provider import BackendLost
from lath_providers.keyvalue_redis.config import KeyValueRedisConfig
from lath_providers.keyvalue_redis.wire import Wire

BUSY: Final = 32
"""Commands in flight on every connection before the link makes another one."""


class Backend:
    """The connections of one link. Made by `connect`, ended by `close`.

    Args:
        config: Of the link.
        name: What `CLIENT LIST` calls its connections.
    """

    def __init__(self, config: KeyValueRedisConfig, name: str) -> None:
        self.config = config
        self._name = name
        self._wires: list[Wire] = []
        self._making: asyncio.Task[Wire] | None = None
        self._closed = False

    @classmethod
    async def connect(cls, config: KeyValueRedisConfig, name: str) -> Backend:
        """Makes the first connection, and asks Redis by it.

        Raises:
            PermissionDenied: Redis refused the credentials.
            Unavailable: It could not be reached, or is not ready.
        """
        backend = cls(config, name)
        try:
            await backend.check()
        except BackendLost as e:
            await backend.close()
            raise Unavailable(e.reason) from e
        except BaseException:
            await backend.close()
            raise
        return backend

    async def check(self) -> None:
        """Asks Redis whether it is there.

        Raises:
            BackendLost: It is not.
            PermissionDenied: It wants other credentials.
        """
        try:
            await self.ask("PING")
        except PermissionDenied as e:
            if not isinstance(e.__cause__, NoPermissionError):  # who may not PING is known all the same
                raise

    async def ask(self, *command: str | bytes | int) -> Any:
        """Sends one command and returns its answer.

        Raises:
            BackendLost: There is no connection, or it broke.
            DeadlineExceeded: There was no answer in time.
            Overloaded: Too many commands wait for answers already.
            PermissionDenied: Redis does not allow it with these credentials.
            InvalidArgument: The key holds something else than a value.
            Unavailable: Redis refused it: it is full, read-only, or loads its data.
        """
        wire = self._wires[0] if len(self._wires) == 1 else self._least_busy()
        if wire is None or not wire.usable or wire.in_flight >= BUSY:
            wire = await self._room()
        try:
            return await wire.ask(*command)
        except ResponseError as e:
            raise self._refused(e) from e

    async def close(self) -> None:
        """Closes all connections. Closing twice is fine."""
        self._closed = True
        if self._making is not None:
            self._making.cancel()
            await asyncio.wait({self._making})
        for wire in self._wires:
            await wire.close()

    # --- inside --------------------------------------------------------------------------------------

    def _least_busy(self) -> Wire | None:
        usable = [wire for wire in self._wires if wire.usable]
        return min(usable, key=lambda wire: wire.in_flight, default=None)

    async def _room(self) -> Wire:
        """A connection for a command where there is none, or where those that there are have much to do."""
        wire = self._least_busy()
        if self._making is None and (wire is None or len(self._wires) < self.config.connections_max):
            self._making = asyncio.create_task(self._make(), name=f"connect to {self.config.address}")
            self._making.add_done_callback(self._made)
        if wire is not None:
            return wire
        assert self._making is not None
        return await asyncio.shield(self._making)

    def _made(self, task: asyncio.Task[Wire]) -> None:
        self._making = None
        if not task.cancelled():
            task.exception()  # told to those who wait for it; with another connection nobody needs to know

    async def _make(self) -> Wire:
        for broken in [wire for wire in self._wires if not wire.usable]:
            self._wires.remove(broken)
            await broken.close()
        if self._closed:
            raise BackendLost("the link is being closed", may_have_run=False)
        connection = self._connection()
        try:
            await self._open(connection)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        wire = Wire(connection, self.config.address, self.config.timeout_ms / 1000)
        self._wires.append(wire)
        return wire

    async def _open(self, connection: Connection) -> None:
        address, limit_ms = self.config.address, self.config.connect_timeout_ms
        try:
            async with asyncio.timeout(limit_ms / 1000):
                if isinstance(connection, SSLConnection):
                    await asyncio.to_thread(self._read_certificates, connection)
                await connection.connect()  # type: ignore[no-untyped-call]
                await self._tell_name(connection)
        except AuthenticationError as e:
            raise self._credentials_refused(e) from e
        except TimeoutError as e:
            raise BackendLost(f"{address}: no connection within {limit_ms} ms", may_have_run=False) from e
        except (RedisError, OSError) as e:
            raise BackendLost(f"{address}: {e}", may_have_run=False) from e

    async def _tell_name(self, connection: Connection) -> None:
        await connection.send_command("CLIENT", "SETNAME", self._name)
        with contextlib.suppress(ResponseError):  # who may not say it does without
            await connection.read_response()

    def _read_certificates(self, connection: SSLConnection) -> None:
        try:
            connection.ssl_context.get()
        except (OSError, RedisError) as e:  # an SSLError is an OSError
            raise InvalidArgument(f"tls_ca, tls_cert or tls_key: {e}") from e

    def _connection(self) -> Connection:
        config = self.config
        user, password = config.credentials
        common: dict[str, Any] = {
            "host": config.host, "port": config.port, "db": config.database,
            "username": user, "password": password,
            "protocol": 2, "driver_info": None,
            # Nothing is tried again behind the caller's back: an increment could count twice.
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": None, "socket_connect_timeout": config.connect_timeout_ms / 1000,
            "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        }  # fmt: skip
        if not config.tls:
            return Connection(**common)
        return SSLConnection(
            ssl_ca_certs=config.tls_ca or None,
            ssl_certfile=config.tls_cert or None,
            ssl_keyfile=config.tls_key or None,
            **common,
        )

    def _credentials_refused(self, error: Exception) -> PermissionDenied:
        return PermissionDenied(f"{self.config.address} refused the credentials: {error}")

    def _refused(self, error: ResponseError) -> LathError:
        text = str(error)
        if isinstance(error, AuthenticationError):
            return self._credentials_refused(error)
        if isinstance(error, NoPermissionError):
            return PermissionDenied(f"{self.config.address} does not permit it: {text}")
        if text.startswith("WRONGTYPE"):
            return InvalidArgument("the key holds something else than a value: another program wrote it")
        return Unavailable(f"{self.config.address} refused it: {text}")
