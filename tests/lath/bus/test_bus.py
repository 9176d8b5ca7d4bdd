"""The connection: fails at once when there is none, comes back by itself, and leaks nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from nats import errors as nats_errors
from nats.aio.msg import Msg

from lath.bus import Bus, Credentials
from lath.bus.callbacks import ended
from lath.errors import (
    ConnectionLost,
    DeadlineExceeded,
    InvalidArgument,
    NotConnected,
    PayloadTooLarge,
    Unavailable,
)
from lath.server import Server
from lath.testing import eventually


@pytest.fixture
async def peer(nats_server: Server, lattice: str) -> AsyncIterator[Bus]:
    async with await Bus.connect(nats_server.url, lattice=lattice, name="peer") as connection:
        yield connection


async def echo(bus: Bus, subject: str) -> None:
    async def answer(msg: Msg) -> None:
        await bus.publish(msg.reply, msg.data)

    await bus.subscribe(subject, answer)
    await bus.flush()


async def never(bus: Bus, subject: str) -> asyncio.Event:
    """Listens without answering; the event is set when something came."""
    came = asyncio.Event()

    async def take(msg: Msg) -> None:
        came.set()

    await bus.subscribe(subject, take)
    await bus.flush()
    return came


async def test_a_request_is_answered_and_one_to_nobody_is_unavailable_at_once(bus: Bus, peer: Bus) -> None:
    await echo(peer, "echo")
    replies = await asyncio.gather(*(bus.request("echo", b"%d" % i, timeout_ms=5_000) for i in range(500)))
    assert [reply.data for reply in replies] == [b"%d" % i for i in range(500)]
    with pytest.raises(Unavailable, match="nobody listens on nobody"):
        await bus.request("nobody", timeout_ms=60_000)


async def test_a_request_without_an_answer_ends_at_its_deadline(bus: Bus, peer: Bus) -> None:
    await never(peer, "mute")
    with pytest.raises(DeadlineExceeded, match="no reply from mute within 50 ms"):
        await bus.request("mute", timeout_ms=50)


async def test_a_pending_request_fails_at_once_when_the_connection_breaks(
    bus: Bus, peer: Bus, nats_server: Server
) -> None:
    came = await never(peer, "mute")
    request = asyncio.create_task(bus.request("mute", timeout_ms=60_000))
    await came.wait()
    await nats_server.kill()
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionLost):
            await request


async def test_while_disconnected_everything_fails_at_once_and_nothing_is_sent_later(
    bus: Bus, peer: Bus, nats_server: Server
) -> None:
    heard: list[bytes] = []

    async def hear(msg: Msg) -> None:
        heard.append(msg.data)

    await peer.subscribe("work", hear)
    await peer.flush()
    await nats_server.stop()
    await eventually(lambda: not bus.connected and not peer.connected)
    assert bus.connected_for_ms == 0
    for _ in range(100):
        with pytest.raises(NotConnected, match="nothing was sent"):
            await bus.publish("work", b"late")
        with pytest.raises(NotConnected):
            await bus.request("work", b"late", timeout_ms=60_000)
    with pytest.raises(NotConnected):
        await bus.flush()
    with pytest.raises(nats_errors.Error):
        await bus.nc.publish("work", b"late")
    await nats_server.start()
    await eventually(lambda: bus.connected and peer.connected)
    await peer.flush()
    await bus.publish("work", b"now")
    await eventually(lambda: heard)
    await bus.flush()
    await peer.flush()
    assert heard == [b"now"]


async def test_what_was_accepted_before_the_loss_was_noticed_is_not_sent_after_it(
    bus: Bus, peer: Bus
) -> None:
    heard: list[bytes] = []

    async def hear(msg: Msg) -> None:
        heard.append(msg.data)

    await peer.subscribe("work", hear)
    await peer.flush()
    ups: list[int] = []
    bus.on_reconnect(lambda: ups.append(1))
    await bus.nc._send_command(b"PUB work 3\r\nold\r\n")  # accepted, and not yet written to the socket
    await bus.nc.force_reconnect()
    await eventually(lambda: ups)
    await bus.publish("work", b"new")
    await eventually(lambda: heard)
    assert heard == [b"new"]


async def test_it_reconnects_tells_so_and_keeps_its_subscriptions(
    bus: Bus, peer: Bus, nats_server: Server
) -> None:
    told: list[str] = []
    bus.on_disconnect(lambda: told.append("down"))
    remove = bus.on_reconnect(lambda: told.append("up"))

    async def slow() -> None:
        told.append("up, async")

    bus.on_reconnect(slow)
    await echo(peer, "echo")
    for turn in range(2):
        await nats_server.restart()
        await eventually(lambda: bus.connected and peer.connected)
        await peer.flush()
        assert (await bus.request("echo", b"x", timeout_ms=5_000)).data == b"x"
        await eventually(lambda turn=turn: told.count("up, async") == turn + 1)  # type: ignore[misc]
        remove()
    assert told == ["down", "up", "up, async", "down", "up, async"]
    assert bus.connected_for_ms > 0


async def test_messages_are_handled_side_by_side_up_to_the_bound(bus: Bus, peer: Bus) -> None:
    release = asyncio.Event()
    running = peak = done = 0

    async def work(msg: Msg) -> None:
        nonlocal running, peak, done
        running += 1
        peak = max(peak, running)
        await release.wait()
        running -= 1
        done += 1

    subscription = await bus.subscribe("work", work, concurrency_max=10)
    await bus.flush()
    for _ in range(50):
        await peer.publish("work")
    await eventually(lambda: running == 10)
    assert subscription.running == 10
    release.set()
    await eventually(lambda: done == 50)
    assert peak == 10
    assert subscription.dropped == 0


async def test_a_failing_handler_is_logged_and_harms_nobody(
    bus: Bus, peer: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    handled: list[bytes] = []

    async def work(msg: Msg) -> None:
        handled.append(msg.data)
        if msg.data == b"bad":
            raise ValueError("broken")

    await bus.subscribe("work", work)
    await bus.flush()
    await peer.publish("work", b"bad")
    await peer.publish("work", b"good")
    await eventually(lambda: len(handled) == 2)
    await eventually(lambda: "a message handler failed" in caplog.text)


async def test_a_message_that_a_consumer_sent_is_refused(bus: Bus, peer: Bus) -> None:
    handled: list[bytes] = []

    async def work(msg: Msg) -> None:
        handled.append(msg.data)

    await bus.subscribe("work", work)
    await bus.flush()
    await peer.publish("work", b"aimed", reply="$JS.ACK.s.c.1.1.1.1.0")
    await peer.publish("work", b"meant")
    await eventually(lambda: handled)
    assert handled == [b"meant"]


async def test_draining_a_subscription_handles_what_came_and_closing_cancels_it(bus: Bus, peer: Bus) -> None:
    release = asyncio.Event()
    ended: list[str] = []

    async def work(msg: Msg) -> None:
        try:
            await release.wait()
            ended.append("done")
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    subscription = await bus.subscribe("work", work)
    await bus.flush()
    await peer.publish("work")
    await eventually(lambda: subscription.running == 1)
    draining = asyncio.create_task(subscription.drain())
    release.set()
    await draining
    release.clear()
    second = await bus.subscribe("work", work)
    await bus.flush()
    await peer.publish("work")
    await eventually(lambda: second.running == 1)
    await second.close()
    assert ended == ["done", "cancelled"]


async def test_too_large_or_malformed_messages_are_refused_before_they_are_sent(bus: Bus, peer: Bus) -> None:
    limit = bus.max_payload_bytes
    assert limit == 8 * 1024 * 1024
    with pytest.raises(PayloadTooLarge):
        await bus.publish("x", bytes(limit + 1))
    with pytest.raises(PayloadTooLarge):
        await bus.publish("x", bytes(limit - 5), headers={"Some": "header"})
    await bus.publish("x", bytes(limit))
    with pytest.raises(InvalidArgument):
        await bus.publish("has space", b"")
    with pytest.raises(InvalidArgument):
        await bus.publish("x", b"", headers={"bad name": "1"})
    await bus.flush()
    assert bus.connected


async def test_a_cancelled_flush_does_not_break_the_connection(bus: Bus, peer: Bus) -> None:
    await echo(peer, "echo")
    for _ in range(20):
        task = asyncio.create_task(bus.flush())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (await bus.request("echo", b"x", timeout_ms=5_000)).data == b"x"
    assert bus.nc.stats["reconnects"] == 0


@pytest.mark.parametrize(
    "wire",
    [
        b"PUB work.\xff\xfe 2\r\nhi\r\n",
        b"HPUB work.x 10 12\r\nNATS/1.0\r\nhi\r\n",
        b"HPUB work.x 8 10\r\nNATS/1.0hi\r\n",
    ],
)
async def test_a_hostile_message_does_not_break_the_connection(
    bus: Bus, peer: Bus, nats_server: Server, wire: bytes
) -> None:
    handled: list[str] = []

    async def work(msg: Msg) -> None:
        handled.append(msg.subject)

    await bus.subscribe("work.>", work)
    await bus.flush()
    reader, writer = await asyncio.open_connection("127.0.0.1", nats_server.port)
    await reader.readline()
    writer.write(b'CONNECT {"verbose":false,"headers":true}\r\n' + wire + b"PING\r\n")
    await writer.drain()
    await reader.readline()
    writer.close()
    await writer.wait_closed()
    await peer.publish("work.fine")
    await eventually(lambda: "work.fine" in handled)
    assert bus.nc.stats["reconnects"] == 0


async def test_an_error_of_the_server_leads_to_a_reconnect_not_to_the_end(
    bus: Bus, peer: Bus, nats_server: Server
) -> None:
    ups: list[int] = []
    bus.on_reconnect(lambda: ups.append(1))
    await bus.nc._send_command(b"NONSENSE\r\n")  # "-ERR 'Unknown Protocol Operation'", and it hangs up
    await bus.nc._flush_pending()
    await eventually(lambda: ups)
    await echo(peer, "echo")
    assert (await bus.request("echo", b"x", timeout_ms=5_000)).data == b"x"


async def test_a_flood_is_dropped_counted_and_reported(
    bus: Bus, peer: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lath.bus.subscription.PENDING_MESSAGES_MAX", 10)
    release = asyncio.Event()

    async def work(msg: Msg) -> None:
        await release.wait()

    subscription = await bus.subscribe("work", work, concurrency_max=1)
    await bus.flush()
    for _ in range(100):
        await peer.publish("work")
    await eventually(lambda: subscription.dropped > 80)
    assert bus.dropped == subscription.dropped
    release.set()


async def test_connecting_to_nobody_names_the_url() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"nats://user:secret@127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(
            NotConnected, match=r"no NATS server at nats://127\.0\.0\.1:\d+ answered"
        ) as caught:
            await Bus.connect(url, lattice="x", name="t", connect_timeout_ms=300)
    assert "secret" not in str(caught.value)


async def test_credentials_are_checked() -> None:
    with pytest.raises(InvalidArgument):
        Credentials(user="a", token="b")
    with pytest.raises(InvalidArgument):
        Credentials(inbox_prefix="a.>")
    assert Credentials.from_env({"LATH_NATS_USER": "u", "LATH_NATS_PASSWORD": "p"}).options() == {
        "user": "u",
        "password": "p",
    }
    assert "secret" not in repr(Credentials(user="u", password="secret"))


async def test_closing_leaves_no_task_behind(nats_server: Server, lattice: str) -> None:
    before = asyncio.all_tasks()
    bus = await Bus.connect(nats_server.url, lattice=lattice, name="t")
    came = await never(bus, "x")

    async def hang(msg: Msg) -> None:
        await asyncio.Event().wait()

    await bus.subscribe("y", hang)
    await (await bus.bulk()).flush()
    await bus.publish("x")
    await bus.publish("y")
    await came.wait()
    request = asyncio.create_task(bus.request("x", timeout_ms=60_000))
    await asyncio.sleep(0)
    await bus.close()
    await bus.close()
    with pytest.raises(NotConnected):
        await request
    await eventually(lambda: asyncio.all_tasks() == before)
    with pytest.raises(NotConnected):
        await bus.publish("x")
    with pytest.raises(NotConnected):
        await bus.subscribe("x", hang)


async def test_what_swallows_a_cancellation_is_ended_all_the_same() -> None:
    swallowed = 0
    begun = asyncio.Event()

    async def stubborn() -> None:
        nonlocal swallowed
        begun.set()
        while swallowed < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
        await asyncio.Event().wait()

    task = asyncio.create_task(stubborn())
    async with asyncio.timeout(10):
        await begun.wait()
        await ended(task)
    assert task.cancelled()
    assert swallowed == 2
