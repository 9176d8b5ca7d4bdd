"""From a subject to the operation that it asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lath.errors import NotFound
from lath.names import shown
from lath_host.control import components, config, hosts, links, providers, registry, secrets
from lath_host.control.operation import Operation

OPERATIONS: Final[tuple[Operation, ...]] = (
    *hosts.OPERATIONS,
    *components.OPERATIONS,
    *providers.OPERATIONS,
    *links.OPERATIONS,
    *config.OPERATIONS,
    *registry.OPERATIONS,
    *secrets.OPERATIONS,
)
_TABLE: Final = {(operation.noun, operation.verb): operation for operation in OPERATIONS}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a subject asks for."""

    operation: Operation
    argument: str


def find(suffix: str) -> Asked:
    """The operation behind the part of a subject after the lattice, such as `host.get.NABC`.

    Raises:
        NotFound: There is none of that form.
    """
    tokens = suffix.split(".")
    operation = _TABLE.get((tokens[0], tokens[1])) if len(tokens) > 1 else None
    if operation is None or len(tokens) != (3 if operation.takes_argument else 2):
        raise NotFound(f"the control interface has nothing at {shown(suffix)}")
    return Asked(operation, tokens[2] if operation.takes_argument else "")
