"""What a provider must do when its backend is down, slow, full or gone: a suite of tests to subclass.

    class TestRedisBackend(BackendContract):
        @fixture
        async def backend(self) -> AsyncIterator[RedisBackend]: ...

        def make_provider(self) -> Provider: ...
        def link_config(self) -> dict[str, str]: ...
        def wrong_credentials(self) -> dict[str, str]: ...
        async def exercise(self, linked: Linked) -> None: ...
        async def write(self, linked: Linked, number: int) -> None: ...
        async def written(self, linked: Linked) -> set[int]: ...

The backend is a real one that the tests stop and freeze (`lath.testing.backend`). The subclass is a class of
its own beside the one for the provider's interface. pytest-asyncio has to be in its automatic mode.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import ClassVar, Final

import pytest
from pytest_asyncio import fixture

from lath.bus import Bus
from lath.errors import ConnectionLost, DeadlineExceeded, LathError, LinkFailed
from lath.model import HeldLink, Link, LinkSelector
from lath.provider import OpError
from lath.server import Server
from lath.testing import eventually
from lath.testing.backend import Backend
from lath.testing.contract import ProviderContract
from lath.testing.process import ProviderProcess
from lath.testing.provider import Linked, ProviderTest

ALL: Final = LinkSelector()
AT_ONCE: Final = 10
"""Calls in flight where a test makes several."""
WRITES: Final = 200
"""Written at once where something is killed amid them: enough not to be done by then."""
CROWD: Final = 60
"""Calls in flight where there are to be more than a small pool has room for."""
SHORT_MS: Final = 500
"""The time-out of calls that are to run into it."""
HEAL_S: Final = 20.0
"""How long a link may take to heal: a backend's start, and a few tries."""
MANY_S: Final = 90.0
"""The same for a thousand at once, on a machine with other things to do."""


