"""URLs in the configs of links: what is wrong with one is told without the password in it."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from lath.model import describe
from lath_providers.blobstore_s3 import BlobstoreS3Config
from lath_providers.keyvalue_redis import KeyValueRedisConfig
from lath_providers.postgres import PostgresConfig

PASSWORD = "s3cret-of-mine"


@pytest.mark.parametrize("wrong", [f"{PASSWORD}\u2100", f"{PASSWORD}[", f"{PASSWORD}/", f"{PASSWORD}#"])
@pytest.mark.parametrize(
    ("model", "field", "scheme"),
    [
        (KeyValueRedisConfig, "url", "redis"),
        (PostgresConfig, "url", "postgres"),
        (BlobstoreS3Config, "endpoint", "https"),
    ],
)
def test_a_url_that_is_none_is_refused_without_showing_its_password(
    model: type[BaseModel], field: str, scheme: str, wrong: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate({field: f"{scheme}://user:{wrong}@backend/0"})
    said = describe(caught.value)
    assert f"{field}: " in said
    assert PASSWORD not in said
