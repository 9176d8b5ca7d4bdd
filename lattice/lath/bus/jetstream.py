"""The few calls of JetStream's API that lath makes. Their subjects are NATS's own, so they stand here.

nats-py's JetStream context is not used: it asks `STREAM.INFO`, which a provider may not, names no consumer,
and learns of a refused permission only by timing out.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from lath.bus.connection import Bus
from lath.errors import Internal
from lath.subjects import ACK_REPLY_PREFIX

API: Final = "$JS.API."
FLOW_CONTROL_PREFIX: Final = "$JS.FC."
TIMEOUT_MS: Final = 5_000
"""For one request to JetStream: it answers in milliseconds, except while it elects a leader."""
CONSUMER_TIMEOUT_MS: Final = 2_500
"""Making a consumer is simply tried again: a request is lost while a cluster elects its leader."""

STREAM_NOT_FOUND: Final = 10059
MESSAGE_NOT_FOUND: Final = 10037
CONSUMER_NOT_FOUND: Final = 10014
STREAM_NAME_IN_USE: Final = 10058
WRONG_LAST_SEQUENCE: Final = frozenset({10071, 10164})
"""Compare-and-set refused; the second one is what a cluster says while another write is on its way."""
TEMPORARY: Final = frozenset({10005, 10008, 10009, 10118, 10023})
"""No peers yet, temporarily unavailable, no leader, stream offline, insufficient resources: ask again."""
HEADER_STATUS: Final = "Status"


class JetStreamError(Internal):
    """JetStream refused a request. `code` is its error code."""

    def __init__(self, code: int, description: str, subject: str) -> None:
        super().__init__(f"JetStream refused {subject}: {description} ({code})")
        self.code = code
        self.description = description


async def call(
    bus: Bus, subject: str, body: Mapping[str, Any] | None = None, *, timeout_ms: float = TIMEOUT_MS
) -> dict[str, Any]:
    """Makes one API call; `subject` without the `$JS.API.` prefix.

    Raises:
        JetStreamError: It was refused.
        LathError: What `Bus.request` raises.
    """
    data = json.dumps(body).encode() if body is not None else b""
    return checked(await bus.request(API + subject, data, timeout_ms=timeout_ms), subject)


async def publish(
    bus: Bus,
    subject: str,
    data: bytes,
    *,
    headers: Mapping[str, str] | None = None,
    timeout_ms: float = TIMEOUT_MS,
) -> int:
    """Writes to a stream and returns the sequence, once the stream has stored it.

    Raises:
        JetStreamError: The stream refused it.
        LathError: What `Bus.request` raises; `Unavailable` when no stream takes the subject.
    """
    return (await store(bus, subject, data, headers=headers, timeout_ms=timeout_ms)).sequence


@dataclass(frozen=True, slots=True)
class Stored:
    """What a stream says of a message that was sent to it.

    Attributes:
        stream: Which one took it.
        sequence: Its place there.
        duplicate: Whether it was there already, by its `Nats-Msg-Id`.
    """

    stream: str
    sequence: int
    duplicate: bool


async def store(
    bus: Bus,
    subject: str,
    data: bytes,
    *,
    headers: Mapping[str, str] | None = None,
    timeout_ms: float = TIMEOUT_MS,
) -> Stored:
    """As `publish`, with all that the stream says."""
    reply = checked(await bus.request(subject, data, headers=headers, timeout_ms=timeout_ms), subject)
    return Stored(str(reply.get("stream", "")), int(reply["seq"]), bool(reply.get("duplicate", False)))


def checked(msg: Any, subject: str) -> dict[str, Any]:
    """The reply's JSON, unless it says that the request was refused."""
    try:
        reply: dict[str, Any] = json.loads(msg.data)
    except ValueError:
        raise Internal(f"the reply of {subject} is not JSON: {msg.data[:100]!r}") from None
    error = reply.get("error")
    if error:
        raise JetStreamError(int(error.get("err_code", 0)), str(error.get("description", "")), subject)
    return reply


