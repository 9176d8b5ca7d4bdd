"""`BlobstoreFs`: wasi:blobstore on a file system."""

from __future__ import annotations

from collections.abc import Mapping

from lath.errors import InvalidArgument
from lath.provider import Link
from lath_providers.blobstore.backend import BlobBackend
from lath_providers.blobstore.provider import BlobstoreProvider
from lath_providers.blobstore_fs.backend import FsBackend
from lath_providers.blobstore_fs.config import BlobstoreFsConfig
from lath_providers.blobstore_fs.threads import Threads
from lath_providers.blobstore_fs.tree import Tree


class BlobstoreFs(BlobstoreProvider):
    """wasi:blobstore on a file system. Link config: `root`, `containers`, see `BlobstoreFsConfig`."""

    async def start(self, config: Mapping[str, str]) -> None:
        if config:
            raise InvalidArgument(f"provider config: {', '.join(sorted(config))} is unknown; there is none")
        self._threads = Threads()

    async def stop(self) -> None:
        self._threads.close()

    async def open_link(self, link: Link) -> BlobBackend:
        config = link.config_as(BlobstoreFsConfig)
        tree = Tree(config.root, config.places(self.context.lattice, link))
        backend = FsBackend(tree, self._threads)
        await backend.check()
        await self._threads.run(tree.sweep)
        return backend
