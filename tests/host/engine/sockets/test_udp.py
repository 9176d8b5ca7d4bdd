"""UDP sockets of guests, on real ones on loopback: both directions, and who is heard."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from socket_guests import Told, address, telling

from lath.errors import Trap
from lath_host.engine import CompiledComponent, Engine
from lath_host.engine.sockets.udp import DATAGRAMS_MAX

LOOPBACK = "127.0.0.1"


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind((LOOPBACK, 0))
        bound.setblocking(False)
        yield bound


@pytest.fixture
async def told(engine: Engine, socket_guest: CompiledComponent, peer: socket.socket) -> AsyncIterator[Told]:
    """May talk to the peer, and to nobody else."""
    async with telling(engine, socket_guest, f"udp:{LOOPBACK}:{port_of(peer)}") as told:
        yield told


def port_of(system: socket.socket) -> int:
    port: int = system.getsockname()[1]
    return port


def datagram(data: bytes, to: tuple[str, int] | None = None) -> dict[str, Any]:
    return {"data": data, "remote-address": address(*to) if to else None}


async def sent(told: Told, stream: int, *datagrams: dict[str, Any]) -> Any:
    assert await told("check-send", stream) == DATAGRAMS_MAX
    return await told("send", stream, list(datagrams))


async def port_told(told: Told, handle: int) -> int:
    ((_, fields),) = (await told("udp-socket-local-address", handle)).items()
    port: int = fields["port"]
    return port


async def received(told: Told, stream: int) -> list[bytes]:
    await told.wait("incoming-datagram-stream-subscribe", stream)
    return [each["data"] for each in await told("receive", stream, 100)]


async def test_datagrams_go_both_ways(told: Told, peer: socket.socket) -> None:
    handle = await told.udp()
    incoming, outgoing = await told("stream", handle, None)
    assert await sent(told, outgoing, datagram(b"there", peer.getsockname())) == 1
    data, sender = peer.recvfrom(100)
    assert (data, sender) == (b"there", (LOOPBACK, await port_told(told, handle)))
    peer.sendto(b"and back", sender)
    await told.wait("incoming-datagram-stream-subscribe", incoming)
    (came,) = await told("receive", incoming, 1)
    assert came == {"data": b"and back", "remote-address": address(*peer.getsockname())}
    assert await told("receive", incoming, 1) == []


async def test_a_socket_that_is_limited_to_a_peer_sends_without_naming_it(
    told: Told, peer: socket.socket
) -> None:
    handle = await told.udp()
    _, outgoing = await told("stream", handle, address(*peer.getsockname()))
    assert await told("udp-socket-remote-address", handle) == address(*peer.getsockname())
    assert await sent(told, outgoing, datagram(b"a"), datagram(b"b", peer.getsockname())) == 2
    assert await sent(told, outgoing, datagram(b"c", (LOOPBACK, 9))) == "invalid-argument"
    assert await sent(told, outgoing, datagram(b"d"), datagram(b"e", (LOOPBACK, 9))) == 1
    assert [peer.recv(10) for _ in range(3)] == [b"a", b"b", b"d"]


async def test_what_comes_from_others_is_not_heard(told: Told, peer: socket.socket) -> None:
    handle = await told.udp()
    incoming, _ = await told("stream", handle, None)
    local = (LOOPBACK, await port_told(told, handle))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"psst", local)
        peer.sendto(b"hello", local)
        assert await received(told, incoming) == [b"hello"]


async def test_one_who_may_listen_hears_everybody_and_may_answer(
    engine: Engine, socket_guest: CompiledComponent, peer: socket.socket
) -> None:
    async with telling(engine, socket_guest, f"listen:udp:{LOOPBACK}:*") as told:
        handle = await told.udp(LOOPBACK)
        incoming, outgoing = await told("stream", handle, None)
        assert await sent(told, outgoing, datagram(b"?", peer.getsockname())) == "access-denied"
        peer.sendto(b"question", (LOOPBACK, await port_told(told, handle)))
        assert await received(told, incoming) == [b"question"]
        assert await sent(told, outgoing, datagram(b"answer", peer.getsockname())) == 1
        assert peer.recv(100) == b"answer"


async def test_a_socket_changes_its_peer_and_keeps_its_port(
    engine: Engine, socket_guest: CompiledComponent, peer: socket.socket
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((LOOPBACK, 0))
        async with telling(engine, socket_guest, f"{LOOPBACK}:*") as told:
            handle = await told.udp()
            port = await port_told(told, handle)
            for system in (peer, other, None, peer):
                wanted = address(*system.getsockname()) if system else None
                streams = await told("stream", handle, wanted)
                assert await port_told(told, handle) == port
                for who, name in ((peer, b"peer"), (other, b"other")):
                    who.sendto(name, (LOOPBACK, port))
                heard = await received(told, streams[0])
                heard += await told("receive", streams[0], 0)
                expected = {None: [b"peer", b"other"], peer: [b"peer"], other: [b"other"]}
                assert heard == expected[system]
                for stream, resource in zip(streams, ("incoming", "outgoing"), strict=True):
                    await told(f"drop-{resource}-datagram-stream", stream)


async def test_streams_are_dropped_before_there_are_others(told: Told) -> None:
    handle = await told.udp()
    await told("stream", handle, None)
    with pytest.raises(Trap, match="before it dropped those"):
        await told("stream", handle, None)


async def test_more_than_check_send_permits_traps(told: Told, peer: socket.socket) -> None:
    _, outgoing = await told("stream", await told.udp(), address(*peer.getsockname()))
    assert await sent(told, outgoing, datagram(b"one")) == 1
    assert await told("send", outgoing, []) == 0
    with pytest.raises(Trap, match="check-send permits 0"):
        await told("send", outgoing, [datagram(b"two")])


async def test_a_datagram_that_is_too_large_is_refused(told: Told, peer: socket.socket) -> None:
    _, outgoing = await told("stream", await told.udp(), address(*peer.getsockname()))
    for size in (65_535, 65_536):
        assert await sent(told, outgoing, datagram(bytes(size))) == "datagram-too-large"


async def test_nobody_at_the_other_end_is_told(
    engine: Engine, socket_guest: CompiledComponent, peer: socket.socket
) -> None:
    port = port_of(peer)
    peer.close()
    async with telling(engine, socket_guest, f"{LOOPBACK}:{port}") as told:
        incoming, outgoing = await told("stream", await told.udp(), address(LOOPBACK, port))
        assert await sent(told, outgoing, datagram(b"anybody?")) == 1
        await told.wait("incoming-datagram-stream-subscribe", incoming)
        assert await told("receive", incoming, 1) == "connection-refused"


async def test_functions_of_another_state_are_refused(told: Told) -> None:
    new = await told("create-udp-socket", "ipv4")
    assert await told("udp-socket-finish-bind", new) == "not-in-progress"
    assert await told("stream", new, None) == "invalid-state"
    assert await told("udp-socket-local-address", new) == "invalid-state"
    assert await told("udp-socket-remote-address", new) == "invalid-state"
    here = address("0.0.0.0", 0)
    assert await told("udp-socket-start-bind", new, told.network, address("::", 0)) == "invalid-argument"
    assert await told("udp-socket-start-bind", new, told.network, here) is None
    assert await told("udp-socket-start-bind", new, told.network, here) == "concurrency-conflict"
    assert await told("udp-socket-finish-bind", new) is None
    assert await told("udp-socket-start-bind", new, told.network, here) == "invalid-state"
    assert await told("unicast-hop-limit", new) > 0
    assert await told("set-unicast-hop-limit", new, 0) == "invalid-argument"
    assert await told("udp-socket-set-receive-buffer-size", new, 0) == "invalid-argument"
    assert await told("udp-socket-address-family", new) == "ipv4"
    await told.wait("udp-socket-subscribe", new)
