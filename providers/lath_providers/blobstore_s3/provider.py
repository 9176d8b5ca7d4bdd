"""`BlobstoreS3`: wasi:blobstore on S3, with a client for each link."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from obstore.store import S3Store

from lath.errors import InvalidArgument
from lath.provider import Link
from lath_providers.blobstore.backend import BlobBackend
from lath_providers.blobstore.provider import BlobstoreProvider
from lath_providers.blobstore_s3.backend import S3Backend
from lath_providers.blobstore_s3.config import BlobstoreS3Config
from lath_providers.blobstore_s3.keys import Keys

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3Credential, S3CredentialProvider

CONNECT: Final = timedelta(seconds=5)
READ: Final = timedelta(seconds=10)
"""How long the server may send nothing. There is none for a whole request: a reader may take its time."""
WHOLE: Final = timedelta(days=7)
RETRIES_MAX: Final = 2
RETRY: Final = timedelta(seconds=10)
OPENING_MAX: Final = 4
"""Each client reads the system's certificates, which takes a thread some milliseconds."""
AWS: Final = "S3"


class BlobstoreS3(BlobstoreProvider):
    """wasi:blobstore on S3. Link config: `bucket`, `endpoint` and more, see `BlobstoreS3Config`."""

    async def start(self, config: Mapping[str, str]) -> None:
        if config:
            raise InvalidArgument(f"provider config: {', '.join(sorted(config))} is unknown; there is none")
        self._opening = asyncio.Semaphore(OPENING_MAX)

    async def open_link(self, link: Link) -> BlobBackend:
        config = link.config_as(BlobstoreS3Config)
        async with self._opening:
            store = await asyncio.to_thread(_client, config)
        keys = Keys(config.prefix, config.places(self.context.lattice, link))
        backend = S3Backend(store, keys, config.endpoint or AWS, config.part_bytes)
        del store
        await backend.check()
        return backend


def _client(config: BlobstoreS3Config) -> S3Store:
    """A client of its own. Blocks."""
    options: ClientConfig = {
        "allow_http": config.allow_http,
        "connect_timeout": CONNECT,
        "read_timeout": READ,
        "timeout": WHOLE,
    }
    if config.ca:
        options["root_certificate"] = _pem(config.ca)
    server: S3Config = {"bucket": config.bucket, "region": config.region}
    if config.endpoint:
        # also under the name that would be taken from the environment before `endpoint`
        server |= {"endpoint": config.endpoint, "aws_endpoint_url_s3": config.endpoint}
    return S3Store(
        virtual_hosted_style_request=not config.path_style,
        client_options=options,
        retry_config={"max_retries": RETRIES_MAX, "retry_timeout": RETRY},
        credential_provider=_credentials(config) if config.access_key_id else None,
        **server,
    )


def _credentials(config: BlobstoreS3Config) -> S3CredentialProvider:
    """Those of the config alone: the client would fill up what is not given from the environment."""
    given: S3Credential = {
        "access_key_id": config.access_key_id,
        "secret_access_key": config.secret_access_key,
        "token": config.session_token or None,
        "expires_at": None,
    }
    return lambda: given


def _pem(path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as e:
        raise InvalidArgument(f"link config: ca: {path}: {e}") from e
