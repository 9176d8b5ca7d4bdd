"""The keyvalue provider in memory passes the contract of keyvalue providers."""

from __future__ import annotations

from lath.provider import Provider
from lath.testing.keyvalue_contract import KeyValueContract
from lath.testing.memory_keyvalue import MemoryKeyValue


class TestMemoryKeyValue(KeyValueContract):
    def make_provider(self) -> Provider:
        return MemoryKeyValue()