_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)\Z")


def nanoseconds(text: str) -> int:
    """Nanoseconds since the epoch of a RFC 3339 time, with all its digits (datetime has six)."""
    match = _TIME.match(text)
    if match is None:
        raise Internal(f"{text[:80]!r} is not a time")
    whole, fraction, zone = match.groups()
    moment = datetime.fromisoformat(whole + ("+00:00" if zone == "Z" else zone))
    return int(moment.timestamp()) * 1_000_000_000 + int((fraction or "").ljust(9, "0"))


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message as `STREAM.MSG.GET` gives it."""

    subject: str
    sequence: int
    created_ns: int
    data: bytes
    headers: dict[str, str]


def stored_message(reply: Mapping[str, Any]) -> StoredMessage:
    """Reads the reply of `STREAM.MSG.GET`."""
    message = reply["message"]
    headers = {}
    for line in b64decode(message.get("hdrs", "")).decode(errors="replace").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip()] = value.strip()
    return StoredMessage(
        subject=message["subject"],
        sequence=int(message["seq"]),
        created_ns=nanoseconds(message["time"]),
        data=b64decode(message.get("data", "")),
        headers=headers,
    )


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a consumer says of a message, in its reply subject.

    Attributes:
        deliveries: How often this consumer has delivered it, with this time.
        consumer_sequence: Counts what this consumer delivered, from 1: a gap means a loss.
        pending: How many messages it has yet to deliver.
    """

    stream: str
    consumer: str
    deliveries: int
    stream_sequence: int
    consumer_sequence: int
    created_ns: int
    pending: int


def delivery(reply: str) -> Delivery | None:
    """Reads `$JS.ACK.{stream}.{consumer}.…`, also the longer form with domain and account. None: neither."""
    tokens = reply.split(".")
    if tokens[:2] != ["$JS", "ACK"] or len(tokens) < 9:
        return None
    if len(tokens) > 9:
        del tokens[2:4]
    try:
        deliveries, stream_sequence, consumer_sequence, created_ns, pending = map(int, tokens[4:9])
    except ValueError:
        return None
    return Delivery(tokens[2], tokens[3], deliveries, stream_sequence, consumer_sequence, created_ns, pending)


def delivered_first(reply: str) -> bool:
    """Whether a message comes for the first time, told quickly; false also where that takes `delivery`."""
    tokens = reply.split(".", 9)
    return len(tokens) == 9 and tokens[4] == "1" and reply.startswith(ACK_REPLY_PREFIX)


def consumer_config(
    *, name: str, filter_subject: str, inbox: str, heartbeat_ms: int, inactive_ms: int
) -> dict[str, Any]:
    """A push consumer of the last message of each subject, and all that follow.

    Named, since permissions can scope only named ones; in memory, one replica, and gone by itself once
    nobody has listened for a while, since a provider may not delete it.
    """
    return {
        "name": name,
        "filter_subject": filter_subject,
        "deliver_subject": inbox,
        "deliver_policy": "last_per_subject",
        "ack_policy": "none",
        "replay_policy": "instant",
        "max_deliver": 1,
        "mem_storage": True,
        "num_replicas": 1,
        "flow_control": True,
        "idle_heartbeat": heartbeat_ms * 1_000_000,
        "inactive_threshold": inactive_ms * 1_000_000,
    }


async def create_consumer(bus: Bus, stream: str, config: Mapping[str, Any]) -> int:
    """Makes a consumer; returns how many messages it has to deliver first.

    Raises:
        JetStreamError: Refused; `STREAM_NOT_FOUND` while the bucket does not exist.
    """
    reply = await call(
        bus,
        f"CONSUMER.CREATE.{stream}.{config['name']}.{config['filter_subject']}",
        {"stream_name": stream, "config": config, "action": "create"},
        timeout_ms=CONSUMER_TIMEOUT_MS,
    )
    return int(reply.get("num_pending", 0))
