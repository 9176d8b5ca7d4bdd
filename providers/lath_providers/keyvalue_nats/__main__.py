"""Runs the provider as a process: `python -m lath_providers.keyvalue_nats`."""

from lath_providers.keyvalue_nats.provider import KeyValueNats

if __name__ == "__main__":
    KeyValueNats.main()
