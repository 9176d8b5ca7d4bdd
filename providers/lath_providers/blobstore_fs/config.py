"""The config of a link to the blobstore provider on a file system."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator

from lath.errors import InvalidArgument
from lath.names import shown
from lath_providers.blobstore.places import BlobstoreConfig


def _absolute(path: str) -> str:
    if not PurePosixPath(path).is_absolute() or "\0" in path:
        raise InvalidArgument(f"{shown(path)} is no absolute path")
    return path


class BlobstoreFsConfig(BlobstoreConfig):
    """The target config of a link, beside what every one to a blobstore may say.

    Attributes:
        root: The folder that holds the containers, by its absolute path. It has to be there, so that a file
            system that is not mounted is noticed. Links with the same root share the containers that both
            list in `containers`.
    """

    root: Annotated[str, AfterValidator(_absolute)]
