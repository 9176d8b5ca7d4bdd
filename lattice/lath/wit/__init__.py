"""WIT: types as descriptors (`lath.wit.types`), parsed from text, shown as text, carried as JSON.

`load("wasi:keyvalue/store")` gives an interface that ships with lath, or that a provider's author registered
with `register(text)`.
"""

from __future__ import annotations

from typing import Final

from lath.wit.package import Package
from lath.wit.parser import parse
from lath.wit.registry import shipped
from lath.wit.text import render
from lath.wit.types import Interface

__all__ = ["Interface", "Package", "load", "packages", "parse", "register", "render"]


_registry: Final = shipped()
"""Read when this module is imported, in a few milliseconds, so that no event loop ever waits for it."""


def load(interface: str) -> Interface:
    """The interface of that name: `wasi:keyvalue/store`, or with a version that it must be compatible with.

    Raises:
        InvalidArgument: `interface` is not of that form.
        NotFound: No shipped or registered package has it, or none at a fitting version.
    """
    return _registry.load(interface)


def register(text: str) -> Package:
    """Makes a package known to `load`, for this process. Its text may `use` packages known already.

    Raises:
        InvalidArgument: The text is not WIT; with line and column.
        Conflict: The package is known already, at that version, with another text.
    """
    return _registry.register(text)


def packages() -> list[Package]:
    """All packages known to this process."""
    return _registry.packages()
