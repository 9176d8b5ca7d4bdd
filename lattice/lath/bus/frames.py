"""Messages of the NATS protocol, read and written: what nats-py does for each message, in half the time.

A message costs nats-py seven microseconds to read and two to write, as much as a warm call of a component:
regular expressions over a buffer that shrinks, three coroutines, a dictionary of headers, stripped and
checked. Here whole messages are read in place. What is not usual (another command, a message in pieces, a
header that calls do not have) is left to nats-py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from nats.aio.msg import Msg
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

from lath import subjects
from lath.bus.sink import Sink

if TYPE_CHECKING:
    from nats.aio.client import Client

_MSG: Final = re.compile(rb"MSG[ \t]+(\S+)[ \t]+(\d+)(?:[ \t]+(\S+))?()[ \t]+(\d+)\r\n")
_HMSG: Final = re.compile(rb"HMSG[ \t]+(\S+)[ \t]+(\d+)(?:[ \t]+(\S+))?[ \t]+(\d+)[ \t]+(\d+)\r\n")
"""Subject, subscription, reply subject, bytes of headers, bytes of headers and payload."""
_KEPT_BYTES_MAX: Final = 65_536
"""An unfinished message of this size at most is read again with what follows it; to a larger one nats-py adds
without looking at it again."""
_HEADERS: Final = {
    name.encode(): name
    for name in (
        subjects.HEADER_CALL,
        subjects.HEADER_NEAR,
        subjects.HEADER_TRACEPARENT,
        subjects.HEADER_TRACESTATE,
        subjects.HEADER_ERROR,
        subjects.HEADER_SERVICE_ERROR,
        subjects.HEADER_SERVICE_ERROR_CODE,
        subjects.HEADER_BULK,
        subjects.HEADER_STREAM,
        subjects.HEADER_ASK,
    )
}
"""Those of calls."""
_NAMES: Final = frozenset(_HEADERS.values())
_VERSION: Final = "NATS/1.0\r\n"
_VERSION_BYTES: Final = _VERSION.encode()
_END_BYTES: Final = 2
"""Of the line end that follows a payload, and of that which ends the headers."""


class MessageParser(Parser):
    """nats-py's parser, which gets what this one has left."""

    async def parse(self, data: bytes = b"") -> None:
        if self.state == AWAITING_CONTROL_LINE:
            if self.buf:
                data = bytes(self.buf) + data
                self.buf.clear()
            taken = await self._take_messages(data)
            data = data[taken:] if taken else data
            if _is_short_message(data):
                self.buf.extend(data)
                return
        if data:
            await super().parse(data)

    async def _take_messages(self, data: bytes) -> int:
        """Hands on the whole messages that `data` begins with; returns where they end."""
        client: Client = self.nc
        subscriptions, stats, at, size = client._subs, client.stats, 0, len(data)
        while line := _HMSG.match(data, at) or _MSG.match(data, at):
            subject, sid, reply, head_bytes, total_bytes = line.groups()
            begin = line.end()
            end = begin + int(total_bytes)
            if end + _END_BYTES > size:
                break
            at = end + _END_BYTES
            number = int(sid)
            subscription = subscriptions.get(number)
            payload_at = begin + int(head_bytes) if head_bytes else begin
            head, payload = data[begin:payload_at], data[payload_at:end]
            message = None
            if subscription is not None and isinstance(subscription._future, Sink):
                message = _message(client, number, subject, reply or b"", head, payload)
            if subscription is None or message is None:
                await client._process_msg(number, subject, reply or b"", payload, head)
                continue
            stats["in_msgs"] += 1
            stats["in_bytes"] += len(payload)
            subscription._received += 1
            subscription._future.set_result(message)
        return at


def _message(
    client: Client, sid: int, subject: bytes, reply: bytes, head: bytes, payload: bytes
) -> Msg | None:
    """The message; None where reading it is better left to nats-py."""
    headers = _read_headers(head) if head else None
    if head and headers is None:
        return None
    try:
        return Msg(
            client,
            subject=subject.decode(),
            reply=reply.decode(),
            data=payload,
            headers=headers,
            _sid=sid,
        )
    except UnicodeDecodeError:
        return None


def _read_headers(head: bytes) -> dict[str, str] | None:
    if not head.startswith(_VERSION_BYTES):
        return None
    headers: dict[str, str] = {}
    for line in head[len(_VERSION_BYTES) : -2 * _END_BYTES].split(b"\r\n"):
        name, _, value = line.partition(b":")
        known = _HEADERS.get(name)
        if known is None:
            return None
        headers[known] = value.strip().decode("utf-8", "replace")
    return headers


def _is_short_message(data: bytes) -> bool:
    """Whether `data` is the beginning of a message that can wait here for its end."""
    if not data.startswith((b"MSG", b"HMSG")):
        return False
    line = _HMSG.match(data) or _MSG.match(data)
    return line is not None and int(line[5]) <= _KEPT_BYTES_MAX


def publish_frame(
    subject: str, payload: bytes, reply: str, headers: Mapping[str, str] | None
) -> bytes | None:
    """The command that publishes a message; None where writing it is better left to nats-py.

    Args:
        subject: Checked by the caller, as is `reply`.
        payload: Any bytes.
        reply: Where an answer goes; empty: there is none.
        headers: Only those of calls are written here.
    """
    if not headers:
        return b"PUB %b %b %d\r\n%b\r\n" % (subject.encode(), reply.encode(), len(payload), payload)
    text = _VERSION
    for name, value in headers.items():
        if name not in _NAMES or "\n" in value or "\r" in value:
            return None
        text += f"{name}: {value}\r\n"
    head = f"{text}\r\n".encode()
    size = len(head)
    return b"HPUB %b %b %d %d\r\n%b%b\r\n" % (
        subject.encode(), reply.encode(), size, size + len(payload), head, payload,
    )  # fmt: skip
