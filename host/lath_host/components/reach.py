"""What the guests of a component find around them, and whom they reach, as its settings say."""

from __future__ import annotations

from lath.telemetry import get_logger
from lath_host.components.deployment import Deployment
from lath_host.components.parts import ComponentParts
from lath_host.engine.sockets.network import Network
from lath_host.engine.surroundings import Surroundings
from lath_host.outbound.client import OutgoingClient
from lath_host.outbound.resolver import ComponentLookups
from lath_host.outbound.socket_rules import SocketRules
from lath_host.outbound.ways import NO_CLIENT

_log = get_logger(__name__)


class Reach:
    """Their environment, their HTTP client and their sockets. Close it after the last guest.

    Args:
        parts: What the component shares with the host's others.
        deployment: With its settings.

    Attributes:
        surroundings: As its guests are given them.

    Raises:
        InvalidArgument: A pattern cannot be read.
    """

    def __init__(self, parts: ComponentParts, deployment: Deployment) -> None:
        settings, sockets = deployment.settings, parts.engine.sockets
        self._outgoing = OutgoingClient(deployment.id, settings.allowed_hosts, parts.ways, sockets)
        self._network = Network(
            deployment.id,
            SocketRules(settings.allowed_sockets),
            sockets,
            ComponentLookups(parts.ways.resolver),
        )
        self.surroundings = Surroundings(
            env=tuple(settings.env.items()), outbound=self._outgoing, sockets=self._network
        )
        if settings.allowed_hosts and not parts.ways.installed:
            _log.warning("component cannot send requests", component_id=deployment.id, reason=NO_CLIENT)

    async def close(self) -> None:
        """Closes every connection."""
        await self._outgoing.close()
        self._network.close()
