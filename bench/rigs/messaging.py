"""Messages of a JetStream stream, handled and acknowledged one by one: by a component, and by nats-py alone.

The component is one in component text that returns ok, reused, on the host that the provider is built into.
Its peer is nats-py's pull consumer in a process of its own, which looks at each message and acknowledges it.
Both hold as many messages at once. A sample fills the stream, and takes the time until all are acknowledged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import nats

from bench.child import Child, child
from bench.guests import text_file
from bench.guests.messaging_text import TEXT_HANDLER
from bench.lattice import LATTICE, Lattice, lattice
from bench.measurement import Measurement, Opened, Probe, Rig, Settings, Values
from lath.bus import Bus, jetstream
from lath.config import ConfigStore
from lath.model import LinkSelector, LinkSpec

HANDLER: Final = "messaging.component.messages_per_s"
PEER: Final = "messaging.nats_py.messages_per_s"
_BATCH: Final = 256
"""Messages held at once, by both."""
_BODY: Final = bytes(64)
_MESSAGES_PER_SECOND: Final = 10_000
"""A sample of so many seconds has so many messages: about what a core handles."""
_FILL_AT_ONCE: Final = 500
_POLL_SECONDS: Final = 0.005
_MEASUREMENTS: Final = (
    Measurement(PEER, "messages/s", "higher", "nats-py: 256 at once, each acknowledged"),
    Measurement(HANDLER, "messages/s", "higher", "a component: 256 at once, each acknowledged", PEER),
)


class _Stream:
    """A stream with one consumer.

    Args:
        bus: A connection.
        client: nats-py's, to fill it.
        name: The stream's, the consumer's, and the subject's.
    """

    def __init__(self, bus: Bus, client: Any, name: str) -> None:
        self.name = name
        self._bus = bus
        self._stream = client.jetstream()

    async def make(self) -> None:
        await jetstream.call(
            self._bus,
            f"STREAM.CREATE.{self.name}",
            {"name": self.name, "subjects": [self.name], "storage": "memory", "retention": "workqueue"},
        )
        config = {"durable_name": self.name, "ack_policy": "explicit", "max_ack_pending": 10_000}
        await jetstream.call(
            self._bus, f"CONSUMER.DURABLE.CREATE.{self.name}.{self.name}",
            {"stream_name": self.name, "config": config},
        )  # fmt: skip

    async def fill(self, count: int) -> None:
        while count > 0:
            some = min(count, _FILL_AT_ONCE)
            await asyncio.gather(*(self._stream.publish(self.name, _BODY) for _ in range(some)))
            count -= some

    async def handled(self) -> None:
        """Waits until every message has been acknowledged."""
        while True:
            info = await jetstream.call(self._bus, f"CONSUMER.INFO.{self.name}.{self.name}")
            if not info["num_pending"] and not info["num_ack_pending"]:
                return
            await asyncio.sleep(_POLL_SECONDS)


def _component(on: Lattice, stream: _Stream, count: int) -> Probe:
    async def probe() -> Values:
        await on.client.links.purge(LinkSelector(source_id="messages"), hold=True)
        await stream.fill(count)
        began = time.perf_counter()
        await on.client.links.pull(LinkSelector(source_id="messages"))
        await stream.handled()
        return {HANDLER: count / (time.perf_counter() - began)}

    return probe


def _peer(peer: Child, stream: _Stream, count: int) -> Probe:
    async def probe() -> Values:
        await stream.fill(count)
        return {PEER: count / await peer.ask(count)}

    return probe


async def _link(on: Lattice, bus: Bus, stream: _Stream) -> None:
    config = {"stream": stream.name, "consumer": stream.name, "subscriptions": stream.name}
    await ConfigStore(bus).put("takes", {**config, "in_flight_max": str(_BATCH)})
    spec = LinkSpec(
        source_id="messages", target="app", wit_namespace="wasmcloud", wit_package="messaging",
        interfaces=("handler",), source_config=("takes",),
    )  # fmt: skip
    report = await on.client.links.put_and_wait(spec, wait_ms=30_000)
    if report.verdict != "live":
        raise RuntimeError(f"the link is {report.verdict}")


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Opened]:
    async with AsyncExitStack() as stack:
        on = await stack.enter_async_context(lattice(settings, "host"))
        bus = await stack.enter_async_context(await Bus.connect(on.url, lattice=LATTICE, name="bench"))
        client = await nats.connect(on.url)
        stack.push_async_callback(client.close)
        ours, theirs = _Stream(bus, client, "ours"), _Stream(bus, client, "theirs")
        await ours.make()
        await theirs.make()
        await on.start("app", text_file(on.folder, "handler", TEXT_HANDLER), host="host", reuse=True)
        await on.client.providers.start("builtin:messaging-nats", provider_id="messages", host="host")
        await _link(on, bus, ours)
        peer = await stack.enter_async_context(
            child("bench.peers.nats_consumer", on.url, theirs.name, theirs.name, str(_BATCH))
        )
        count = max(_BATCH, int(settings.seconds * _MESSAGES_PER_SECOND))
        yield Opened([_peer(peer, theirs, count), _component(on, ours, count)])


MESSAGING: Final = Rig("messaging", "messages of a stream, handled and acknowledged", _MEASUREMENTS, _open)
