"""The provider of wasmcloud:messaging in memory."""

from lath_providers.messaging_memory.provider import MessagingMemory

__all__ = ["MessagingMemory"]
