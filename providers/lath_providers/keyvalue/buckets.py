"""The names of buckets: what may be one, and the bucket of a link that names none."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator

from lath.errors import InvalidArgument
from lath.names import shown
from lath.provider import Link

OWN_BUCKET: Final = ("", "default")
"""The identifiers by which a component opens the bucket of its link."""

_BUCKET: Final = re.compile(r"[A-Za-z0-9_-]{1,200}\Z")
_DIGEST_CHARS: Final = 12
"""Enough that two links never share a bucket by chance."""


def bucket_name(name: str) -> str:
    """Returns `name` when it may name a bucket.

    Raises:
        InvalidArgument: Anything but 1 to 200 of the characters A-Z, a-z, 0-9, `_` and `-`.
    """
    if not _BUCKET.match(name):
        raise InvalidArgument(f"bucket {shown(name)} is not valid: use 1 to 200 of A-Z a-z 0-9 _ -")
    return name


def names_in(text: str) -> frozenset[str]:
    """The names in a list of them, separated by commas."""
    return frozenset(filter(None, (part.strip() for part in text.split(","))))


def _bucket_or_empty(name: str) -> str:
    return bucket_name(name) if name else name


def _buckets(text: str) -> str:
    for name in names_in(text):
        bucket_name(name)
    return text


BucketOrEmpty: TypeAlias = Annotated[str, AfterValidator(_bucket_or_empty)]
"""A bucket's name in a config, or nothing."""
Buckets: TypeAlias = Annotated[str, AfterValidator(_buckets)]
"""Several in a config, separated by commas."""


def default_bucket(lattice: str, link: Link) -> str:
    """The bucket of a link that names none: readable, and of that link alone.

    Ids may contain what joins them here, so the digest keeps apart what would read the same.
    """
    own = f"{lattice}.{link.target}.{link.source_id}.{link.name}"
    digest = hashlib.sha256(own.encode()).hexdigest()[:_DIGEST_CHARS]
    return f"kv-{link.source_id}-{link.name}-{digest}"
