"""Which containers a link reaches: its own, and those that its config shares."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict

from lath.provider import Link
from lath_providers.blobstore.backend import check_container_name

_DIGEST_CHARS: Final = 12
"""Enough that two links never share a place by chance."""
_READABLE_CHARS: Final = 20
"""Of an id in the name of a link's place: it is for people, the digest keeps links apart."""


def _containers(names: str) -> str:
    for name in listed(names):
        check_container_name(name)
    return names


def listed(names: str) -> frozenset[str]:
    """The names in a list that commas part."""
    return frozenset(filter(None, (part.strip() for part in names.split(","))))


class BlobstoreConfig(BaseModel):
    """What every link to a provider of wasi:blobstore may say. Unknown names are refused.

    Attributes:
        containers: Containers that are not the link's own, by their names, separated by commas: all links to
            the same backend that list them share them. Any other name is a container of this link alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    containers: Annotated[str, AfterValidator(_containers)] = ""

    def places(self, lattice: str, link: Link) -> Places:
        """Where the containers of a link are."""
        return Places(own_place(lattice, link), listed(self.containers))


@dataclass(frozen=True, slots=True)
class Places:
    """Where the containers of a link are.

    Attributes:
        own: The name of the place of the link's own containers: letters, digits, `-` and `_`, 60 at most.
        shared: The names of those that it shares with others.
    """

    own: str
    shared: frozenset[str] = frozenset()


def own_place(lattice: str, link: Link) -> str:
    """The place of a link's own containers: readable, and of that link alone."""
    whole = f"{lattice}.{link.target}.{link.source_id}.{link.name}"
    digest = hashlib.sha256(whole.encode()).hexdigest()[:_DIGEST_CHARS]
    # the digest stands first: so no place's name begins with another's
    return f"{digest}-{link.source_id[:_READABLE_CHARS]}-{link.name[:_READABLE_CHARS]}"
