"""The labels of a host: those it says of its machine, and those that operators set."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from typing import Final

from lath.errors import InvalidArgument
from lath.names import shown

RESERVED_PREFIX: Final = "hostcore."
"""Labels with this prefix are facts about the machine: nobody may set them."""
LABELS_MAX: Final = 256
"""A host's labels stand in every heartbeat and inventory, so that there may not be any number of them."""


def machine_labels() -> dict[str, str]:
    """What the host says of its machine: `hostcore.os`, `.osfamily`, `.arch`."""
    return {
        "hostcore.os": _os_name(),
        "hostcore.osfamily": "windows" if os.name == "nt" else "unix",
        "hostcore.arch": _arch_name(),
    }


def _os_name() -> str:
    return {"darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)


def _arch_name() -> str:
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)


class Labels:
    """The labels of one host.

    Args:
        given: Those that an operator sets.
        facts: What the host says of itself, beside `machine_labels`; without the prefix.
    """

    def __init__(
        self, given: Mapping[str, str] | None = None, facts: Mapping[str, str] | None = None
    ) -> None:
        self._machine = machine_labels()
        self._machine |= {RESERVED_PREFIX + key: value for key, value in (facts or {}).items()}
        self._given: dict[str, str] = {}
        for key, value in (given or {}).items():
            self.put(key, value)

    def put(self, key: str, value: str) -> None:
        """Sets a label.

        Raises:
            InvalidArgument: The key is empty or one of the machine's own, or there are too many.
        """
        self._check_own(key)
        if key not in self._given and len(self._given) >= LABELS_MAX:
            raise InvalidArgument(f"a host has at most {LABELS_MAX} labels: delete one first")
        self._given[key] = value

    def delete(self, key: str) -> None:
        """Removes a label; one that is not there is no error.

        Raises:
            InvalidArgument: The label is one of the machine's own.
        """
        self._check_own(key)
        self._given.pop(key, None)

    def _check_own(self, key: str) -> None:
        if not key or key.lower().startswith(RESERVED_PREFIX):
            raise InvalidArgument(f"label {shown(key)} cannot be set: {RESERVED_PREFIX}* are the machine's")

    def all(self) -> dict[str, str]:
        return {**self._given, **self._machine}

    def match(self, constraints: Mapping[str, str]) -> bool:
        """Whether this host has all labels that an auction asks for."""
        mine = self.all()
        return all(mine.get(key) == value for key, value in constraints.items())
