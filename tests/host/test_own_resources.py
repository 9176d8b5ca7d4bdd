"""Resources of one component in the hands of another, on one host and across hosts; and in a client's."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from msgpack import ExtType
from pytest_asyncio import fixture as async_fixture
from resource_guests import COUNTERS, COUNTERS_NAME, HOLDER, HOLDER_NAME

from lath import subjects
from lath.codec import ComponentHandle, pack, unpack
from lath.codec.handles import pack_tokens
from lath.errors import (
    Draining,
    InstanceLost,
    InvalidArgument,
    LathError,
    LinkFailed,
    LinkNotFound,
    NotFound,
    Overloaded,
    Trap,
)
from lath.model import ComponentDescription, Link, LinkSelector
from lath.names import CLIENT_SOURCE, NO_LINK, InterfaceName
from lath.subjects import call_tail
from lath.testing import eventually
from lath_host.components.imports import GuestCall
from lath_host.engine.linkage import Import
from lath_host.host import Host
from lath_host.testing import HostProcess, InProcessLattice

WITNESS_NAME = "lath:test/witness@1.0.0"
WITNESS = f"""
(component
  (core module $guest (func (export "dropped") (param i32)))
  (core instance $guest (instantiate $guest))
  (func $dropped (param "value" u32) (canon lift (core func $guest "dropped")))
  (instance $witness (export "dropped" (func $dropped)))
  (export "{WITNESS_NAME}" (instance $witness)))
