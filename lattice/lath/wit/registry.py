"""The WIT packages that this process knows: those shipped with lath, and those that were registered."""

from __future__ import annotations

from importlib import resources
from typing import Final

from lath.errors import Conflict, NotFound
from lath.names import InterfaceName, versions_compatible
from lath.wit.package import Package
from lath.wit.parser import parse
from lath.wit.types import Interface

_SUFFIX: Final = ".wit"
_FIRST: Final = ("wasi-io-", "wasmcloud-postgres-")
"""What other packages use that come with lath."""


class Registry:
    """Packages by name and version."""

    def __init__(self) -> None:
        self._packages: dict[str, Package] = {}
        self._texts: dict[str, str] = {}

    def register(self, text: str) -> Package:
        """Adds the package that `text` defines. It may use packages that are here already.

        Registering the same text again changes nothing.

        Raises:
            InvalidArgument: The text is not WIT; with line and column.
            Conflict: The package is here already, at that version, with another text.
        """
        package = parse(text, self._packages.values())
        name = str(package)
        if self._texts.setdefault(name, text) != text:
            raise Conflict(
                f"the WIT package {name} is registered with another text: give yours a version of its own"
            )
        self._packages.setdefault(name, package)
        return self._packages[name]

    def load(self, interface: str) -> Interface:
        """The interface of that name, of the version asked for or one compatible with it.

        Without a version, the latest.

        Raises:
            InvalidArgument: `interface` is not of the form `namespace:package/interface` or `…@1.2.3`.
            NotFound: No package here has it, or none at a fitting version; the message names both.
        """
        asked = InterfaceName.parse(interface)
        package_name = f"{asked.namespace}:{asked.package}"
        named = [package for package in self._packages.values() if package.unversioned == package_name]
        if not named:
            raise NotFound(
                f"the WIT package {package_name} is not known: register its text first "
                f"(lath.wit.register; --wit FILE of a command)"
            )
        having = [package for package in named if asked.interface in package.interfaces]
        if not having:
            has = ", ".join(sorted(named[-1].interfaces))
            raise NotFound(f"the WIT package {named[-1]} has no interface {asked.interface}; it has {has}")
        fitting = [each for each in having if versions_compatible(asked.version, each.version)]
        if not fitting:
            versions = ", ".join(package.version for package in having)
            raise NotFound(f"{asked.unversioned} is asked for at {asked.version}, and is known at {versions}")
        exact = [package for package in fitting if package.version == asked.version]
        return (exact or sorted(fitting, key=_age))[-1].interfaces[asked.interface]

    def packages(self) -> list[Package]:
        """All packages, in the order in which they came."""
        return list(self._packages.values())


def shipped() -> Registry:
    """A registry of the packages that come with lath."""
    registry = Registry()
    entries = resources.files("lath.wit").iterdir()
    for entry in sorted(entries, key=lambda entry: (not entry.name.startswith(_FIRST), entry.name)):
        if entry.name.endswith(_SUFFIX):
            registry.register(entry.read_text(encoding="utf-8"))
    return registry


def _age(package: Package) -> tuple[tuple[int, ...], bool, str]:
    """Sorts versions from the oldest on; a pre-release comes before its release."""
    numbers, hyphen, prerelease = package.version.partition("+")[0].partition("-")
    return tuple(int(part) for part in numbers.split(".") if part), not hyphen, prerelease
