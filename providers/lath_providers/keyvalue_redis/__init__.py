"""The provider of wasi:keyvalue on Redis. What needs the extra `redis` is imported as it starts."""

from lath_providers.keyvalue_redis.config import KeyValueRedisConfig
from lath_providers.keyvalue_redis.provider import KeyValueRedis

__all__ = ["KeyValueRedis", "KeyValueRedisConfig"]
