"""Runs a provider in a test: on a real bus, with links put as an operator puts them, and calls made by them.

async with ProviderTest(bus, Redis()) as test:
    linked = await test.link(config={"url": url})
    bucket = await linked.call("wasi:keyvalue/store", "open", "")
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from lath import provider
from lath.bus import Bus, Credentials
from lath.config import ConfigStore
from lath.errors import LinkFailed, NotFound
from lath.links import LinkStore
from lath.model import HeldLink, Link, LinkSpec
from lath.names import DEFAULT_LINK
from lath.provider import Backoff, Provider, ProviderInstance
from lath.provider.outgoing import TIMEOUT_MS, OutgoingCalls
from lath.secrets import ParticipantKeys

SETTLED_S = 15.0
"""How long a test waits for a link."""
PUTS_AT_ONCE_MAX = 8
RETRY_SOON = Backoff(first_ms=20, max_ms=200)
"""In tests a failed link is tried again soon."""


class ProviderTest:
    """One running instance of a provider, and what is needed to link and call it.

    Args:
        bus: A connection whose lattice has its buckets; the fixture `bus`.
        served_by: The provider.
        provider_id: What links name.
        config: The provider's own config.
        nats_url: For providers that connect to the lattice's bus themselves.
        credentials: Likewise.
        backoff: For failed links.
        secret_keys: Open the secrets that links name; None: it has none.
        operator: The connection that puts links and makes calls; `bus` by default. Another one lets `bus`
            have the few rights of a provider.

    Attributes:
        operator: The operator's connection.
        instance: The instance.
        provider: The provider.
    """

    def __init__(
        self,
        bus: Bus,
        served_by: Provider,
        *,
        provider_id: str = "provider",
        config: Mapping[str, str] | None = None,
        nats_url: str = "",
        credentials: Credentials | None = None,
        backoff: Backoff = RETRY_SOON,
        secret_keys: ParticipantKeys | None = None,
        operator: Bus | None = None,
    ) -> None:
        self.operator = operator or bus
        self.provider = served_by
        self.instance = ProviderInstance(
            served_by, bus,
            provider_id=provider_id, config=config, backoff=backoff,
            nats_url=nats_url, credentials=credentials, secret_keys=secret_keys,
        )  # fmt: skip
        self._links = LinkStore(self.operator)
        self._configs = ConfigStore(self.operator)
        self._calls: list[OutgoingCalls] = []
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> Self:
        await self.instance.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for calls in self._calls:
            await calls.close()
        await self.instance.close()

    async def put(
        self,
        *,
        source: str = "app",
        name: str = DEFAULT_LINK,
        config: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        namespace: str = "",
        package: str = "",
        interfaces: tuple[str, ...] = (),
    ) -> Link:
        """Puts a link to the provider, without waiting for it.

        Args:
            source: Who calls.
            name: The link's name.
            config: Its target config.
            secrets: Names of secrets, by the field of config that each is the value of.
            namespace: Of the interfaces; those that the provider serves by default.
            package: Likewise.
            interfaces: Likewise, all of the package.
        """
        configs: tuple[str, ...] = ()
        if config is not None:
            configs = (f"{self.instance.id}-{source}-{name}",)
            await self._configs.put(configs[0], config)
        return await self._links.put(
            self._spec(source, name, configs, namespace, package, interfaces, secrets)
        )

    async def put_many(self, count: int, config: Mapping[str, str]) -> list[Link]:
        """Puts as many links from one source, `link-0` and so on, with one target config between them."""
        shared = f"{self.instance.id}-many"
        await self._configs.put(shared, config)
        room = asyncio.Semaphore(PUTS_AT_ONCE_MAX)

        async def put(number: int) -> Link:
            async with room:
                return await self._links.put(self._spec("app", f"link-{number}", (shared,)))

        return await asyncio.gather(*(put(number) for number in range(count)))

    def _spec(
        self,
        source: str,
        name: str,
        configs: tuple[str, ...],
        namespace: str = "",
        package: str = "",
        interfaces: tuple[str, ...] = (),
        secrets: Mapping[str, str] | None = None,
    ) -> LinkSpec:
        served = sorted({key[:3] for key in self.provider.operations})
        namespace, package = namespace or served[0][0], package or served[0][1]
        names = interfaces or tuple(each[2] for each in served if each[:2] == (namespace, package))
        return LinkSpec(
            source_id=source, target=self.instance.id, name=name,
            wit_namespace=namespace, wit_package=package, interfaces=names, target_config=configs,
            target_secrets=dict(secrets or {}),
        )  # fmt: skip

    async def settled(self, link: Link) -> HeldLink:
        """Waits until a link is active, failed or purged, at the revision that was put."""
        async with asyncio.timeout(SETTLED_S):
            return await self.instance.settled(link.key, link.revision)

    async def link(self, **options: Any) -> Linked:
        """Puts a link (see `put`), waits until it is active, and returns what calls by it.

        Raises:
            LinkFailed: It failed; with the provider's reason.
        """
        link = await self.put(**options)
        held = await self.settled(link)
        if held.state != "active":
            raise LinkFailed(f"link {link.key} is {held.state}: {held.error}")
        return self.by(link)

    def by(self, link: Link) -> Linked:
        """What calls by a link, as its source."""
        calls = OutgoingCalls(self.operator, link.source_id)
        self._calls.append(calls)
        return Linked(calls, link)

    async def delete(self, link: Link) -> None:
        """Deletes a link."""
        await self._links.delete(link.source_id, link.wit_namespace, link.wit_package, link.name)

    async def current(self, link: Link) -> Link:
        """A link as it stands in KV now.

        Raises:
            NotFound: It is gone.
        """
        found = await self._links.get(link.key)
        if found is None:
            raise NotFound(f"there is no link {link.key}")
        return found

    def calls_in_flight(self, link: Link) -> int:
        """How many calls use a link at this moment."""
        return self.instance.table.in_use(link.key)

    async def configure(self, link: Link, config: Mapping[str, str]) -> None:
        """Changes the named config of a link that was put with one. The link is not put again by hand."""
        await self._configs.put(link.target_config[0], config)


class Linked:
    """Calls by one link, over the bus and through the codec, as a component's host does.

    Args:
        calls: Makes them.
        link: The link.
        timeout_ms: Of calls that name none.

    Attributes:
        link: The link.
    """

    def __init__(self, calls: OutgoingCalls, link: Link, timeout_ms: int = TIMEOUT_MS) -> None:
        self.link = link
        self._calls = calls
        self._timeout_ms = timeout_ms

    def within(self, timeout_ms: int) -> Linked:
        """Calls by the same link, with another time-out."""
        return Linked(self._calls, self.link, timeout_ms)

    async def call(self, interface: str, function: str, *args: Any, timeout_ms: int | None = None) -> Any:
        """Calls a function; arguments and result in the friendly form of `lath.codec`, streams included.

        What travels as a stream is given as bytes or an async iterator of bytes, and comes back as a
        `ByteStream` (or an iterator of strings): read it to its end, or close it.

        Raises:
            OpError: It answered `err`.
            LathError: The call failed.
        """
        seen = provider.Link.of(self.link, self.link.source_id)
        limit_ms = self._timeout_ms if timeout_ms is None else timeout_ms
        return await self._calls.call(seen, interface, function, *args, timeout_ms=limit_ms)

    async def call_version(self, version: str, interface: str, function: str, *args: Any) -> Any:
        """Like `call`, as a caller that was built against another version of the interface."""
        seen = provider.Link.of(self.link, self.link.source_id)
        return await self._calls.call(seen, interface, function, *args, version=version)
