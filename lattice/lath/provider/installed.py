"""The providers that are installed here: entry points of the group `lath.providers`, in any distribution.

Their names are those in `builtin:{name}`. Looking for them reads files, and importing them more: on an event
loop both belong into a thread.
"""

from __future__ import annotations

import importlib
import re
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from lath.errors import InvalidArgument, LathError, NotFound
from lath.names import shown
from lath.provider.base import Provider

ENTRY_POINTS: Final = "lath.providers"
_REQUIREMENT: Final = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*).*;.*\bextra\s*==\s*['\"]([^'\"]+)['\"]")


class InstalledProvider(BaseModel):
    """A provider that is installed here.

    Attributes:
        name: As in `builtin:{name}`.
        reference: Where its class is: `module:Class`.
        distribution: What brought it.
        interfaces: What it serves, with versions; empty where it cannot be imported.
        problem: Why it cannot be imported; None where it can.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    reference: str
    distribution: str
    interfaces: tuple[str, ...] = ()
    problem: str | None = None


def find_provider(name: str) -> type[Provider]:
    """The provider class of that name.

    Raises:
        NotFound: No installed distribution offers it; the message names those that are offered.
        InvalidArgument: What is offered is no provider, or cannot be imported; where a module is missing, the
            message says what to install.
    """
    offered = _offered()
    entry = offered.get(name)
    if entry is None:
        there = ", ".join(sorted(offered)) or "none"
        raise NotFound(f"no built-in provider is called {shown(name)}; installed are: {there}")
    return _load(entry)


def installed_providers() -> list[InstalledProvider]:
    """All that are installed, by name; each is imported to see whether it can be."""
    return [_described(entry) for _, entry in sorted(_offered().items())]


def _offered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


def _described(entry: EntryPoint) -> InstalledProvider:
    interfaces: tuple[str, ...] = ()
    problem = None
    try:
        interfaces = _load(entry).interfaces()
    except LathError as e:
        problem = e.message
    distribution = entry.dist.name if entry.dist is not None else ""
    return InstalledProvider(
        name=entry.name,
        reference=entry.value,
        distribution=distribution,
        interfaces=interfaces,
        problem=problem,
    )


def _load(entry: EntryPoint) -> type[Provider]:
    where = f"built-in provider {entry.name} ({entry.value})"
    try:
        found: Any = importlib.import_module(entry.module)
        for attribute in entry.attr.split("."):
            found = getattr(found, attribute)
    except ModuleNotFoundError as e:
        raise InvalidArgument(f"{where} cannot be imported: {e}{_remedy(entry, e.name or '')}") from None
    except (ImportError, AttributeError, LathError) as e:
        raise InvalidArgument(f"{where} cannot be imported: {e}") from None
    if not (isinstance(found, type) and issubclass(found, Provider)):
        raise InvalidArgument(f"{where} is no subclass of lath's Provider")
    return found


def _remedy(entry: EntryPoint, module: str) -> str:
    """What to install where a module is missing that an extra of the provider's distribution brings."""
    if entry.dist is None:
        return ""
    for requirement in entry.dist.requires or ():
        match = _REQUIREMENT.match(requirement)
        if match and _normal(match[1]) == _normal(module.partition(".")[0]):
            return f": pip install '{entry.dist.name}[{match[2]}]'"
    return ""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
