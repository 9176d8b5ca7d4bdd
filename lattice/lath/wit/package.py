"""A WIT package as descriptors: what `lath.wit.parser` gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from lath.wit.types import Interface, Type, World


@dataclass(frozen=True, slots=True)
class ResourceName:
    """A resource, told from all others by the interface that defines it."""

    name: str
    interface: str


Definition: TypeAlias = Type | ResourceName
"""What a name in an interface stands for."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package: its interfaces and worlds, by their bare names.

    Attributes:
        namespace: `wasi` of `wasi:keyvalue@0.2.0-draft`.
        name: `keyvalue` of it.
        version: `0.2.0-draft` of it; empty where it has none.
        interfaces: The interfaces; each carries its full name.
        worlds: The worlds.
        types: By interface, the types that it defines or uses, for the `use` of others.
    """

    namespace: str
    name: str
    version: str
    interfaces: Mapping[str, Interface]
    worlds: Mapping[str, World]
    types: Mapping[str, Mapping[str, Definition]]

    @property
    def unversioned(self) -> str:
        return f"{self.namespace}:{self.name}"

    def __str__(self) -> str:
        return f"{self.unversioned}@{self.version}" if self.version else self.unversioned
