"""What the host itself answers of a component's imports where no link does: config, logging and secrets.

A link for one of them wins: then its target answers, as for any other import.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from lath.names import InterfaceName
from lath.wit.types import Func
from lath_host.components import guest_config, guest_log, guest_secrets
from lath_host.components.guest_log import GuestLog
from lath_host.components.guest_secrets import GuestSecrets

OwnAnswer = Callable[[list[Any]], Any]
"""Answers one imported function: wire values in and out; raises `LathError`."""


def needs_no_link(interface: InterfaceName) -> bool:
    """Whether an imported interface is answered without a link."""
    return (
        guest_config.is_guest_config(interface)
        or guest_log.is_guest_log(interface)
        or guest_secrets.is_guest_secrets(interface)
    )


class OwnInterfaces:
    """The host's answers to one component.

    Args:
        config: The component's config as it stands now.
        log: Its log.
        secrets: Its secrets.
    """

    def __init__(self, config: Callable[[], Mapping[str, str]], log: GuestLog, secrets: GuestSecrets) -> None:
        self._config = config
        self._log = log
        self._secrets = secrets

    def find(self, interface: InterfaceName, function: str, func: Func) -> OwnAnswer | None:
        """What answers an imported function without a link; None: nothing does."""
        if guest_config.is_guest_config(interface):
            return partial(guest_config.answer, self._config, function, func)
        if guest_log.is_guest_log(interface):
            return partial(self._log.answer, function)
        if guest_secrets.is_guest_secrets(interface):
            return partial(self._secrets.answer, function)
        return None
