"""The durable consumer behind a link from a stream: made, or brought to the link's config."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from lath.bus import Bus, jetstream
from lath.bus.jetstream import JetStreamError
from lath.errors import InvalidArgument, NotFound, Unavailable
from lath.provider import Link
from lath_providers.messaging_nats.config import NatsTakingConfig

ACK_PENDING_MAX: Final = 10_000
"""Messages that all instances together hold, or that wait for another try: above what instances take, and
bounded, so that a flood of messages that fail does not fill the server."""
_MS_NS: Final = 1_000_000
_DIGEST_CHARS: Final = 12
"""Enough that two links never share a consumer by chance."""


def consumer_name(config: NatsTakingConfig, link: Link, lattice: str) -> str:
    """The durable name: as configured, else one of the link's own, which a new instance finds again."""
    if config.consumer:
        return config.consumer
    digest = hashlib.sha256(f"{lattice}.{link.key}".encode()).hexdigest()[:_DIGEST_CHARS]
    return f"lath-{link.name[:40]}-{digest}"


async def ensure_consumer(bus: Bus, name: str, config: NatsTakingConfig) -> None:
    """Makes the consumer where it is missing; where it is there, gives it the link's settings.

    The server never gives up a message by itself (`max_deliver`): it would drop one whose provider died at
    the last delivery, and nobody would keep it as a dead letter.

    Raises:
        NotFound: There is no such stream.
        InvalidArgument: The server refuses: a subscription that is not the stream's, say.
        LathError: No answer, or no connection.
    """
    wanted: dict[str, Any] = {
        "name": name,
        "durable_name": name,
        "deliver_policy": config.start,
        "ack_policy": "explicit",
        "ack_wait": config.ack_wait_ms * _MS_NS,
        "max_deliver": -1,
        "max_ack_pending": ACK_PENDING_MAX,
        "filter_subjects": list(config.subscriptions),
        "replay_policy": "instant",
    }
    try:
        found = await _existing(bus, name, config)
        if found is not None:  # where it began cannot be changed
            wanted |= {
                key: found[key]
                for key in ("deliver_policy", "opt_start_seq", "opt_start_time")
                if key in found
            }
        await jetstream.call(
            bus,
            f"CONSUMER.CREATE.{config.stream}.{name}",
            {"stream_name": config.stream, "config": wanted, "action": ""},
        )
    except JetStreamError as e:
        if e.code == jetstream.STREAM_NOT_FOUND:
            raise NotFound(f"stream: there is no stream {config.stream} at {bus.url}: make it first") from e
        if e.code in jetstream.TEMPORARY:
            raise Unavailable(
                f"JetStream at {bus.url} cannot serve {config.stream} now: {e.description}"
            ) from e
        raise InvalidArgument(f"consumer {name} of stream {config.stream}: {e.description}") from e
    except Unavailable as e:
        raise Unavailable(f"the servers at {bus.url} have no JetStream for these credentials") from e


async def check_dead_letters(bus: Bus, subject: str) -> None:
    """Checks that a stream takes what is given up.

    Raises:
        NotFound: None does.
    """
    reply = await jetstream.call(bus, "STREAM.NAMES", {"subject": subject})
    if not reply.get("streams"):
        raise NotFound(f"dead_letter_subject: no stream at {bus.url} takes {subject}: make one first")


async def _existing(bus: Bus, name: str, config: NatsTakingConfig) -> dict[str, Any] | None:
    try:
        reply = await jetstream.call(bus, f"CONSUMER.INFO.{config.stream}.{name}")
    except JetStreamError as e:
        if e.code == jetstream.CONSUMER_NOT_FOUND:
            return None
        raise
    found: dict[str, Any] = reply["config"]
    return found
