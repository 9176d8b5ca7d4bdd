"""The page of each provider names every field of the config of its links."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from lath_providers.blobstore_fs.config import BlobstoreFsConfig
from lath_providers.blobstore_memory.config import BlobstoreMemoryConfig
from lath_providers.blobstore_nats.config import BlobstoreNatsConfig
from lath_providers.blobstore_s3.config import BlobstoreS3Config
from lath_providers.http_server.config import HttpServerConfig
from lath_providers.keyvalue_memory.config import KeyValueMemoryConfig
from lath_providers.keyvalue_nats.config import KeyValueNatsConfig
from lath_providers.keyvalue_redis.config import KeyValueRedisConfig
from lath_providers.messaging_nats.config import NatsSendingConfig, NatsTakingConfig
from lath_providers.postgres.config import PostgresConfig
from lath_providers.schedule.config import ScheduleConfig

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("page", "model"),
    [
        ("blobstore", BlobstoreFsConfig),
        ("blobstore", BlobstoreMemoryConfig),
        ("blobstore", BlobstoreNatsConfig),
        ("blobstore", BlobstoreS3Config),
        ("http-server", HttpServerConfig),
        ("keyvalue-memory", KeyValueMemoryConfig),
        ("keyvalue-nats", KeyValueNatsConfig),
        ("keyvalue-redis", KeyValueRedisConfig),
        ("messaging", NatsSendingConfig),
        ("messaging", NatsTakingConfig),
        ("postgres", PostgresConfig),
        ("schedule", ScheduleConfig),
    ],
)
def test_a_page_names_every_field_and_the_model_refuses_any_other(page: str, model: type[BaseModel]) -> None:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    assert [name for name in model.model_fields if f"`{name}`" not in text] == []
    assert model.model_config.get("extra") == "forbid"
    assert model.model_config.get("frozen")
