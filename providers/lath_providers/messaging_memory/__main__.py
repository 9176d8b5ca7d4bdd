"""Runs the provider as a process: `python -m lath_providers.messaging_memory`."""

from lath_providers.messaging_memory.provider import MessagingMemory

if __name__ == "__main__":
    MessagingMemory.main()
