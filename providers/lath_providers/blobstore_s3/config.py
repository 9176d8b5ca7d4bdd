"""The config of a link to the blobstore provider on S3."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from lath.errors import InvalidArgument
from lath.names import shown
from lath_providers.blobstore.places import BlobstoreConfig
from lath_providers.urls import split_url

MIB: Final = 1024 * 1024
PART_BYTES_MIN: Final = 5 * MIB
"""S3 takes no smaller part, but for the last."""
PART_BYTES_MAX: Final = 512 * MIB

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_PREFIX: Final = re.compile(r"([A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*/)*\Z")


def _bucket(name: str) -> str:
    if not _BUCKET.match(name):
        raise InvalidArgument(f"{shown(name)} is no name of a bucket: use 3 to 63 of a-z 0-9 . -")
    return name


def _prefix(text: str) -> str:
    prefix = f"{text.strip('/')}/" if text.strip("/") else ""
    if not _PREFIX.match(prefix):
        raise InvalidArgument(f"{shown(text)} is no prefix of keys: use A-Z a-z 0-9 _ . - and single slashes")
    return prefix


class BlobstoreS3Config(BlobstoreConfig):
    """The target config of a link, beside what every one to a blobstore may say.

    Attributes:
        bucket: The bucket. It has to be there.
        prefix: What the keys of all containers begin with, such as `team/`; empty: nothing.
        allow_http: Whether `endpoint` may be `http://`, where anybody on the way can read along.
        endpoint: The URL of a server that is not AWS's own.
        region: The region that requests are signed for.
        access_key_id: With `secret_access_key`; both empty: what the provider's process has from its
            environment or its machine (AWS's usual variables, an instance's role).
        secret_access_key: With `access_key_id`.
        session_token: With both, where they are temporary.
        path_style: Whether the bucket stands in the path of the URL, as most servers want it, or in its
            host name.
        ca: A file of certificates (PEM) to trust beside the system's.
        part_bytes: Of an object that is written in parts; a write takes about three of them in memory.
    """

    bucket: Annotated[str, AfterValidator(_bucket)]
    prefix: Annotated[str, AfterValidator(_prefix)] = ""
    allow_http: bool = False
    endpoint: str = ""
    region: str = "us-east-1"
    access_key_id: str = ""
    secret_access_key: str = Field(default="", repr=False, validate_default=True)
    session_token: str = Field(default="", repr=False)
    path_style: bool = True
    ca: str = ""
    part_bytes: Annotated[int, Field(ge=PART_BYTES_MIN, le=PART_BYTES_MAX)] = 8 * MIB

    @field_validator("endpoint")
    @classmethod
    def _check_endpoint(cls, url: str, info: ValidationInfo) -> str:
        if not url:
            return url
        parts = split_url(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise InvalidArgument("the endpoint is no URL https://HOST or https://HOST:PORT")
        if parts.scheme == "http" and not info.data.get("allow_http"):
            raise InvalidArgument("the endpoint is http:// and not encrypted; allow_http=true allows it")
        return url.rstrip("/")

    @field_validator("secret_access_key")
    @classmethod
    def _check_secret(cls, secret: str, info: ValidationInfo) -> str:
        if bool(secret) != bool(info.data.get("access_key_id")):
            raise InvalidArgument("access_key_id and secret_access_key are given together, or neither")
        return secret
