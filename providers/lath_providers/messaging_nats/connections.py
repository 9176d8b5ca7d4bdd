"""Connections to NATS, shared by the links that name the same servers and credentials.

A thousand links to one server are one connection: NATS carries any number of subscriptions on one, and each
has a queue of its own in the client. A connection is closed when the last link lets go of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from lath import subjects
from lath.bus import Bus, Credentials, jetstream
from lath.bus.jetstream import JetStreamError
from lath.errors import LathError, NotConnected, Unavailable
from lath.provider import ProviderContext
from lath_providers.nats_servers import CONNECT_MS

LOOK_MS: Final = 5_000
"""How long to ask whether a lattice lives there."""

Key: TypeAlias = tuple[str, Credentials]


@dataclass(slots=True)
class _Shared:
    """A connection, or one that is being made.

    Attributes:
        users: How many hold it, or wait for it.
    """

    opening: asyncio.Task[Connection]
    users: int = 0


@dataclass(eq=False, slots=True)
class Connection:
    """What links share.

    Attributes:
        key: Servers and credentials.
        bus: The connection.
        guarded: Whether it is also the lattice's own bus, however its URL is spelled.
        on_lost: Called with the reason when the connection breaks, by whom it is for.
    """

    key: Key
    bus: Bus
    guarded: bool
    on_lost: dict[object, Callable[[str], None]] = field(default_factory=dict)

    def lost(self) -> None:
        """Tells everybody that it broke."""
        for callback in tuple(self.on_lost.values()):
            callback(f"the connection to {self.bus.url} is lost")


class Connections:
    """The connections of one provider instance.

    Args:
        context: Where the provider runs.
    """

    def __init__(self, context: ProviderContext) -> None:
        self._context = context
        self._shared: dict[Key, _Shared] = {}

    async def acquire(self, url: str, credentials: Credentials) -> Connection:
        """The connection to some servers; `release` it in the end.

        Args:
            url: The servers; empty: the lattice's own.
            credentials: What to show them.

        Raises:
            NotConnected: They cannot be reached, or are just lost.
            LathError: As `Bus.connect`.
        """
        key = (url or self._context.nats_url, credentials)
        shared = self._shared.get(key)
        if shared is None:
            opening = asyncio.create_task(self._open(key), name="connect for messaging")
            shared = self._shared[key] = _Shared(opening)
        shared.users += 1
        try:
            connection = await asyncio.shield(shared.opening)
            if not connection.bus.connected:
                raise NotConnected(f"the connection to {connection.bus.url} is lost, reconnecting")
        except BaseException:
            await self._leave(key, shared)
            raise
        return connection

    async def release(self, connection: Connection) -> None:
        """Lets go of a connection that was acquired."""
        shared = self._shared.get(connection.key)
        if shared is not None:
            await self._leave(connection.key, shared)

    async def _leave(self, key: Key, shared: _Shared) -> None:
        shared.users -= 1
        if shared.users > 0:
            return
        if self._shared.get(key) is shared:
            del self._shared[key]
        shared.opening.cancel()
        await asyncio.wait({shared.opening})
        if not shared.opening.cancelled() and shared.opening.exception() is None:
            await shared.opening.result().bus.close()

    async def _open(self, key: Key) -> Connection:
        url, credentials = key
        bus = await Bus.connect(
            url,
            lattice=self._context.lattice,
            name=f"lath-messaging {self._context.provider_id}",
            credentials=credentials,
            connect_timeout_ms=CONNECT_MS,
        )
        try:
            connection = Connection(key, bus, await _holds_lattice(bus))
        except BaseException:
            await bus.close()
            raise
        bus.on_disconnect(connection.lost)
        return connection


async def _holds_lattice(bus: Bus) -> bool:
    """Whether the lattice's links are kept there. Who may not ask is taken to be on the lattice's bus."""
    try:
        await jetstream.call(bus, f"STREAM.INFO.{subjects.stream('links', bus.lattice)}", timeout_ms=LOOK_MS)
    except JetStreamError as e:
        return e.code != jetstream.STREAM_NOT_FOUND
    except Unavailable:
        return False  # no JetStream, so no lattice
    except NotConnected:
        raise
    except LathError:
        return True
    return True
