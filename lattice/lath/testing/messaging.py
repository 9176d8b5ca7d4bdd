"""Components around a messaging provider, for tests: those that send messages, and those that handle them."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Final

from lath.bus import Bus
from lath.codec import Record
from lath.config import ConfigStore
from lath.errors import LinkFailed
from lath.links import LinkStore
from lath.model import Link, LinkSpec
from lath.provider import Call, Provider, ProviderInstance, operation
from lath.telemetry import TraceContext
from lath.testing import eventually
from lath.testing.provider import Linked, ProviderTest

CONSUMER: Final = "wasmcloud:messaging/consumer"


class Inbox(Provider):
    """Stands for a component that handles messages.

    Attributes:
        messages: Those that came, in the order in which they did.
        traces: Their traces.
        most_at_once: How many were handled at the same time, at most.
        on_message: What is done with a message; an `OpError` becomes the component's error.
    """

    def __init__(self) -> None:
        self.messages: list[Record] = []
        self.traces: list[TraceContext | None] = []
        self.at_once = self.most_at_once = 0
        self.on_message: Callable[[Record], Awaitable[None]] | None = None

    @operation("wasmcloud:messaging/handler@0.2.0")
    async def handle_message(self, call: Call[None], msg: Record) -> None:
        self.messages.append(msg)
        self.traces.append(call.trace)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.on_message is not None:
                await self.on_message(msg)
        finally:
            self.at_once -= 1

    @property
    def bodies(self) -> list[bytes]:
        """Of the messages that came, sorted."""
        return sorted(message.body for message in self.messages)

    async def has(self, *bodies: bytes) -> None:
        """Waits until exactly these bodies have come, in any order."""
        await eventually(lambda: len(self.messages) >= len(bodies), what=f"{len(bodies)} messages")
        assert self.bodies == sorted(bodies)


class Components:
    """Components around a provider: those that send, and those that take messages.

    Args:
        bus: An operator's connection.
        test: The provider, running.
        sending: Config of links to it.
        taking: Config of links from it.
    """

    def __init__(
        self, bus: Bus, test: ProviderTest, sending: Mapping[str, str], taking: Mapping[str, str]
    ) -> None:
        self.test = test
        self._bus = bus
        self._sending = dict(sending)
        self._taking = dict(taking)
        self._links = LinkStore(bus)
        self._configs = ConfigStore(bus)
        self._numbers = itertools.count(1)
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Components:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._running.aclose()

    async def sender(self, **config: str) -> Sends:
        """A component that sends, linked with this config beside the suite's."""
        source = f"sender-{next(self._numbers)}"
        return Sends(await self.test.link(source=source, config={**self._sending, **config}))

    async def inbox(self, name: str = "") -> tuple[str, Inbox]:
        """A component that takes messages, without a link yet: its id, and what stands for it."""
        name = name or f"inbox-{next(self._numbers)}"
        inbox = Inbox()
        await self._running.enter_async_context(ProviderInstance(inbox, self._bus, provider_id=name))
        return name, inbox

    async def taker(self, subscriptions: str, **config: str) -> Inbox:
        """A component that takes messages, linked."""
        name, inbox = await self.inbox()
        await self.feed(name, subscriptions=subscriptions, **config)
        return inbox

    async def feed(self, target: str, **config: str) -> Link:
        """Puts a link from the provider to a component, and waits until it is active.

        Raises:
            LinkFailed: It failed; with the provider's reason.
        """
        link = await self.put_feed(target, **config)
        held = await self.test.settled(link)
        if held.state != "active":
            raise LinkFailed(f"link {link.key} is {held.state}: {held.error}")
        return link

    async def put_feed(
        self, target: str, *, source: str = "", interface: str = "handler", **config: str
    ) -> Link:
        """Puts such a link, without waiting for it.

        Args:
            target: The component.
            source: Another provider than the one under test.
            interface: Of wasmcloud:messaging.
            config: The source config, beside the suite's.
        """
        name = f"feed-{target}"
        await self._configs.put(name, {**self._taking, **config})
        spec = LinkSpec(
            source_id=source or self.test.instance.id, target=target, name=target,
            wit_namespace="wasmcloud", wit_package="messaging", interfaces=(interface,),
            source_config=(name,),
        )  # fmt: skip
        return await self._links.put(spec)

    async def remove(self, link: Link) -> None:
        """Deletes a link."""
        await self._links.delete(link.source_id, link.wit_namespace, link.wit_package, link.name)


class Sends:
    """A component that sends: `await app.publish("orders.new", b"1")`."""

    def __init__(self, linked: Linked) -> None:
        self.linked = linked

    async def publish(self, subject: str, body: bytes = b"", reply_to: str | None = None) -> None:
        message = Record(subject=subject, body=body, reply_to=reply_to)
        await self.linked.call(CONSUMER, "publish", message)

    async def request(
        self, subject: str, body: bytes = b"", *, within_ms: int = 10_000, call_ms: int = 10_000
    ) -> Record:
        answer: Record = await self.linked.call(
            CONSUMER, "request", subject, body, within_ms, timeout_ms=call_ms
        )
        return answer
