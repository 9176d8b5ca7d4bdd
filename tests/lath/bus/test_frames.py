"""Messages read and written beside nats-py: the same, however the bytes are cut."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import ProtocolError
from nats.protocol.command import hpub_cmd, pub_cmd
from nats.protocol.parser import Parser

from lath.bus.client import BusClient
from lath.bus.frames import publish_frame
from lath.bus.sink import sink
from lath.subjects import HEADER_CALL, HEADER_NEAR, HEADER_TRACEPARENT, HEADER_TRACESTATE

SINK_SID, QUEUE_SID = 1, 2
CALL = b"Lath: 10000,abc,,,"


def head(*lines: bytes, status: bytes = b"") -> bytes:
    return b"NATS/1.0" + status + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def frame(
    sid: int, payload: bytes, headers: bytes = b"", reply: bytes = b"_INBOX.a", subject: bytes = b"x.y"
) -> bytes:
    to = reply + b" " if reply else b""
    if not headers:
        return b"MSG %b %d %b%d\r\n%b\r\n" % (subject, sid, to, len(payload), payload)
    size = len(headers)
    return b"HMSG %b %d %b%d %d\r\n%b%b\r\n" % (subject, sid, to, size, size + len(payload), headers, payload)


MESSAGES = (
    frame(SINK_SID, b"plain"),
    frame(SINK_SID, b"", reply=b""),
    frame(SINK_SID, b"MSG in the payload\r\n", reply=b"7"),
    frame(SINK_SID, b"called", head(CALL)),
    frame(SINK_SID, b"traced", head(CALL, b"traceparent: 00-0af7-01", b"tracestate: a=b,c=d")),
    frame(SINK_SID, b"spaces", head(b"Lath:  padded \t"), reply=b""),
    frame(SINK_SID, b"", head(status=b" 503")),
    frame(SINK_SID, b"unknown", head(CALL, b"Custom: 1")),
    frame(SINK_SID, b"no name", head(b": empty", b"no colon")),
    frame(SINK_SID, b"large" * 20_000, head(CALL)),
    frame(SINK_SID, b"subject", subject=b"\xff\xfe"),
    frame(QUEUE_SID, b"queued", head(CALL)),
    frame(99, b"nobody's"),
    b"PING\r\n",
    b"+OK\r\n",
)


class Reading:
    """A client that is not connected, and what it makes of bytes."""

    def __init__(self) -> None:
        self.client = BusClient()
        self.taken: list[Msg] = []
        self.pings = 0
        self.client._process_ping = self._ping  # type: ignore[method-assign]
        taking = Subscription(self.client, SINK_SID, "x.>", future=sink(self.taken.append))
        self.queued = Subscription(self.client, QUEUE_SID, "x.>")
        self.client._subs = {SINK_SID: taking, QUEUE_SID: self.queued}

    async def _ping(self) -> None:
        self.pings += 1

    async def read(self, chunks: Sequence[bytes], parser: Parser | None = None) -> list[object]:
        for chunk in chunks:
            await (parser or self.client._ps).parse(chunk)
        queue = self.queued._pending_queue
        while not queue.empty():
            self.taken.append(queue.get_nowait())
        found: list[object] = [(m.subject, m.reply, m.data, m.headers, m._sid) for m in self.taken]
        return [*found, self.pings, self.client.stats, self.client._subs[SINK_SID]._received]


def cut(data: bytes, at: Sequence[int]) -> list[bytes]:
    ends = sorted({min(place, len(data)) for place in at} | {len(data)})
    return [data[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


@given(
    messages=st.lists(st.sampled_from(MESSAGES), max_size=8),
    at=st.lists(st.integers(0, 500), max_size=12),
)
def test_messages_are_read_as_nats_py_reads_them_however_they_are_cut(
    messages: list[bytes], at: list[int]
) -> None:
    async def compare() -> None:
        chunks = cut(b"".join(messages), at)
        ours, theirs = Reading(), Reading()
        stock = Parser(theirs.client)
        assert await ours.read(chunks) == await theirs.read(chunks, stock)
        assert bytes(ours.client._ps.buf) == b""

    asyncio.run(compare())


@pytest.mark.parametrize("line", [b"MSG x\r\n", b"HMSG x 1 y z\r\n", b"NONSENSE\r\n", b"\r\n"])
async def test_what_is_not_of_the_protocol_ends_the_connection_as_in_nats_py(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        await Reading().client._ps.parse(line)


async def test_an_unfinished_message_stays_until_its_end_has_come() -> None:
    reading = Reading()
    whole = frame(SINK_SID, b"payload", head(CALL))
    for at in range(len(whole)):
        await reading.client._ps.parse(whole[at : at + 1])
    assert [message.data for message in reading.taken] == [b"payload"]


@pytest.mark.parametrize("reply", ["", "_INBOX.a.b"])
def test_a_message_is_published_as_nats_py_publishes_it(reply: str) -> None:
    assert publish_frame("a.b", b"data", reply, None) == pub_cmd("a.b", reply, b"data")
    block = head(CALL, "tracestate: ä".encode())
    headers = {"Lath": "10000,abc,,,", "tracestate": "ä"}
    assert publish_frame("a.b", b"data", reply, headers) == hpub_cmd("a.b", reply, block, b"data")


@pytest.mark.parametrize("header", [HEADER_CALL, HEADER_NEAR, HEADER_TRACEPARENT, HEADER_TRACESTATE])
def test_the_headers_that_a_call_may_have_are_written_here(header: str) -> None:
    assert publish_frame("a.b", b"", "", {header: "1"}) is not None


@pytest.mark.parametrize(
    "headers", [{"Custom": "1"}, {"Lath": "1\r\nCustom: 2"}, {"Lath": "1\n"}, {"Lath ": "1"}]
)
def test_headers_that_are_not_those_of_calls_are_left_to_nats_py(headers: dict[str, str]) -> None:
    assert publish_frame("a.b", b"", "", headers) is None


@pytest.mark.parametrize(
    ("subject", "reply", "posted"),
    [("a", "b", True), ("", "", False), ("a b", "", False), ("a\r\nPUB b", "", False), ("a", "b\tc", False)],
)
async def test_a_subject_that_could_end_its_line_is_not_posted(
    subject: str, reply: str, posted: bool
) -> None:
    client = BusClient()
    client._status = Client.CONNECTED
    client._flush_queue = asyncio.Queue()
    client._flusher_task = asyncio.ensure_future(asyncio.Event().wait())
    client._max_pending_size = 1000
    client._max_payload = 1000
    assert client.post(subject, b"", reply) == posted
    assert len(client._pending) == posted
    client._flusher_task.cancel()
