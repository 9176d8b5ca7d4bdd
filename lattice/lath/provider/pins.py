"""What lives in one instance of a provider, and the handles by which callers reach it there.

A `@resource` is bytes that any replica can go on from. What cannot leave its instance, such as a transaction
on a connection, is pinned: its handle names the instance, as a handle of a component's resource does. Calls
with it come to that instance; whoever holds it renews its lease, and tells when it is dropped.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from lath import subjects, telemetry
from lath.codec import COMPONENT_RESOURCE, ComponentHandle, Resource
from lath.codec.handles import TOKEN_BYTES, parse_tokens
from lath.errors import InvalidArgument, NotFound

T = TypeVar("T")
End = Callable[[], Awaitable[None]]

LEASE_SECONDS: Final = 30
"""How long a handle lives without a call or a renewal: holders renew it every ten seconds."""

_log = telemetry.get_logger("lath.provider")


class _Pin:
    """Something that is pinned.

    Attributes:
        value: It.
        end: What ends it.
        lease_seconds: How long it is kept without a call or a renewal.
        lease: Runs out after that.
    """

    __slots__ = ("end", "lease", "lease_seconds", "value")

    def __init__(self, value: Any, end: End, lease_seconds: int) -> None:
        self.value = value
        self.end = end
        self.lease_seconds = lease_seconds
        self.lease: asyncio.TimerHandle | None = None


class Pins:
    """What is pinned in one instance.

    Args:
        provider_id: What links name.
        instance_id: The instance.
    """

    def __init__(self, provider_id: str, instance_id: str) -> None:
        self._provider_id = provider_id
        self._instance_id = instance_id
        self._pinned: dict[bytes, _Pin] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._pinned)

    @property
    def notices(self) -> dict[str, Callable[[bytes], None]]:
        """What takes what holders tell (`CallServer`)."""
        return {subjects.RENEW_FUNCTION: self._renew_all, subjects.RELEASE_FUNCTION: self._release_all}

    def pin(self, value: Any, end: End, *, lease_seconds: int = LEASE_SECONDS) -> Resource:
        """Keeps `value`, and returns the handle of it: an operation's result.

        Args:
            value: What the handle stands for.
            end: Called once when nobody holds the handle any more, and at the instance's end; not after
                `unpin`.
            lease_seconds: How long it is kept without a call or a renewal.
        """
        token = secrets.token_bytes(TOKEN_BYTES)
        handle = ComponentHandle(self._provider_id, self._instance_id, token, lease_seconds)
        self._pinned[token] = _Pin(value, end, lease_seconds)
        self._renew(token)
        return Resource(bytes(handle.to_wire().data), COMPONENT_RESOURCE)

    def find(self, handle: Resource, kind: type[T]) -> T:
        """What a handle stands for; its lease begins anew.

        Raises:
            InvalidArgument: It is no such handle, or stands for something else than a `kind`.
            NotFound: What it stood for is gone.
        """
        token = self._token(handle)
        pin = self._pinned.get(token)
        if pin is None:
            raise NotFound(
                f"the {kind.__name__.lower()} is not known to {self._provider_id}: it has ended, its lease "
                "has expired, or the instance that it lived in is gone"
            )
        if not isinstance(pin.value, kind):
            raise InvalidArgument(f"the handle stands for something else than a {kind.__name__}")
        self._renew(token)
        return pin.value

    def unpin(self, handle: Resource) -> None:
        """Forgets what a handle stands for, which has ended otherwise. Doing it twice is fine."""
        self._forget(self._token(handle))

    async def close(self) -> None:
        """Ends all that is pinned."""
        for token in list(self._pinned):
            self._release(token)
        if self._ending:
            await asyncio.wait(self._ending)

    # --- inside --------------------------------------------------------------------------------------

    def _token(self, handle: Resource) -> bytes:
        if handle.extension != COMPONENT_RESOURCE:
            raise InvalidArgument(f"the handle is not one that an instance of {self._provider_id} gave")
        parsed = ComponentHandle.parse(handle.data)
        if (parsed.component, parsed.instance) != (self._provider_id, self._instance_id):
            raise NotFound(
                f"the handle lives in instance {parsed.instance} of {parsed.component}, "
                f"not in {self._instance_id} of {self._provider_id}"
            )
        return parsed.token

    def _renew(self, token: bytes) -> None:
        pin = self._pinned.get(token)
        if pin is not None:
            if pin.lease is not None:
                pin.lease.cancel()
            pin.lease = asyncio.get_running_loop().call_later(pin.lease_seconds, self._release, token)

    def _renew_all(self, data: bytes) -> None:
        for token in parse_tokens(data):
            self._renew(token)

    def _release_all(self, data: bytes) -> None:
        for token in parse_tokens(data):
            self._release(token)

    def _forget(self, token: bytes) -> _Pin | None:
        pin = self._pinned.pop(token, None)
        if pin is not None and pin.lease is not None:
            pin.lease.cancel()
        return pin

    def _release(self, token: bytes) -> None:
        pin = self._forget(token)
        if pin is None:
            return
        task = asyncio.create_task(self._end(pin), name=f"end what {self._provider_id} has pinned")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end(self, pin: _Pin) -> None:
        try:
            await pin.end()
        except Exception:
            _log.exception("what was pinned could not be ended properly", provider=self._provider_id)
