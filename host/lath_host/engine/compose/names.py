"""What a bridge and a keeper call the functions and types that they add beside those of the component."""

from __future__ import annotations

import hashlib
from typing import Final, Literal

BRIDGE_VERSION: Final = 15
"""Goes up when bridges or keepers come out differently, so that compiled ones are told apart."""
RESERVED: Final = "lath-bytes-"
"""What every name that a bridge adds begins with; a component with such a name of its own is not bridged."""
TYPE_PREFIX: Final = f"{RESERVED}type"
NUMBERS: Final = "lath-numbers-"
"""What every name that a keeper adds begins with; a component with such a name of its own gets none."""
NUMBERS_TYPE_PREFIX: Final = f"{NUMBERS}type"
TOLD_NAME: Final = f"{NUMBERS}told"
"""The import by which the host hears of what was put off, where no other call brings it: (log) -> ()."""
SETTLE_NAME: Final = f"{NUMBERS}settle"
"""What has a keeper tell: () -> ()."""
_DIGEST_CHARS: Final = 24


def bridged_name(direction: Literal["export", "import"], interface: str, function: str) -> str:
    """Under which name the world has the bridged twin of a function. It depends on nothing else."""
    return f"{RESERVED}{direction}-h{_digest(interface, function)}"


def numbered_name(direction: Literal["export", "import"], interface: str, function: str) -> str:
    """Under which name the world has a function in which handles cross as numbers."""
    return f"{NUMBERS}{direction}-h{_digest(interface, function)}"


def drop_name(interface: str, resource: str) -> str:
    """Under which name the world has the function that drops a handle of an exported resource."""
    return f"{RESERVED}drop-h{_digest(interface, resource)}"


def _digest(interface: str, item: str) -> str:
    return hashlib.sha256(f"{interface}\0{item}".encode()).hexdigest()[:_DIGEST_CHARS]
