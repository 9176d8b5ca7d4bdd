"""Free ports for the servers that tests start, stop, and start again."""

from __future__ import annotations

import secrets
import socket
from typing import Final

_PORTS: Final = range(12_000, 20_000)
"""Below the range of outgoing connections: there, one could take the port while its server is down, and
a client that retries could connect to itself. Below `lath.server`'s too."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens at."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
