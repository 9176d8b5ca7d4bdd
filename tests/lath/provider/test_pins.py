"""What is pinned in an instance is reached there, and ends with its lease or with the instance."""

from __future__ import annotations

import asyncio

import pytest

from lath.bus import Bus
from lath.codec import ComponentHandle, Resource
from lath.errors import InvalidArgument, NotFound
from lath.provider import Call, Link, Provider, operation
from lath.provider.pins import Pins
from lath.testing import eventually
from lath.testing.provider import ProviderTest

COUNTING = "test:counting/counters"


class Counter:
    """Lives in one instance."""

    def __init__(self) -> None:
        self.count = 0


class Counting(Provider):
    """Counters that cannot leave the instance that made them."""

    wit = """
        package test:counting@1.0.0;
        interface counters {
            make: func() -> counter;
            resource counter { add: func(n: u32) -> u32; }
        }
    """
    interface = COUNTING

    def __init__(self) -> None:
        self.ended = 0

    async def open_link(self, link: Link) -> None:
        return None

    @operation
    async def make(self, call: Call[None]) -> Resource:
        return self.context.pins.pin(Counter(), self._end)

    @operation(COUNTING, "[method]counter.add")
    async def add(self, call: Call[None], counter: Resource, n: int) -> int:
        found = self.context.pins.find(counter, Counter)
        found.count += n
        return found.count

    async def _end(self) -> None:
        self.ended += 1


class Ends:
    """Counts what was ended."""

    def __init__(self) -> None:
        self.count = 0

    async def end(self) -> None:
        self.count += 1


async def test_calls_with_a_handle_come_to_the_instance_that_gave_it(bus: Bus) -> None:
    async with ProviderTest(bus, Counting()) as one, ProviderTest(bus, Counting()) as other:
        linked = await one.link()
        await other.settled(linked.link)
        made = [await linked.call(COUNTING, "make") for _ in range(8)]
        homes = {ComponentHandle.parse(handle.data).instance for handle in made}
        assert homes <= {one.instance.instance_id, other.instance.instance_id}
        for handle in made:
            assert [await linked.call(COUNTING, "[method]counter.add", handle, 2) for _ in range(3)] == [
                2,
                4,
                6,
            ]


async def test_what_is_pinned_ends_with_its_instance_and_is_not_found_then(bus: Bus) -> None:
    counting = Counting()
    async with ProviderTest(bus, Counting()) as other:
        async with ProviderTest(bus, counting) as one:
            linked = one.by(await one.put())
            await one.settled(linked.link)
            await other.instance.drain(linger_ms=0)  # so that the first serves
            handle = await linked.call(COUNTING, "make")
        assert counting.ended == 1
        late = other.by(linked.link)
        with pytest.raises(NotFound):
            await late.call(COUNTING, "[method]counter.add", handle, 1)


async def test_a_lease_that_nobody_renews_ends_what_it_is_of() -> None:
    pins, ends = Pins("provider", "instance"), Ends()
    handle = pins.pin(Counter(), ends.end, lease_seconds=1)
    await eventually(lambda: ends.count == 1)
    with pytest.raises(NotFound, match="lease"):
        pins.find(handle, Counter)
    await pins.close()
    assert ends.count == 1


async def test_what_is_unpinned_is_not_ended() -> None:
    pins, ends = Pins("provider", "instance"), Ends()
    handle = pins.pin(Counter(), ends.end)
    pins.unpin(handle)
    pins.unpin(handle)
    await pins.close()
    assert ends.count == 0
    assert len(pins) == 0


async def test_a_handle_of_something_else_is_refused() -> None:
    pins, ends = Pins("provider", "instance"), Ends()
    handle = pins.pin(Counter(), ends.end)
    with pytest.raises(InvalidArgument, match="something else"):
        pins.find(handle, asyncio.Event)
    with pytest.raises(InvalidArgument):
        pins.find(Resource(handle.data), Counter)
    with pytest.raises(NotFound, match="other"):
        Pins("provider", "other").find(handle, Counter)
    await pins.close()
