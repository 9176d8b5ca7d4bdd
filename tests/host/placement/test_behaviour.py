"""What a callee is and sees, wherever its caller runs: its links, config, state, output and the trace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import guests
import pytest
from nats.aio.msg import Msg
from placed_guests import ECHO, FRONT, both, counter, maker_of_counters, opener_of_handles, reader_of_handles
from python_guest import PARTNER_SOURCE, PARTNER_WIT, build_python_guest
from resource_guests import COUNTERS, COUNTERS_NAME, HOLDER, HOLDER_NAME
from words_provider import Words

from lath import subjects, telemetry
from lath.codec import pack
from lath.names import CLIENT_SOURCE, NO_LINK, InterfaceName
from lath.provider import Call, Provider, operation, resource
from lath.provider.instance import ProviderInstance
from lath.rpc import CallHeader
from lath.telemetry import TraceContext
from lath.testing import eventually
from lath_host.engine import Engine

from .conftest import Placed

MIDDLE = "test:words/middle@1.0.0"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def caller_trace() -> Iterator[None]:
    """The test calls from within a trace."""
    with telemetry.use(TraceContext(f"00-{TRACE_ID}-b7ad6b7169203331-01", "vendor=1")):
        yield


@pytest.mark.usefixtures("caller_trace")
async def test_the_callee_calls_its_provider_as_itself_with_its_links_config_in_the_callers_trace(
    placed: Placed,
) -> None:
    lattice = placed.lattice
    async with ProviderInstance(Words(), lattice.bus, provider_id="words"):
        assert (await lattice.ask("config", "put", "prefix", prefix=">")).success
        await placed.pair(guests.relay(imported=MIDDLE), guests.relay(exported=MIDDLE), MIDDLE)
        await lattice.link("back", "words", ECHO, target_config=["prefix"])
        assert await placed.say("x") == ">x"
        assert await placed.say("context") == f"back default {TRACE_ID}"


async def test_the_time_left_and_the_apps_version_pass_on_to_what_the_callee_calls(placed: Placed) -> None:
    lattice = placed.lattice
    async with ProviderInstance(Words(), lattice.bus, provider_id="words") as words:
        await placed.pair(guests.relay(imported=MIDDLE), guests.relay(exported=MIDDLE), MIDDLE)
        link = await lattice.link("back", "words", ECHO)
        seen: list[CallHeader] = []

        async def spy(msg: Msg) -> None:
            assert msg.headers is not None
            seen.append(CallHeader.parse(msg.headers[subjects.HEADER_CALL]))

        pattern = subjects.call_instance_pattern(lattice.bus.lattice, "words", words.instance_id)
        await lattice.bus.subscribe(pattern, spy)
        await lattice.bus.flush()
        tail = subjects.call_tail(CLIENT_SOURCE, NO_LINK, InterfaceName.parse(FRONT), "say")
        await lattice.caller.call(
            "front", tail, pack(["x"]), timeout_ms=5_000, linked=False, app_version="shop:v7"
        )
        (header,) = await eventually(lambda: seen)
        assert (header.app_version, header.interface_version) == ("shop:v7", "1.0.0")
        assert header.revision == link.revision and 0 < header.ms_left <= 5_000


async def test_caller_and_callee_have_links_of_their_own_to_one_interface(placed: Placed) -> None:
    apart = {"fuse": "never"}  # so that both imports leave the fused component, and must not be confused
    await placed.start("first", guests.echo(tag="1:"), host=placed.back_host, limits=apart)
    await placed.start("second", guests.echo(tag="2:"), host=placed.back_host, limits=apart)
    await placed.lattice.link("front", "first", ECHO)
    await placed.lattice.link("back", "second", ECHO)
    await placed.pair(both(ECHO, MIDDLE), guests.relay(exported=MIDDLE), MIDDLE)
    assert await placed.say("x") == "2:1:x"


async def test_the_callee_goes_by_the_label_of_its_import(placed: Placed) -> None:
    for name in ("default", "cache"):
        await placed.start(name, guests.echo(tag=f"{name}:"), host=placed.back_host, limits={"fuse": "never"})
        await placed.lattice.link("back", name, ECHO, name=name)
    middle = guests.relay(exported=MIDDLE, label="cache")
    await placed.pair(guests.relay(imported=MIDDLE), middle, MIDDLE)
    assert await placed.say("x") == "cache:x"


async def test_a_chain_of_three_gives_the_same(placed: Placed) -> None:
    await placed.start("last", guests.echo(tag="e:"), host=placed.back_host)
    await placed.start("back", guests.relay(exported=MIDDLE), host=placed.back_host)
    await placed.start("front", guests.relay(imported=MIDDLE), host=placed.front_host)
    await placed.lattice.link("back", "last", ECHO)
    await placed.lattice.link("front", "back", MIDDLE)
    if placed.fuses:
        await placed.lattice.fused("front", "back", "last")
    assert await placed.say("x") == "e:x"


async def test_the_callee_reads_config_of_its_own(placed: Placed) -> None:
    lattice = placed.lattice
    for name, value in (("ours", "of the caller"), ("theirs", "of the callee")):
        assert (await lattice.ask("config", "put", name, greeting=value)).success
    await placed.start("back", guests.config_reader(exported=ECHO), host=placed.back_host, config=["theirs"])
    await placed.start("front", guests.relay(), host=placed.front_host, config=["ours"])
    await placed.joined()
    assert await placed.say("greeting") == "of the callee"
    assert (await lattice.ask("config", "put", "theirs", greeting="changed")).success

    async def changed() -> bool:
        return await placed.say("greeting") == "changed"

    await eventually(changed)


async def test_an_instance_that_is_reused_keeps_its_state_between_calls(placed: Placed) -> None:
    await placed.pair(guests.relay(), counter())
    assert [await placed.say("x") for _ in range(3)] == ["1", "2", "3"]


@pytest.mark.parametrize("front_reuses", [False, True])
async def test_a_fresh_instance_has_none(placed: Placed, front_reuses: bool) -> None:
    """With `fuse: always` the callee's instance lives as long as its caller's, as its owner then accepts."""
    fuse = {"fuse": "always"} if placed.fuses else {}
    await placed.start("back", counter(), host=placed.back_host, limits={"reuse": False, **fuse})
    await placed.start("front", guests.relay(), host=placed.front_host, limits={"reuse": front_reuses})
    await placed.joined()
    kept = placed.fuses and front_reuses
    assert [await placed.say("x") for _ in range(3)] == (["1", "2", "3"] if kept else ["1", "1", "1"])


async def test_a_fresh_instance_stays_fresh_where_nobody_allowed_anything_else(placed: Placed) -> None:
    await placed.pair(guests.relay(), counter(), back_limits={"reuse": False}, unfused="fresh instance")
    assert [await placed.say("x") for _ in range(3)] == ["1", "1", "1"]


async def test_calls_at_once_do_not_mix(placed: Placed) -> None:
    await placed.pair(guests.relay(), guests.echo(tag="e:"))
    texts = [f"{number}-" * (number * 50 + 1) for number in range(40)]
    answers = await asyncio.gather(*(placed.say(text) for text in texts))
    assert answers == [f"e:{text}" for text in texts]


async def test_a_callee_with_room_for_one_serves_all_one_after_the_other(placed: Placed) -> None:
    await placed.start("back", guests.echo(), host=placed.back_host, count=1)
    await placed.start("front", guests.relay(), host=placed.front_host)
    await placed.joined(unfused="max_instances")
    texts = [str(number) for number in range(20)]
    assert await asyncio.gather(*(placed.say(text) for text in texts)) == texts


@resource("bucket")
class Bucket:
    name: str


class Store(Provider):
    """Buckets, which know their names."""

    wit = """
        package lath:test@1.0.0;
        interface store {
          resource bucket { get: func(key: string) -> string; }
          open: func(name: string) -> result<bucket, string>;
        }
    """
    resources = (Bucket,)

    @operation("lath:test/store")
    async def open(self, call: Call[None], name: str) -> Bucket:
        return Bucket(f"{name} opened by {call.source_id}")

    @operation("lath:test/store", "[method]bucket.get")
    async def get(self, call: Call[None], bucket: Bucket, key: str) -> str:
        return f"{key} of {bucket.name} asked by {call.source_id}"


async def test_a_providers_resource_goes_from_caller_to_callee(placed: Placed) -> None:
    reader = "test:placed/reader@1.0.0"
    async with ProviderInstance(Store(), placed.lattice.bus, provider_id="store"):
        await placed.pair(opener_of_handles(), reader_of_handles(), reader, unfused="passes resources of")
        for source in ("front", "back"):
            await placed.lattice.link(source, "store", "lath:test/store@1.0.0")
        for _ in range(2):
            assert await placed.say("b") == "b of b opened by front asked by back"


async def test_a_resource_of_the_callees_own_is_made_used_given_back_and_dropped(placed: Placed) -> None:
    await placed.pair(maker_of_counters(), COUNTERS, COUNTERS_NAME)
    assert [await placed.say("x" * length) for length in range(3)] == ["0", "1", "2"]
    await nothing_pinned(placed)


async def test_resources_meet_and_are_lent_also_where_the_caller_hands_them_out(placed: Placed) -> None:
    await placed.pair(HOLDER, COUNTERS, COUNTERS_NAME, unfused="front passes handles")
    for _ in range(3):
        assert await placed.lattice.call("front", HOLDER_NAME, "sum", 4, 5) == 9
        assert await placed.lattice.call("front", HOLDER_NAME, "meet", 4, 5) == 9
        assert await placed.lattice.call("front", HOLDER_NAME, "give", 7) == 7
    await nothing_pinned(placed)


async def nothing_pinned(placed: Placed) -> None:
    """Returns once no resource keeps an instance of `back`."""
    back = placed.back_host.services.components.get("back")
    await eventually(lambda: (back.describe().stats or {})["pinned"] == 0)


@pytest.mark.timeout(300)  # the first time, while the fused one is compiled in a thread of low priority
async def test_python_calls_python_and_what_the_callee_prints_is_in_the_log(
    placed: Placed, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    greet = "demo:app/greet@0.1.0"
    caplog.set_level(logging.INFO)
    front, back = await asyncio.gather(
        asyncio.to_thread(build_python_guest, PARTNER_WIT, PARTNER_SOURCE),
        asyncio.to_thread(build_python_guest),
    )
    for source in (front, back):
        await engine.compile(source)  # which takes long the first time
    await placed.pair(front, back, greet)
    assert await placed.say("Ada", timeout_ms=30_000) == "hello Ada; Ada [0, 1, 2]; 3 bytes back"

    def said() -> list[str]:
        messages = map(logging.LogRecord.getMessage, caplog.records)
        return [message for message in messages if "running Ada" in message]

    whose = "front" if placed.fuses else "back"  # one instance, one output
    assert repr(whose) in (await eventually(said))[0]
