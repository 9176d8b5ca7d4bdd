"""The provider of wasi:keyvalue on NATS KV."""

from lath_providers.keyvalue_nats.config import KeyValueNatsConfig, default_bucket
from lath_providers.keyvalue_nats.provider import Bucket, KeyValueNats

__all__ = ["Bucket", "KeyValueNats", "KeyValueNatsConfig", "default_bucket"]
