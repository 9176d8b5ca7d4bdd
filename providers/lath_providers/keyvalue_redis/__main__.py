"""Runs the provider as a process: `python -m lath_providers.keyvalue_redis`."""

from lath_providers.keyvalue_redis.provider import KeyValueRedis

if __name__ == "__main__":
    KeyValueRedis.main()
