"""One request that looks for a connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lath_host.outbound.addresses import Address
from lath_host.outbound.rules import Destination


@dataclass(slots=True)
class Attempt:
    """A request that looks for a connection.

    Attributes:
        destination: Where it goes to.
        permits: Whether it may go to an address.
        refused: Told of addresses of which none is permitted.
        waits_for: What to tell the guest, as a case of `error-code`, if its time is up now.
    """

    destination: Destination
    permits: Callable[[Address], bool]
    refused: Callable[[Sequence[Address]], None]
    waits_for: str = "connection-limit-reached"
