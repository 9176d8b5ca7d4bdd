"""What a component may do with sockets, and what all guests of a host have open together."""

from __future__ import annotations

import resource
from typing import Final

from lath.telemetry import get_logger
from lath_host.engine.sockets.codes import SocketFailure
from lath_host.outbound.resolver import ComponentLookups
from lath_host.outbound.socket_rules import SocketRules

_log = get_logger(__name__)
HOST_SOCKETS_MAX: Final = 4096
"""Sockets that all guests of a host may have open."""
_FILES_SHARE: Final = 2
"""Of the files that this process may open, guests' sockets get one in so many."""
_DENIALS_TOLD_MAX: Final = 100
"""A component that tries every port must not fill the log."""


class SocketBudget:
    """What the guests of one host share.

    Args:
        sockets_max: Sockets that may be open at once; None: as many as the process has files for.

    Attributes:
        open: Sockets that are open.
    """

    def __init__(self, sockets_max: int | None = None) -> None:
        if sockets_max is None:
            files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            sockets_max = HOST_SOCKETS_MAX
            if files != resource.RLIM_INFINITY:
                sockets_max = min(sockets_max, files // _FILES_SHARE)
        self.open = 0
        self._sockets_max = sockets_max

    def check(self) -> None:
        """Raises SocketFailure where one more would be too many."""
        if self.open >= self._sockets_max:
            raise SocketFailure("new-socket-limit")


class Network:
    """The network, as far as one component is given it.

    Args:
        component: Its name, for the log.
        rules: What it may do.
        budget: What it shares with the host's others.
        lookups: Looks names up.
    """

    def __init__(
        self, component: str, rules: SocketRules, budget: SocketBudget, lookups: ComponentLookups
    ) -> None:
        self.component = component
        self.rules = rules
        self.budget = budget
        self.lookups = lookups
        self._told: set[str] = set()

    def close(self) -> None:
        """The component has ended."""
        self.lookups.close()

    def denied(self, what: str, pattern: str) -> SocketFailure:
        """The failure of something that no rule covers; the log tells it, once.

        Args:
            what: What was denied, in words.
            pattern: Which pattern would allow it.
        """
        if pattern not in self._told and len(self._told) < _DENIALS_TOLD_MAX:
            self._told.add(pattern)
            _log.warning(
                "a component was denied a socket", component=self.component, denied=what,
                allow_socket=pattern,
            )  # fmt: skip
        return SocketFailure("access-denied")
