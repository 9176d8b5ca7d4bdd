"""Containers and objects as keys of one bucket.

An object has the key `{prefix}{container}/{name}`, its name as it is wherever S3 and its client can carry it.
What they cannot becomes `=XX`: control characters, `=` itself, and the parts between slashes that are empty
(`=`), `.` or `..`. What the provider keeps for itself begins with `=` and a small letter.
"""

from __future__ import annotations

import re
from typing import Final

from lath.errors import InvalidArgument
from lath.names import shown
from lath_providers.blobstore.escape import Escape
from lath_providers.blobstore.places import Places

KEY_BYTES_MAX: Final = 1_024
"""S3's limit."""
CREATED: Final = "=created"
"""An object in each container whose time says since when it is there."""
EMPTY: Final = "=empty"
"""The empty name: `=` alone would be what the keys of others begin with, which not every server allows."""
LINKS: Final = "=links"
"""What the keys of links' own containers begin with."""

_NAME: Final = Escape(r"\x20-\x3c\x3e-\x7e\x80-\xff", "=")
_CONTAINER: Final = Escape("A-Za-z0-9_.-", "=")
_DOTS: Final = re.compile(r"\.{1,2}\Z")


class Keys:
    """The keys of a link.

    Args:
        prefix: What they all begin with, a slash at its end.
        places: Where the link's containers are.
    """

    def __init__(self, prefix: str, places: Places) -> None:
        self._prefix = prefix
        self._places = places

    def folder(self, container: str) -> str:
        """What the keys of a container begin with, without the slash."""
        own = "" if container in self._places.shared else f"{LINKS}/{self._places.own}/"
        return f"{self._prefix}{own}{_dotless(_CONTAINER.encode(container))}"

    def created(self, container: str) -> str:
        """The key of the object that says since when a container is there."""
        return f"{self.folder(container)}/{CREATED}"

    def key(self, container: str, name: str) -> str:
        """The key of an object.

        Raises:
            InvalidArgument: It is too long.
        """
        key = f"{self.folder(container)}/{_encoded(name)}"
        length = len(key.encode())
        if length > KEY_BYTES_MAX:
            raise InvalidArgument(
                f"the key of object {shown(name)} takes {length} bytes; S3 takes {KEY_BYTES_MAX}"
            )
        return key

    def name(self, container: str, key: str) -> str | None:
        """The object of a key of a container; None where it is no object's."""
        encoded = key[len(self.folder(container)) + 1 :]
        if encoded == EMPTY:
            return ""
        try:
            name = "/".join(_NAME.decode(part) for part in encoded.split("/"))
        except InvalidArgument:
            return None
        return name if _encoded(name) == encoded else None


def _encoded(name: str) -> str:
    if not name:
        return EMPTY
    return "/".join(_dotless(_NAME.encode(part)) for part in name.split("/"))


def _dotless(part: str) -> str:
    return part.replace(".", "=2E") if _DOTS.match(part) else part