"""
MakeProcess = Callable[..., Awaitable[HostProcess]]
REUSE = {"component_limits": {"reuse": True}}
LEASE = {"component_limits": {"lease_seconds": 1}}


@dataclass
class Placed:
    """`counters` on one host; `holder` beside it or on another."""

    lattice: InProcessLattice
    home: Host
    away: Host

    async def start(
        self, counters: dict[str, Any] | None = None, holder: dict[str, Any] | None = None
    ) -> Link:
        await self.lattice.start_component("counters", COUNTERS, host=self.home, **(counters or {}))
        await self.lattice.start_component("holder", HOLDER, host=self.away, **(holder or {}))
        return await self.lattice.link("holder", "counters", COUNTERS_NAME)

    async def hold(self, function: str, *params: Any, timeout_ms: int = 10_000) -> Any:
        return await self.lattice.call("holder", HOLDER_NAME, function, *params, timeout_ms=timeout_ms)

    def counters(self) -> ComponentDescription:
        return self.home.services.components.get("counters").describe()

    @property
    def pinned(self) -> int:
        return (self.counters().stats or {})["pinned"]

    async def released(self) -> None:
        await eventually(lambda: self.pinned == 0)


@pytest.fixture(params=["beside", "apart"])
async def placed(request: pytest.FixtureRequest, lattice_in_process: InProcessLattice) -> Placed:
    home = away = lattice_in_process.hosts[0]
    if request.param == "apart":
        (away,) = await lattice_in_process.add_hosts(1)
    return Placed(lattice_in_process, home, away)


@pytest.fixture
def beside(lattice_in_process: InProcessLattice) -> Placed:
    return Placed(lattice_in_process, lattice_in_process.hosts[0], lattice_in_process.hosts[0])


@async_fixture(autouse=True)
async def nothing_stays_pinned(lattice_in_process: InProcessLattice) -> AsyncIterator[None]:
    """A host that stops waits for handles that are held; those that a test leaves it does not wait for."""
    yield
    for host in lattice_in_process.hosts:
        if "counters" in host.services.components:
            await host.services.components.get("counters").close()


async def at(lattice: InProcessLattice, handle: ExtType, function: str, *params: Any) -> Any:
    """Calls a method as a client does: at the instance that the handle names."""
    tail = call_tail(CLIENT_SOURCE, NO_LINK, InterfaceName.parse(COUNTERS_NAME), function)
    payload = pack([handle, *params])
    named = ComponentHandle.parse(handle.data)
    return unpack(await lattice.caller.call("counters", tail, payload, linked=False, at=named))


class TestHolders:
    async def test_a_holder_makes_uses_and_drops_a_resource(self, placed: Placed) -> None:
        await placed.start()
        for _ in range(3):
            assert await placed.hold("sum", 4, 5) == 9
        await placed.released()

    async def test_the_link_is_active(self, placed: Placed) -> None:
        link = await placed.start()
        for host in {placed.home, placed.away}:
            (held,) = host.services.routes.held(LinkSelector(source_id="holder"))
            assert (held.key, held.state) == (link.key, "active")

    async def test_resources_made_in_one_call_may_meet(self, placed: Placed) -> None:
        await placed.start()
        assert await placed.hold("meet", 4, 5) == 9
        await placed.released()

    async def test_a_resource_given_back_is_gone(self, placed: Placed) -> None:
        await placed.start()
        assert await placed.hold("give", 7) == 7
        await placed.released()

    async def test_the_destructor_runs_when_the_holder_drops_the_handle(self, placed: Placed) -> None:
        await placed.start(counters={"count": 1, **REUSE})
        assert await placed.hold("sum", 1, 2) == 3
        await placed.released()
        assert await placed.lattice.call("counters", COUNTERS_NAME, "drops") == 1

    async def test_what_a_holder_that_traps_held_is_released(self, placed: Placed) -> None:
        await placed.start()
        assert isinstance(await placed.lattice.failure("holder", HOLDER_NAME, "abandon", 1), Trap)
        await placed.released()

    async def test_what_a_holder_that_is_cancelled_held_is_released(self, placed: Placed) -> None:
        await placed.start()
        spinning = asyncio.ensure_future(placed.hold("spin", 1))
        await eventually(lambda: placed.pinned == 1)
        spinning.cancel()
        await asyncio.gather(spinning, return_exceptions=True)
        await placed.released()

    async def test_a_trap_in_the_resource_is_told_and_ends_it(self, placed: Placed) -> None:
        await placed.start()
        assert "unreachable" in str(await placed.lattice.failure("holder", HOLDER_NAME, "break", 1))
        await placed.released()

    async def test_a_handle_kept_between_calls_is_renewed_for_as_long_as_its_holder_lives(
        self, placed: Placed
    ) -> None:
        await placed.start(counters={"count": 2, **LEASE}, holder={"count": 1, **REUSE})
        await placed.hold("keep", 5)
        left = await placed.lattice.call("counters", COUNTERS_NAME, "[constructor]counter", 1)
        assert placed.pinned == 2
        await eventually(lambda: placed.pinned == 1)  # what nobody renews
        with pytest.raises(NotFound):
            await at(placed.lattice, left, "[method]counter.get")
        assert await placed.hold("kept") == 5
        await placed.away.services.components.get("holder").close()
        await placed.released()

    async def test_a_handle_is_lent_and_passed_on_to_another_component(self, placed: Placed) -> None:
        await placed.start()
        counter = await placed.hold("make", 8)
        assert await placed.hold("read", counter) == 8
        assert await at(placed.lattice, counter, "[method]counter.add", 1) == 9
        assert placed.pinned == 1

    async def test_a_source_without_a_link_may_not_use_a_handle(self, placed: Placed) -> None:
        link = await placed.start()
        counter = await placed.hold("make", 8)
        await placed.lattice.links.delete(link.source_id, link.wit_namespace, link.wit_package, link.name)
        await eventually(lambda: not placed.away.services.routes.held(LinkSelector(source_id="holder")))
        error = await placed.lattice.failure("holder", HOLDER_NAME, "read", counter)
        assert LinkNotFound.kind in str(error)


async def test_a_handle_is_read_when_it_comes_and_not_at_each_renewal(
    beside: Placed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await beside.start(counters={"count": 2, **LEASE}, holder={"count": 1, **REUSE})
    await beside.hold("keep", 5)
    lost = await beside.lattice.call("counters", COUNTERS_NAME, "[constructor]counter", 1)
    assert beside.pinned == 2
    read: list[bytes] = []
    parse = ComponentHandle.parse

    def noted(data: bytes) -> ComponentHandle:
        read.append(data)
        return parse(data)

    with monkeypatch.context() as while_it_is_renewed:
        while_it_is_renewed.setattr(ComponentHandle, "parse", noted)
        await eventually(lambda: beside.pinned == 1)  # what nobody renews
    assert set(read) <= {lost.data}  # its destructor has it
    assert await beside.hold("kept") == 5


@pytest.mark.parametrize("broken", ["deleted", "held"])
async def test_a_handle_given_away_in_a_call_that_goes_nowhere_is_released(
    beside: Placed, broken: str
) -> None:
    link = await beside.start()
    counter = await beside.hold("make", 8)
    routes = beside.home.services.routes
    if broken == "held":
        await routes.purge(LinkSelector(source_id="holder"), hold=True)
    else:
        await beside.lattice.links.delete(link.source_id, link.wit_namespace, link.wit_package, link.name)
        await eventually(lambda: not routes.held(LinkSelector(source_id="holder")))
    holder = beside.home.services.components.get("holder")
    interface = holder.compiled.world.imports[COUNTERS_NAME]
    func = interface.functions["[static]counter.take"]
    take = Import(COUNTERS_NAME, interface, "[static]counter.take", func, "default")
    with pytest.raises((LinkNotFound, LinkFailed)):
        await holder.imports(take, GuestCall(asyncio.get_running_loop().time() + 10), [counter])
    await beside.released()


async def test_what_a_host_that_is_killed_held_is_released_after_the_lease(
    beside: Placed, process: MakeProcess
) -> None:
    killed = await process()
    lattice = beside.lattice
    await lattice.start_component("counters", COUNTERS, host=beside.home, **LEASE)
    await lattice.start_component("holder", HOLDER, host=killed.id, count=1, **REUSE)
    await lattice.link("holder", "counters", COUNTERS_NAME)
    await eventually(lambda: _succeeds(beside.hold("keep", 5)))
    assert beside.pinned == 1
    killed.signal(signal.SIGKILL)
    await beside.released()


async def _succeeds(call: Awaitable[Any]) -> bool:
    try:
        await call
    except LathError:
        return False
    return True


class TestClients:
    async def test_a_client_holds_a_resource_by_what_it_was_given(
        self, lattice_in_process: InProcessLattice
    ) -> None:
        lattice = lattice_in_process
        await lattice.start_component("counters", COUNTERS)
        await lattice.add_hosts(1)
        await lattice.start_component("counters", COUNTERS, host=lattice.hosts[1])
        homes: set[str] = set()
        async with asyncio.timeout(30):
            for start in itertools.count():  # which host makes one is up to chance
                counter = await lattice.call("counters", COUNTERS_NAME, "[constructor]counter", start)
                assert await at(lattice, counter, "[method]counter.add", 1) == start + 1
                homes.add(ComponentHandle.parse(counter.data).instance)
                if len(homes) == 2:
                    break

    async def test_a_call_without_an_address_is_told_where_the_resource_lives(
        self, lattice_in_process: InProcessLattice
    ) -> None:
        lattice = lattice_in_process
        await lattice.start_component("counters", COUNTERS)
        counter = await lattice.call("counters", COUNTERS_NAME, "[constructor]counter", 1)
        elsewhere = ComponentHandle.parse(counter.data)._replace(instance="elsewhere").to_wire()
        with pytest.raises(NotFound, match="lives in instance elsewhere of counters, which is gone"):
            await lattice.call("counters", COUNTERS_NAME, "[method]counter.get", elsewhere)

    async def test_a_resource_whose_instance_is_gone_is_not_found(
        self, lattice_in_process: InProcessLattice
    ) -> None:
        lattice = lattice_in_process
        await lattice.start_component("counters", COUNTERS)
        counter = await lattice.call("counters", COUNTERS_NAME, "[constructor]counter", 1)
        await lattice.hosts[0].stop()
        with pytest.raises((NotFound, InstanceLost), match="is gone"):  # lost, if it was just going
            await at(lattice, counter, "[method]counter.get")
        with pytest.raises(NotFound, match=r"is gone, and with it .* lath:test/counters") as failed:
            await at(lattice, counter, "[method]counter.get")
        assert not failed.value.may_have_run

    async def test_instances_full_of_pins_refuse_others_and_say_why(
        self, lattice_in_process: InProcessLattice
    ) -> None:
        lattice = lattice_in_process
        await lattice.start_component("counters", COUNTERS, count=1)
        counter = await lattice.call("counters", COUNTERS_NAME, "[constructor]counter", 1)
        error = await lattice.failure("counters", COUNTERS_NAME, "drops")
        assert isinstance(error, Overloaded) and "pinned by handles" in error.message
        assert await at(lattice, counter, "[method]counter.get") == 1

    async def test_handles_of_two_instances_are_refused_in_one_call(
        self, lattice_in_process: InProcessLattice
    ) -> None:
        lattice = lattice_in_process
        await lattice.start_component("counters", COUNTERS)
        one, two = [
            await lattice.call("counters", COUNTERS_NAME, "[constructor]counter", start) for start in (1, 2)
        ]
        with pytest.raises(InvalidArgument, match="must live in one instance of counters"):
            await at(lattice, one, "[method]counter.merge", two)

    @pytest.mark.parametrize("payload", [b"\xc1", b"\x05", pack_tokens([b"short"]), pack_tokens([bytes(16)])])
    async def test_a_message_about_handles_that_means_nothing_changes_nothing(
        self, lattice_in_process: InProcessLattice, payload: bytes
    ) -> None:
        lattice = lattice_in_process
        await lattice.start_component("counters", COUNTERS)
        counter = await lattice.call("counters", COUNTERS_NAME, "[constructor]counter", 1)
        instance = ComponentHandle.parse(counter.data).instance
        for function in (subjects.RELEASE_FUNCTION, subjects.RENEW_FUNCTION):
            subject = subjects.handle_notice(
                lattice.bus.lattice, "counters", instance, CLIENT_SOURCE, function
            )
            await lattice.bus.publish(subject, payload)
        assert await at(lattice, counter, "[method]counter.get") == 1

    async def test_a_message_about_handles_that_wants_an_answer_is_refused(
        self, lattice_in_process: InProcessLattice
    ) -> None:
        lattice = lattice_in_process
        await lattice.start_component("counters", COUNTERS)
        counter = await lattice.call("counters", COUNTERS_NAME, "[constructor]counter", 1)
        named = ComponentHandle.parse(counter.data)
        subject = subjects.handle_notice(
            lattice.bus.lattice, "counters", named.instance, CLIENT_SOURCE, subjects.RELEASE_FUNCTION
        )
        refused = await lattice.bus.request(subject, pack_tokens([named.token]), timeout_ms=10_000)
        assert (refused.headers or {})[subjects.HEADER_ERROR] == InvalidArgument.kind
        assert await at(lattice, counter, "[method]counter.get") == 1


class TestStopping:
    async def test_a_component_that_stops_serves_handles_until_they_are_dropped(self, beside: Placed) -> None:
        await beside.start()
        counter = await beside.lattice.call("counters", COUNTERS_NAME, "[constructor]counter", 1)
        component = beside.home.services.components.get("counters")
        stopping = asyncio.ensure_future(component.stop(10_000))
        await eventually(lambda: not beside.lattice.presence.instances("counters"))
        assert await at(beside.lattice, counter, "[method]counter.add", 1) == 2
        token = ComponentHandle.parse(counter.data).token
        component.release([token])
        await stopping
        with pytest.raises((NotFound, Draining, InstanceLost)):
            await at(beside.lattice, counter, "[method]counter.get")

    async def test_it_stops_with_handles_that_nobody_drops_once_its_grace_is_over(
        self, beside: Placed
    ) -> None:
        await beside.start()
        await beside.lattice.call("counters", COUNTERS_NAME, "[constructor]counter", 1)
        component = beside.home.services.components.get("counters")
        await component.stop(50)
        assert component.describe().stats["pinned"] == 0  # type: ignore[index]

    async def test_an_update_lets_holders_finish_with_the_old_code(self, beside: Placed) -> None:
        await beside.start(holder={"count": 1, **REUSE})
        await beside.hold("keep", 5)
        old = beside.home.services.components.get("counters")
        request = {
            "component_id": "counters",
            "new_component_ref": beside.lattice.file("newer", COUNTERS).as_uri(),
            "host_id": beside.home.id,
        }
        assert (await beside.lattice.ask("component", "update", beside.home.id, **request)).success
        await eventually(lambda: beside.home.services.components.get("counters") is not old)
        assert await beside.hold("kept") == 5
        await beside.home.services.components.get("holder").close()
        await eventually(lambda: old.describe().stats["pinned"] == 0)  # type: ignore[index]


class TestFused:
    """Linked components that run as one; see docs/fusion.md."""

    async def test_a_holder_that_passes_handles_on_runs_unfused(self, beside: Placed) -> None:
        await beside.start(counters=REUSE, holder=REUSE)
        described = beside.home.services.components.get("holder").describe()
        assert "passes handles of resources of counters on" in (described.unfused or {})["counters"]
        assert await beside.hold("sum", 4, 5) == 9
        await beside.released()

    async def test_calls_by_handles_of_its_own_find_the_resource(self, beside: Placed) -> None:
        lattice = beside.lattice
        await lattice.start_component("witness", WITNESS, **REUSE)
        await lattice.start_component("counters", COUNTERS, **REUSE)
        await lattice.link("counters", "witness", WITNESS_NAME)
        await lattice.fused("counters", "witness")
        handle = await lattice.call("counters", COUNTERS_NAME, "[constructor]counter", 5)
        assert await at(lattice, handle, "[method]counter.get") == 5
        assert await lattice.call("counters", COUNTERS_NAME, "drops") == 0
        assert await at(lattice, handle, "[static]counter.take") == 5
        await beside.released()
