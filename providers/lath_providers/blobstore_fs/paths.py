"""Names of containers and objects as names of files: reversibly, and never one that leads elsewhere.

Letters, digits, `-`, `_`, `.` stay, other bytes become `=XX`; so do the dots of `.` and `..`. A name that is
too long for a file is cut: before its last part come folders, whose names end in `=+`, as no other name does.
What the provider keeps for itself begins with `=` and a small letter.
"""

from __future__ import annotations

from typing import Final

from lath.errors import InvalidArgument
from lath.names import shown
from lath_providers.blobstore.escape import Escape

PART_CHARS: Final = 200
"""File systems take 255 bytes in a name."""
FOLDER_MARK: Final = "=+"
"""Ends the name of a folder that holds objects with long names."""
CREATED: Final = "=created"
"""A file in each container whose time says since when it is there."""
UNFINISHED: Final = "=unfinished"
"""The folder in the root where objects are written before they are moved to their names."""
LINKS: Final = "=links"
"""The folder in the root that has a folder for each link's own containers."""

_ESCAPE: Final = Escape("A-Za-z0-9_.-", "=")


def container_folder(name: str) -> str:
    """The name of a container's folder."""
    return _dotless(_ESCAPE.encode(name))


def object_parts(name: str) -> tuple[str, ...]:
    """The folders below the container's, and the file, of an object."""
    whole = _ESCAPE.encode(name)
    cut = [whole[at : at + PART_CHARS] for at in range(0, len(whole), PART_CHARS)]
    return (*(part + FOLDER_MARK for part in cut[:-1]), _dotless(cut[-1]))


def object_name(parts: tuple[str, ...]) -> str:
    """The object whose file lies there.

    Raises:
        InvalidArgument: No object's does: somebody else put it there.
    """
    name = _ESCAPE.decode("".join(part.removesuffix(FOLDER_MARK) for part in parts))
    if object_parts(name) != parts:
        raise InvalidArgument(f"{shown('/'.join(parts))} is no file of an object")
    return name


def _dotless(part: str) -> str:
    return part.replace(".", "=2E") if part in (".", "..") else part
