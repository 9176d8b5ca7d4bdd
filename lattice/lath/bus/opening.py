"""Opens a client: tries for a limited time at first, and from then on never gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from nats import errors as nats_errors

from lath.bus.callbacks import ended
from lath.bus.client import RECONNECT_WAIT_MIN_S, BusClient, choose_server
from lath.errors import InvalidArgument, NotConnected, PermissionDenied

PING_INTERVAL_S: Final = 5
PINGS_OUTSTANDING_MAX: Final = 2
"""As the server's settings: a dead connection is noticed within 15 s."""


async def open_client(
    client: BusClient, url: str, *, timeout_ms: int, why: Callable[[], str], **options: Any
) -> None:
    """Connects a client, or closes it.

    Args:
        client: A new one.
        url: For messages: without passwords.
        timeout_ms: How long to try.
        why: The last error that the client reported.
        options: For nats-py's `connect`.

    Raises:
        NotConnected: No server could be reached in time.
        PermissionDenied: A server refused the credentials.
        InvalidArgument: The URL is malformed.
    """
    refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    client.on_refused = lambda reason: None if refused.done() else refused.set_result(reason)
    connecting = asyncio.ensure_future(
        client.connect(
            connect_timeout=max(1, timeout_ms // 1000),
            reconnect_time_wait=RECONNECT_WAIT_MIN_S,  # type: ignore[arg-type]  # a float will do
            max_reconnect_attempts=-1,
            reconnect_to_server_handler=choose_server,
            ping_interval=PING_INTERVAL_S,
            max_outstanding_pings=PINGS_OUTSTANDING_MAX,
            **options,
        )
    )
    try:
        waited: set[asyncio.Future[Any]] = {connecting, refused}
        await asyncio.wait(waited, timeout=timeout_ms / 1000, return_when=asyncio.FIRST_COMPLETED)
        if refused.done():
            raise PermissionDenied(f"{url} refused the credentials: {refused.result()}")
        if not connecting.done():
            reason = f": {why()}" if why() else ""
            raise NotConnected(f"no NATS server at {url} answered within {timeout_ms} ms{reason}")
        connecting.result()
    except nats_errors.Error as e:
        raise InvalidArgument(f"cannot connect to {url!r}: {e}") from e
    finally:
        if not client.is_connected or not connecting.done():
            await ended(connecting)
            await client.close()
        refused.cancel()
        client.on_refused = None
