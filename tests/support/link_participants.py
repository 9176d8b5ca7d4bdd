"""Participants that hold links in memory, served by the real verb server on the real bus.

`MemoryHolder` holds what it is told to; `Member` puts one on the bus, following KV, with presence. Run as a
program it is a member in a process of its own, which can be frozen.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Literal

from lath.bus import Bus
from lath.links import LinkChange, LinkView
from lath.mirror import Mirror
from lath.model import (
    HeldLink,
    Link,
    LinkSelector,
    LinkState,
    LostParticipant,
    Presence,
    Revision,
    StoredLink,
)
from lath.names import new_id
from lath.presence import PresenceAnnouncer, PresenceView
from lath.verbs import VerbServer


def make_link(source: str, target: str, name: str = "default", sequence: int = 1) -> Link:
    """A link as it would be read from KV."""
    return Link(
        source_id=source,
        target=target,
        name=name,
        wit_namespace="wasi",
        wit_package="keyvalue",
        interfaces=("store",),
        incarnation=7,
        revision=Revision(incarnation=7, sequence=sequence),
    )


class MemoryHolder:
    """A `LinkHolder` that holds links in a dict.

    Attributes:
        fail: Reasons by link name: such links fail to open.
        slow: Link names that stay `opening`.
        check_errors: What `check` raises, by key.
        gate: Where set, checks, purges and pulls wait for it.
    """

    def __init__(
        self,
        kind: Literal["host", "provider"],
        id: str,
        *,
        instance_id: str = "",
        host_id: str = "",
        serves: Sequence[str] = (),
    ) -> None:
        self.kind: Literal["host", "provider"] = kind
        self.id = id
        self.instance_id = id if kind == "host" else instance_id or new_id()
        self.host_id = id if kind == "host" else host_id
        self.serves: tuple[str, ...] = tuple(serves) or ((id,) if kind == "provider" else ())
        self.links: dict[str, HeldLink] = {}
        self.kept: dict[str, StoredLink] = {}
        self.fail: dict[str, str] = {}
        self.slow: set[str] = set()
        self.check_errors: dict[str, Exception] = {}
        self.gate: asyncio.Event | None = None
        self.checks_running_max = 0
        self.checks = 0
        self.supervised: tuple[LostParticipant, ...] = ()
        self.gone: Callable[[], tuple[LostParticipant, ...]] = tuple
        self._running = 0
        self._started = time.monotonic()
        self._changed = asyncio.Condition()

    @property
    def uptime_ms(self) -> int:
        return int((time.monotonic() - self._started) * 1000)

    async def hold(self, link: Link, state: LinkState | None = None, error: str | None = None) -> None:
        """Holds a link: in this state, or in the one that `fail` and `slow` lead to."""
        if state is None:
            error = self.fail.get(link.name)
            state = "failed" if error else "opening" if link.name in self.slow else "active"
        role: Literal["source", "target"] = "source" if link.source_id in self.serves else "target"
        self.kept[link.key] = link
        held = HeldLink(
            key=link.key, role=role, state=state, revision=link.revision, uptime_ms=1, error=error
        )
        async with self._changed:
            self.links[link.key] = held
            self._changed.notify_all()

    async def drop(self, key: str) -> None:
        async with self._changed:
            self.kept.pop(key, None)
            self.links.pop(key, None)
            self._changed.notify_all()

    # --- LinkHolder ------------------------------------------------------------------------------------

    def held(self, selector: LinkSelector) -> list[HeldLink]:
        if selector.key is not None:
            one = self.links.get(selector.key)
            return [one] if one and selector.matches(self.kept[one.key]) else []
        return [self.links[key] for key in sorted(self.links) if selector.matches(self.kept[key])]

    async def check(self, key: str) -> float:
        self.checks += 1
        self._running += 1
        self.checks_running_max = max(self.checks_running_max, self._running)
        try:
            if self.gate is not None:
                await self.gate.wait()
            else:
                await asyncio.sleep(0)
            if (error := self.check_errors.get(key)) is not None:
                raise error
            return 0.25
        finally:
            self._running -= 1

    def values(self, key: str) -> Mapping[str, str]:
        return self.kept[key].config_for(self.id)

    async def purge(self, selector: LinkSelector, hold: bool) -> list[HeldLink]:
        return await self._all(selector, "purged" if hold else "active")

    async def pull(self, selector: LinkSelector) -> list[HeldLink]:
        return await self._all(selector, "active")

    async def _all(self, selector: LinkSelector, state: LinkState) -> list[HeldLink]:
        if self.gate is not None:
            await self.gate.wait()
        async with self._changed:
            for held in self.held(selector):
                error = self.fail.get(self.kept[held.key].name)
                became: LinkState = "failed" if error and state == "active" else state
                self.links[held.key] = held.model_copy(update={"state": became, "error": error})
            self._changed.notify_all()
        return self.held(selector)

    async def settled(self, key: str, revision: Revision) -> HeldLink:
        def ready() -> bool:
            held = self.links.get(key)
            return (
                held is not None
                and held.revision >= revision
                and held.state in ("active", "failed", "purged")
            )

        async with self._changed:
            await self._changed.wait_for(ready)
            return self.links[key]

    def expected(self) -> tuple[LostParticipant, ...]:
        return self.supervised

    def lost(self) -> tuple[LostParticipant, ...]:
        return self.gone()


class Member:
    """A `MemoryHolder` on the bus: verbs served, presence announced, links followed.

    Args:
        bus: The bus.
        holder: The holder.
        follow: Whether it applies what KV has; otherwise it holds only what it is told.
        ttl_ms: How long its presence outlives it.
    """

    def __init__(self, bus: Bus, holder: MemoryHolder, *, follow: bool = True, ttl_ms: int = 15_000) -> None:
        self.bus = bus
        self.holder = holder
        self.server = VerbServer(bus, holder)
        self._mirror = Mirror(bus, "links") if follow else None
        self._announcers = [
            PresenceAnnouncer(bus, presence.model_copy(update={"ttl_ms": ttl_ms}))
            for presence in self._presences()
        ]
        self._queue: asyncio.Queue[tuple[Link | None, str]] = asyncio.Queue()
        self._applier: asyncio.Task[None] | None = None

    def _presences(self) -> list[Presence]:
        holder = self.holder

        def entry(kind: Literal["host", "component", "provider"], target: str, instance: str) -> Presence:
            return Presence(
                kind=kind, target=target, instance_id=instance, host_id=holder.host_id,
                started_ms=0, version="0", name=target,
            )  # fmt: skip

        if holder.kind == "provider":
            return [entry("provider", holder.id, holder.instance_id)]
        components = [entry("component", target, f"{target}-{holder.id}"[:64]) for target in holder.serves]
        return [entry("host", holder.id, holder.id), *components]

    async def start(self) -> Member:
        await self.server.start()
        if self._mirror is not None:
            view = LinkView(self._mirror)
            view.on_change(self._queue_up)
            await self._mirror.start()
            await self._mirror.wait_synced()
            self._applier = asyncio.create_task(self._apply())
        for announcer in self._announcers:
            await announcer.start()
        return self

    def _queue_up(self, changes: Sequence[LinkChange]) -> None:
        for change in changes:
            self._queue.put_nowait((change.new, change.key))

    async def _apply(self) -> None:
        while True:
            link, key = await self._queue.get()
            if link is None:
                await self.holder.drop(key)
            elif {link.source_id, link.target} & set(self.holder.serves):
                await self.holder.hold(link)

    async def leave(self) -> None:
        """Says goodbye, then stops."""
        for announcer in self._announcers:
            await announcer.withdraw()
        await self._end()

    async def _end(self) -> None:
        if self._applier is not None:
            self._applier.cancel()
            await asyncio.gather(self._applier, return_exceptions=True)
        if self._mirror is not None:
            await self._mirror.close()
        await self.server.close()

    async def __aenter__(self) -> Member:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()


async def main() -> None:
    """A member in a process of its own. Says `ready` on stdout; ends when its stdin does."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("lattice")
    parser.add_argument("kind", choices=("host", "provider"))
    parser.add_argument("id")
    parser.add_argument("--instance", default="")
    parser.add_argument("--serves", default="")
    parser.add_argument("--ttl-ms", type=int, default=15_000)
    args = parser.parse_args()
    serves = tuple(filter(None, args.serves.split(",")))
    holder = MemoryHolder(args.kind, args.id, instance_id=args.instance, serves=serves)
    bus = await Bus.connect(args.url, lattice=args.lattice, name=args.id)
    view = PresenceView(bus, slack_ms=args.ttl_ms // 3)
    if args.kind == "host":
        await view.start()
        holder.gone = view.lost
    async with bus, Member(bus, holder, ttl_ms=args.ttl_ms):
        print("ready", flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.read)
    await view.close()


if __name__ == "__main__":
    asyncio.run(main())
