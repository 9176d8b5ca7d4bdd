"""A client of S3 for one link, with connections of its own."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from obstore.store import S3Store

from lath.errors import InvalidArgument
from lath_providers.blobstore_s3.config import BlobstoreS3Config

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3Credential, S3CredentialProvider

CONNECT: Final = timedelta(seconds=5)
READ: Final = timedelta(seconds=10)
"""How long the server may send nothing."""
WHOLE: Final = timedelta(days=7)
"""As good as no limit for a whole request, for which there has to be one: a reader may take its time."""
RETRIES_MAX: Final = 2
RETRY: Final = timedelta(seconds=10)


def make_client(config: BlobstoreS3Config) -> S3Store:
    """A client. Blocks, for some milliseconds: it reads the system's certificates.

    Raises:
        InvalidArgument: There is no such file of certificates.
    """
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
