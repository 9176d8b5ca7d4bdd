"""Runs the provider as a process: `python -m lath_providers.messaging_nats`."""

from lath_providers.messaging_nats.provider import MessagingNats

if __name__ == "__main__":
    MessagingNats.main()