class BackendContract(ProviderContract):
    """The suite. A subclass says what is tested, and may add tests of its own with the same fixtures.

    Attributes:
        links_many: How many links one instance holds at once.
        wrong_secret: The password, token or key in what `wrong_credentials` returns: no reason may say it.
        refused: What the reason of a refusal says, as a regular expression.
        module: What runs the provider as a process, `python -m {module}`; empty: the package of its class.
    """

    links_many: ClassVar[int] = 1_000
    wrong_secret: ClassVar[str] = "wr0ng-s3cret"
    refused: ClassVar[str] = r"(?i)auth|credential|password|denied|permi|refuse"
    module: ClassVar[str] = ""

    # --- what a subclass says ------------------------------------------------------------------------

    @fixture
    async def backend(self) -> AsyncIterator[Backend]:
        """The backend, which runs, and which nobody else uses meanwhile."""
        raise TypeError(f"{type(self).__name__} defines no fixture `backend`")
        yield

    def link_config(self) -> dict[str, str]:
        """The target config of a link to a fresh place in the backend, which runs by then."""
        raise TypeError(f"{type(self).__name__} defines no link_config(self)")

    def wrong_credentials(self) -> dict[str, str]:
        """The config of a link that the backend refuses; `wrong_secret` is in it."""
        raise TypeError(f"{type(self).__name__} defines no wrong_credentials(self)")

    def small_pool(self) -> dict[str, str]:
        """What makes a link's pool smaller than `CROWD`, to be added to its config."""
        return {}

    async def exercise(self, linked: Linked) -> None:
        """One cheap call that asks the backend."""
        raise TypeError(f"{type(self).__name__} defines no exercise(self, linked)")

    async def write(self, linked: Linked, number: int) -> None:
        """Has a number kept by the backend; it is acknowledged once this returns."""
        raise TypeError(f"{type(self).__name__} defines no write(self, linked, number)")

    async def written(self, linked: Linked) -> set[int]:
        """The numbers that the backend keeps, or that were delivered."""
        raise TypeError(f"{type(self).__name__} defines no written(self, linked)")

    # --- what its tests use --------------------------------------------------------------------------

    @fixture(autouse=True)
    async def all_can_be_let_go(self, backend: Backend, running: ProviderTest) -> AsyncIterator[None]:
        """At the end the backend serves again, before the provider closes its links."""
        yield
        await backend.thaw()
        await backend.start()

    async def works(self, linked: Linked) -> bool:
        """Whether a call by the link succeeds."""
        try:
            await self.exercise(linked)
        except (LathError, OpError):
            return False
        return True

    # --- down ----------------------------------------------------------------------------------------

    async def test_a_link_whose_backend_is_down_fails_with_the_reason_and_heals(
        self, running: ProviderTest, backend: Backend
    ) -> None:
        config = self.link_config()
        await backend.stop()
        link = await running.put(config=config)
        held = await running.settled(link)
        assert held.state == "failed"
        assert held.error
        with pytest.raises(LinkFailed, match=re.escape(held.error.split("\n")[0][:20])):
            await self.exercise(running.by(link))
        await backend.start()
        await eventually(lambda: _is(running, link, "active"), HEAL_S)
        await self.exercise(running.by(link))

    async def test_a_backend_that_went_down_fails_the_next_call_and_the_link_which_heals(
        self, running: ProviderTest, linked: Linked, backend: Backend
    ) -> None:
        await self.exercise(linked)
        await backend.stop()
        with pytest.raises((ConnectionLost, LinkFailed)):
            await self.exercise(linked)
        held = await eventually(lambda: _is(running, linked.link, "failed"))
        assert held is not None
        assert held.error
        await backend.start()
        await eventually(lambda: _is(running, linked.link, "active"), HEAL_S)
        await self.exercise(linked)

    async def test_a_backend_that_goes_down_in_a_call_fails_it_and_the_link_which_heals(
        self, running: ProviderTest, linked: Linked, backend: Backend
    ) -> None:
        await self.exercise(linked)
        await backend.freeze()
        call = asyncio.ensure_future(self.exercise(linked))
        await eventually(lambda: running.calls_in_flight(linked.link) == 1)
        await backend.stop()
        with pytest.raises((ConnectionLost, LinkFailed)):
            await call
        await eventually(lambda: _is(running, linked.link, "failed"))
        await backend.start()
        await eventually(lambda: _is(running, linked.link, "active"), HEAL_S)
        await self.exercise(linked)

    # --- slow, and full ------------------------------------------------------------------------------

    async def test_a_slow_backend_ends_calls_at_their_deadline_and_leaks_nothing(
        self, running: ProviderTest, linked: Linked, backend: Backend
    ) -> None:
        await asyncio.gather(*(self.exercise(linked) for _ in range(AT_ONCE)))
        before = await backend.connections()
        await backend.freeze()
        calls = [self.exercise(linked.within(SHORT_MS)) for _ in range(AT_ONCE)]
        for ended in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(ended, DeadlineExceeded)
        await eventually(lambda: running.calls_in_flight(linked.link) == 0)
        await backend.thaw()
        await eventually(partial(self.works, linked), HEAL_S)
        most = max(len(before), AT_ONCE)
        await eventually(partial(_no_more, backend, most))

    async def test_more_calls_than_a_pool_has_room_for_wait_or_are_refused_and_none_hangs(
        self, running: ProviderTest, backend: Backend
    ) -> None:
        linked = await running.link(config={**self.link_config(), **self.small_pool()})
        await self.exercise(linked)
        await backend.freeze()
        async with asyncio.timeout(HEAL_S):
            calls = [self.exercise(linked.within(SHORT_MS)) for _ in range(CROWD)]
            for ended in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(ended, LathError | OpError)
        await backend.thaw()
        await eventually(partial(self.works, linked), HEAL_S)
        await asyncio.gather(*(self.exercise(linked) for _ in range(CROWD)))

    # --- connections ---------------------------------------------------------------------------------

    async def test_a_purge_closes_every_connection_and_a_pull_makes_new_ones(
        self, running: ProviderTest, linked: Linked, backend: Backend
    ) -> None:
        await self.exercise(linked)
        before = await backend.connections()
        assert before
        await running.instance.purge(ALL, hold=True)
        await eventually(partial(_no_more, backend, 0))
        with pytest.raises(LinkFailed, match="purged"):
            await self.exercise(linked)
        await running.instance.pull(ALL)
        await self.exercise(linked)
        assert before.isdisjoint(await backend.connections())

    async def test_a_changed_config_makes_new_connections_and_leaves_none_of_the_old(
        self, running: ProviderTest, linked: Linked, backend: Backend
    ) -> None:
        await self.exercise(linked)
        before = await backend.connections()
        await running.configure(linked.link, self.link_config())
        changed = await running.current(linked.link)
        assert (await running.settled(changed)).state == "active"
        await self.exercise(running.by(changed))

        async def replaced() -> bool:
            now = await backend.connections()
            return bool(now) and before.isdisjoint(now)

        await eventually(replaced)

    async def test_an_instance_holds_a_thousand_links_and_lets_them_all_go(
        self, running: ProviderTest, backend: Backend
    ) -> None:
        links = await running.put_many(self.links_many, self.link_config())
        await eventually(lambda: _all_active(running, len(links)), MANY_S)
        for link in links[:: max(1, self.links_many // 20)]:
            await self.exercise(running.by(link))
        await running.instance.purge(ALL, hold=True)
        await eventually(partial(_no_more, backend, 0), HEAL_S)

    # --- credentials ---------------------------------------------------------------------------------

    async def test_wrong_credentials_fail_the_link_saying_so_and_right_ones_heal_it(
        self, running: ProviderTest, backend: Backend, caplog: pytest.LogCaptureFixture
    ) -> None:
        config = self.wrong_credentials()
        assert any(self.wrong_secret in value for value in config.values())
        link = await running.put(config=config)
        held = await running.settled(link)
        assert held.state == "failed"
        assert re.search(self.refused, held.error or ""), held.error
        assert self.wrong_secret not in (held.error or "")
        assert self.wrong_secret not in caplog.text
        await running.configure(link, self.link_config())
        right = await running.current(link)
        assert (await running.settled(right)).state == "active"
        await self.exercise(running.by(right))

    # --- something dies ------------------------------------------------------------------------------

    async def test_a_backend_that_is_killed_amid_writes_loses_nothing_acknowledged(
        self, linked: Linked, backend: Backend
    ) -> None:
        acknowledged = await self._write_amid(linked, backend.stop)
        await backend.start()
        await eventually(partial(self._keeps, linked, acknowledged), HEAL_S)

    async def test_a_bus_that_is_killed_amid_writes_loses_nothing_acknowledged(
        self, linked: Linked, nats_server: Server
    ) -> None:
        acknowledged = await self._write_amid(linked, nats_server.kill)
        await nats_server.start()
        await eventually(partial(self._keeps, linked, acknowledged), HEAL_S)

    async def test_a_provider_that_is_killed_in_a_call_fails_it_and_loses_nothing_acknowledged(
        self, bus: Bus, nats_server: Server, backend: Backend
    ) -> None:
        module = self.module or type(self.make_provider()).__module__.rpartition(".")[0]
        async with ProviderProcess(bus, nats_server.url, module, self.make_provider()) as process:
            linked = await process.link(self.link_config())
            for number in range(AT_ONCE):
                await self.write(linked, number)
            await backend.freeze()
            calls = [asyncio.ensure_future(self.write(linked, AT_ONCE + each)) for each in range(AT_ONCE)]
            for _ in range(2):
                await bus.flush()  # by the second they have been sent
            await process.kill()
            await backend.thaw()
            for ended in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(ended, LathError | None)
            await process.start()
            acknowledged = {number for number, call in enumerate(calls, AT_ONCE) if call.exception() is None}
            await eventually(partial(self._keeps, linked, acknowledged | set(range(AT_ONCE))), HEAL_S)

    async def _write_amid(self, linked: Linked, kill: Callable[[], Awaitable[None]]) -> set[int]:
        """Writes many numbers at once and kills something meanwhile: those that were acknowledged."""
        await self.write(linked, 0)
        acknowledged = {0}
        amid = asyncio.Event()

        async def write(number: int) -> None:
            await self.write(linked, number)
            acknowledged.add(number)
            if len(acknowledged) == AT_ONCE:
                amid.set()

        writing = [asyncio.ensure_future(write(number)) for number in range(1, WRITES)]
        async with asyncio.timeout(HEAL_S):
            await amid.wait()
        await kill()
        for ended in await asyncio.gather(*writing, return_exceptions=True):
            assert isinstance(ended, LathError | OpError | None)
        return acknowledged

    async def _keeps(self, linked: Linked, numbers: set[int]) -> bool:
        try:
            kept = await self.written(linked)
        except (LathError, OpError) as e:
            raise AssertionError(f"not asked yet: {e}") from e
        assert kept >= numbers
        return True


def _is(running: ProviderTest, link: Link, state: str) -> HeldLink | None:
    held = [each for each in running.instance.held(ALL) if each.key == link.key]
    return held[0] if held and held[0].state == state else None


def _all_active(running: ProviderTest, count: int) -> bool:
    states = Counter(each.state for each in running.instance.held(ALL))
    assert states == {"active": count}
    return True


async def _no_more(backend: Backend, most: int) -> bool:
    found = await backend.connections()
    assert len(found) <= most, found
    return True
