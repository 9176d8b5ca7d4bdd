"""`BlobstoreMemory`: wasi:blobstore in the memory of one provider instance, for tests and caches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lath.errors import InvalidArgument
from lath.model import describe
from lath.provider import Link
from lath_providers.blobstore.backend import BlobBackend
from lath_providers.blobstore.provider import BlobstoreProvider
from lath_providers.blobstore_memory.backend import Memory, MemoryBackend
from lath_providers.blobstore_memory.config import BlobstoreMemoryConfig

BYTES_MAX: Final = 256 * 1024 * 1024
"""A component that writes on and on must not take a host's memory."""


class BlobstoreMemorySettings(BaseModel):
    """The provider's own config, given when it is started.

    Attributes:
        bytes_max: Of all objects of all links together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes_max: int = Field(default=BYTES_MAX, ge=0)


class BlobstoreMemory(BlobstoreProvider):
    """wasi:blobstore in memory. Link config: `containers`, see `BlobstoreMemoryConfig`.

    The objects live as long as the instance, through purges and changed links, and no longer.
    """

    async def start(self, config: Mapping[str, str]) -> None:
        try:
            settings = BlobstoreMemorySettings.model_validate(dict(config))
        except ValidationError as e:
            raise InvalidArgument(f"provider config: {describe(e)}") from None
        self._memory = Memory(settings.bytes_max)

    async def open_link(self, link: Link) -> BlobBackend:
        config = link.config_as(BlobstoreMemoryConfig)
        return MemoryBackend(self._memory, config.places(self.context.lattice, link))
