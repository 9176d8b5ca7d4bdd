"""What a backend of wasi:keyvalue has to do for one bucket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Store(Protocol):
    """One bucket. Keys are any strings, values any bytes.

    A `LathError` is told to the caller in the interface's own error type; `BackendLost` fails the link.
    """

    async def get(self, key: str) -> bytes | None:
        """The value of a key; None where there is none."""

    async def set(self, key: str, value: bytes) -> None:
        """Writes a value."""

    async def delete(self, key: str) -> None:
        """Deletes a key, whether or not it is there."""

    async def exists(self, key: str) -> bool:
        """Whether a key is there."""

    async def page(self, cursor: int | None) -> tuple[list[str], int | None]:
        """Some keys, and the cursor of the next page; None: these were the last."""

    async def increment(self, key: str, delta: int) -> int:
        """Adds to the number that a key holds, atomically, and returns the sum.

        Raises:
            InvalidArgument: It holds no number, or the sum does not fit 64 bits.
        """

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values of keys, in their order."""

    async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        """Writes several."""

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Deletes several."""
