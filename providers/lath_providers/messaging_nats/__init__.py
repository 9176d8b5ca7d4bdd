"""The provider of wasmcloud:messaging on NATS."""

from lath_providers.messaging_nats.config import NatsSendingConfig, NatsTakingConfig
from lath_providers.messaging_nats.provider import MessagingNats

__all__ = ["MessagingNats", "NatsSendingConfig", "NatsTakingConfig"]
