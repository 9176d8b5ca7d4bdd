"""What the guests of one component are given from outside: an environment, arguments, ways to others."""

from __future__ import annotations

from dataclasses import dataclass

from lath_host.engine.http.messages import HttpClient
from lath_host.engine.sockets.network import Network


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a component's guests find around them. They keep it for life: another one takes other instances.

    Attributes:
        env: Their environment: (name, value) in the order in which they see it.
        args: Their arguments, the program's name first.
        outbound: Sends their HTTP requests; None: they are denied.
        sockets: What they may do with sockets; None: they have none.
    """

    env: tuple[tuple[str, str], ...] = ()
    args: tuple[str, ...] = ()
    outbound: HttpClient | None = None
    sockets: Network | None = None
