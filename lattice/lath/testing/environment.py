"""One provider, called directly in a test, without a bus: its operations, links and checks, in milliseconds.

async with ProviderEnvironment(Shelf()) as env:
    linked = await env.link(config={"prefix": "A-"})
    assert await linked.call("acme:shelf/shelf", "label", "7") == "A-7"
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from lath.errors import LinkFailed
from lath.model import HeldLink, Link, LinkSelector
from lath.provider import Provider
from lath.testing.memory_lattice import MemoryLattice, MemoryLinked
from lath.testing.memory_participants import HttpAnswer, MemoryProvider

P = TypeVar("P", bound=Provider)


class ProviderEnvironment(Generic[P]):
    """A `MemoryLattice` with one provider in it. An async context manager.

    Args:
        served_by: The provider.
        provider_id: What links name.
        config: The provider's own config.

    Attributes:
        provider: The provider.
        lattice: The lattice, to add more to it.
    """

    def __init__(
        self, served_by: P, *, provider_id: str = "provider", config: Mapping[str, str] | None = None
    ) -> None:
        self.provider = served_by
        self.lattice = MemoryLattice()
        self._id = provider_id
        self._config = config
        self._running: MemoryProvider | None = None

    async def __aenter__(self) -> Self:
        self._running = await self.lattice.start_provider(self.provider, self._id, config=self._config)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.lattice.__aexit__(kind, error, trace)

    @property
    def running(self) -> MemoryProvider:
        """The provider's running instance, for what is looked at from the outside."""
        assert self._running is not None, "use it as `async with ProviderEnvironment(…) as env`"
        return self._running

    async def link(
        self,
        *,
        source: str = "app",
        name: str = "default",
        config: Mapping[str, str] | None = None,
        package: str = "",
        interfaces: tuple[str, ...] = (),
    ) -> MemoryLinked:
        """Links a component to the provider, waits until the link is open, and returns what calls by it.

        Args:
            source: Who calls.
            name: The link's name.
            config: The link's config, of the provider's side.
            package: `namespace:package`; by default that of the first interface which the provider serves.
            interfaces: Of the package; by default all that it serves.

        Raises:
            LinkFailed: `open_link` raised or hung; with the reason.
        """
        return await self.lattice.link(
            source, self._id, package, name=name, config=config, interfaces=interfaces
        )

    async def failure(self, **options: Any) -> str:
        """Puts a link (options as of `link`) that is expected to fail. Returns the reason.

        Raises:
            AssertionError: It did not fail.
        """
        try:
            await self.link(**options)
        except LinkFailed as e:
            return e.message
        raise AssertionError("the link did not fail")

    async def source_link(
        self,
        target: str,
        exports: Mapping[str, object] | None = None,
        *,
        http: HttpAnswer | None = None,
        name: str = "default",
        config: Mapping[str, str] | None = None,
    ) -> Link:
        """Links the provider, as the source, to a Python object that stands in for a component.

        Args:
            target: The component's id.
            exports: What it serves; see `lath.testing.memory_participants.StandIn`.
            http: Answers HTTP requests, where the component serves HTTP.
            name: The link's name.
            config: The link's config, of the provider's side.

        Raises:
            LinkFailed: `open_source_link` raised or hung; with the reason.
        """
        self.lattice.add_component(target, exports, http=http)
        served = ("incoming-handler",) if http is not None and not exports else ()
        linked = await self.lattice.link(
            self._id, target, "wasi:http" if served else "", name=name, interfaces=served,
            source_config=config,
        )  # fmt: skip
        return linked.link

    async def check(self, link: Link) -> float:
        """Asks the provider's `check_link`. Returns the round trip in milliseconds; raises what it raised."""
        record, held = self.running.table.opened(link.key)
        return await self.running.opener.check(record, held)

    async def purge(self, *, hold: bool = False) -> None:
        """Has the provider drop all that it holds for its links; they are opened again unless `hold`."""
        keys = await self.running.table.purge(LinkSelector(), hold=hold)
        await self.running.table.all_settled(keys)

    def held(self) -> list[HeldLink]:
        """The links as they stand at the provider, sorted by key."""
        return self.running.table.held(LinkSelector())
