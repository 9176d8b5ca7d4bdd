"""One call's hold on a link: while it lasts, what the link holds is not closed under the call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from lath.errors import LathError
from lath.model import Link


class LinkUse:
    """Used as `with use:` around the call, whose awaiting stands under `use.until(deadline)`.

    Attributes:
        link: The link as it was opened.
        held: What `open_link` returned.
    """

    __slots__ = ("_ended", "_leave", "_lent_end", "_scope", "held", "link")

    def __init__(self, link: Link, held: Any, leave: Callable[[LinkUse], None]) -> None:
        self.link = link
        self.held = held
        self._leave = leave
        self._scope: asyncio.Timeout | None = None
        self._ended: LathError | None = None
        self._lent_end: Callable[[LathError], None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave(self)
        if self._ended is not None and isinstance(error, TimeoutError) and self._scope_expired():
            raise self._ended from None

    def until(self, deadline: float | None) -> asyncio.Timeout:
        """The time-out (loop time) that the call runs under; `end` brings it forward."""
        if self._scope is None:
            self._scope = asyncio.timeout_at(0.0 if self._ended else deadline)
        return self._scope

    @property
    def ended(self) -> bool:
        """Whether the link was closed under the call."""
        return self._ended is not None

    def end(self, error: LathError) -> None:
        """Ends the call that uses the link: it fails with `error`."""
        self._ended = error
        if self._lent_end is not None:
            self._lent_end(error)
        elif self._scope is not None and not self._scope.expired():
            self._scope.reschedule(asyncio.get_running_loop().time())

    def lend(self, end: Callable[[LathError], None]) -> None:
        """The call has its answer, and a stream goes on: from now on `end` is what ends it."""
        self._lent_end = end
        if self._ended is not None:
            end(self._ended)

    def _scope_expired(self) -> bool:
        return self._scope is not None and self._scope.expired()
