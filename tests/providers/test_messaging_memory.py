"""The messaging provider in memory: the contract of messaging providers."""

from __future__ import annotations

from lath.provider import Provider
from lath.testing.messaging_contract import MessagingContract
from lath_providers.messaging_memory import MessagingMemory


class TestMessagingMemory(MessagingContract):
    def make_provider(self) -> Provider:
        return MessagingMemory()
