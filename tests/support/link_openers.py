"""Links and an opener for tests of the link table: it counts what is open, and fails or hangs on request."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

from lath.backoff import Backoff
from lath.model import Link, Revision

INCARNATION = 1_000
_sequences = itertools.count(1)
NO_RETRY = Backoff(first_ms=3_600_000, max_ms=3_600_000)
SOON = Backoff(first_ms=1, max_ms=5)


def link(
    source: str = "app",
    target: str = "kv",
    name: str = "default",
    config: dict[str, str] | None = None,
    interfaces: tuple[str, ...] = ("store",),
) -> Link:
    """A link of a new revision."""
    return Link(
        source_id=source,
        target=target,
        name=name,
        wit_namespace="wasi",
        wit_package="keyvalue",
        interfaces=interfaces,
        incarnation=INCARNATION,
        target_config_values=config or {},
        revision=Revision(incarnation=INCARNATION, sequence=next(_sequences)),
    )


def put_again(old: Link, config: dict[str, str] | None = None) -> Link:
    """The same link at a newer revision, with other config if given."""
    values = old.target_config_values if config is None else config
    revision = Revision(incarnation=INCARNATION, sequence=next(_sequences))
    return old.model_copy(update={"revision": revision, "target_config_values": values})


class Held:
    """What an opened link holds."""

    def __init__(self, opened_as: Link) -> None:
        self.link = opened_as
        self.closed = 0


class Opener:
    """Opens as the config says: `do` is `fail`, `hang`, `stubborn` (hangs until `release`), or nothing."""

    def __init__(self, *, open_timeout_s: float = 30.0, close_timeout_s: float = 5.0) -> None:
        self.open_timeout_s = open_timeout_s
        self.close_timeout_s = close_timeout_s
        self.opened: list[Held] = []
        self.tries = 0
        self.release = asyncio.Event()
        self.on_close: Callable[[Link], Any] | None = None

    async def open(self, link: Link) -> Held:
        self.tries += 1
        match link.target_config_values.get("do"):
            case "fail":
                raise ConnectionError(f"no route to {link.target_config_values.get('url', 'backend')}")
            case "hang":
                await asyncio.Event().wait()
            case "stubborn":
                while not self.release.is_set():
                    try:
                        await self.release.wait()
                    except asyncio.CancelledError:
                        continue
        held = Held(link)
        self.opened.append(held)
        return held

    async def close(self, link: Link, held: Held) -> None:
        held.closed += 1
        if self.on_close is not None:
            await self.on_close(link)

    @property
    def open_now(self) -> list[Link]:
        return [held.link for held in self.opened if held.closed == 0]

    def all_closed_once(self) -> bool:
        return all(held.closed == 1 for held in self.opened)
