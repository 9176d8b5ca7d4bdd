"""The provider of wasi:keyvalue on NATS KV."""

from lath_providers.keyvalue_nats.config import KeyValueNatsConfig
from lath_providers.keyvalue_nats.provider import KeyValueNats

__all__ = ["KeyValueNats", "KeyValueNatsConfig"]
