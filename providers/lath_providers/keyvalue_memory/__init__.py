"""The provider of wasi:keyvalue in memory: a cache."""

from lath_providers.keyvalue_memory.config import KeyValueMemoryConfig
from lath_providers.keyvalue_memory.provider import KeyValueMemory

__all__ = ["KeyValueMemory", "KeyValueMemoryConfig"]
