"""Handles whose resource lives in the component itself, told apart from those of what it imports."""

from __future__ import annotations

from dataclasses import dataclass

from lath.wit.types import Handle


@dataclass(frozen=True, slots=True)
class ExportedHandle(Handle):
    """A handle of a resource that the component itself exports, which lives in one of its instances.

    A component may import and export the same interface, so that the names alone do not tell.
    """
