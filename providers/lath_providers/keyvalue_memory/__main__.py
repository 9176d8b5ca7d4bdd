"""Runs the provider as a process: `python -m lath_providers.keyvalue_memory`."""

from lath_providers.keyvalue_memory.provider import KeyValueMemory

if __name__ == "__main__":
    KeyValueMemory.main()
