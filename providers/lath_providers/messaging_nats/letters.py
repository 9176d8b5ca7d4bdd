"""Dead letters: messages that were given up, kept in a stream with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nats.aio.msg import Msg

from lath.bus import Bus, jetstream
from lath.bus.jetstream import Delivery

REASON: Final = "Lath-Dead-Reason"
"""Why: what the component returned, or how its call failed."""
SUBJECT: Final = "Lath-Dead-Subject"
"""The message's own."""
STREAM: Final = "Lath-Dead-Stream"
CONSUMER: Final = "Lath-Dead-Consumer"
SEQUENCE: Final = "Lath-Dead-Sequence"
"""Its place in the stream."""
DELIVERIES: Final = "Lath-Dead-Deliveries"
"""How often it was delivered."""
MSG_ID: Final = "Lath-Dead-Msg-Id"
"""Its own `Nats-Msg-Id`, where it had one."""

_MSG_ID: Final = "Nats-Msg-Id"
_SERVERS_OWN: Final = "nats-"
"""Headers that begin so tell a server what to do: expect a sequence, roll up. They are not passed on."""
_REASON_CHARS_MAX: Final = 1_000
_STORE_MS: Final = 5_000


async def keep(bus: Bus, subject: str, msg: Msg, delivery: Delivery, reason: str) -> None:
    """Stores a message as a dead letter; on return a stream has it.

    A second one of the same message is a duplicate to the stream (`Nats-Msg-Id`), while its window lasts.

    Raises:
        LathError: No stream has acknowledged it.
    """
    headers = _passed_on(msg.headers) | {
        REASON: _line(reason),
        SUBJECT: msg.subject,
        STREAM: delivery.stream,
        CONSUMER: delivery.consumer,
        SEQUENCE: str(delivery.stream_sequence),
        DELIVERIES: str(delivery.deliveries),
        _MSG_ID: f"dead.{delivery.consumer}.{delivery.stream_sequence}.{delivery.created_ns}",
    }
    await jetstream.publish(bus, subject, msg.data, headers=headers, timeout_ms=_STORE_MS)


def _passed_on(headers: Mapping[str, str] | None) -> dict[str, str]:
    given = dict(headers or {})
    kept = {name: value for name, value in given.items() if not name.lower().startswith(_SERVERS_OWN)}
    if _MSG_ID in given:
        kept[MSG_ID] = given[_MSG_ID]
    return kept


def _line(text: str) -> str:
    """As a header can carry it: one line, not endless."""
    return "".join(char if char.isprintable() else " " for char in text[:_REASON_CHARS_MAX]).strip()
