"""A component chooses the links of its next calls by `wasmcloud:bus/lattice`, which the host answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import guests
import pytest
from choosing_guests import chooser
from http_python_guest import build_http_guest
from msgpack import ExtType

from lath import telemetry
from lath.errors import InvalidArgument, LimitExceeded, LinkFailed, LinkNotFound, NotFound
from lath.names import InterfaceName
from lath.telemetry import TraceContext
from lath.wit.types import Func, Interface, Primitive, ResultOf
from lath_host import Host
from lath_host.components import link_choice
from lath_host.engine import Engine
from lath_host.engine.linkage import Import
from lath_host.testing import InProcessLattice

ECHO = "test:words/echo@1.0.0"
FRONT = "test:words/front@1.0.0"
WORDS = (Path(__file__).parents[1] / "support/words_provider.py").as_uri()
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(params=["1.0.0, the same host", "2.0.1, another host"])
async def setting(request: pytest.FixtureRequest, lattice_in_process: InProcessLattice) -> tuple[str, Host]:
    """The version of `wasmcloud:bus`, and where the targets run."""
    version, where = str(request.param).split(", ")
    lattice = lattice_in_process
    return version, lattice.hosts[0] if where == "the same host" else (await lattice.add_hosts(1))[0]


@pytest.fixture
async def front(lattice_in_process: InProcessLattice, setting: tuple[str, Host]) -> InProcessLattice:
    """The component that chooses, one instance of it for all calls; targets, each named as the link to it."""
    lattice = lattice_in_process
    version, host = setting
    for name in ("default", "first", "second", "fixed"):
        await lattice.start_component(f"at-{name}", guests.echo(tag=f"{name}:"), host=host)
        await lattice.link("front", f"at-{name}", ECHO, name=name)
    event = await lattice.start_component(
        "front", chooser(version), count=1, component_limits={"reuse": True}
    )
    assert event.name == "component_scaled", event.data
    return lattice


async def told(lattice: InProcessLattice, setting: tuple[str, Host], name: str) -> str:
    """What is said of a choice that fails: to the guest, or where the choice has no result, to its caller."""
    if setting[0] == "2.0.1":
        return str(await lattice.call("front", FRONT, "choose", name))
    error = await lattice.failure("front", FRONT, "choose", name)
    assert error.kind == "trap"
    return error.message


async def test_calls_go_by_the_link_that_was_chosen_last(front: InProcessLattice) -> None:
    assert await front.call("front", FRONT, "choose", "first") == "first:first"
    assert await front.call("front", FRONT, "choose", "second") == "second:second"
    assert await front.call("front", FRONT, "twice", "x") == "second:first:x"


async def test_the_next_call_of_the_same_instance_goes_by_default_again(front: InProcessLattice) -> None:
    assert await front.call("front", FRONT, "say", "x") == "default:x"
    assert await front.call("front", FRONT, "choose", "first") == "first:first"
    assert await front.call("front", FRONT, "say", "x") == "default:x"


async def test_default_can_be_chosen_too(front: InProcessLattice) -> None:
    assert await front.call("front", FRONT, "choose", "default") == "default:default"


async def test_an_import_with_a_label_goes_by_its_label(front: InProcessLattice) -> None:
    assert await front.call("front", FRONT, "labelled", "first") == "fixed:first"


async def test_a_link_that_is_not_there_is_told(front: InProcessLattice, setting: tuple[str, Host]) -> None:
    said = await told(front, setting, "nowhere")
    assert "link_not_found" in said and "'nowhere'" in said
    assert await front.call("front", FRONT, "say", "x") == "default:x"


async def test_names_that_guests_make_up_are_refused(
    front: InProcessLattice, setting: tuple[str, Host]
) -> None:
    for name in ("", "a.b", "*", "x" * 65, "a b", "ä"):
        said = await told(front, setting, name)
        assert "invalid_argument" in said and "link name" in said
    for name in ("", "a.b", ">", "9", "x" * 129, "a b"):
        error = await front.failure("front", FRONT, "name", name)
        assert error.kind == "trap" and "invalid_argument" in error.message and "interface" in error.message
    assert await front.call("front", FRONT, "choose", "first") == "first:first"


async def test_the_choice_needs_no_link_and_is_not_listed_as_needing_one(front: InProcessLattice) -> None:
    component = front.hosts[0].services.components.get("front")
    assert component.describe().imports == (
        "test:words/echo@1.0.0 (default)",
        "test:words/echo@1.0.0 (fixed)",
    )


@pytest.fixture
def caller_trace() -> Iterator[None]:
    with telemetry.use(TraceContext(f"00-{TRACE_ID}-b7ad6b7169203331-01", "")):
        yield


@pytest.mark.usefixtures("caller_trace")
async def test_the_trace_goes_along_by_a_chosen_link(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    host_id = lattice.hosts[0].id
    async with lattice.events() as events:
        fields = {"provider_id": "words", "provider_ref": WORDS, "host_id": host_id}
        assert (await lattice.ask("provider", "start", host_id, **fields)).success
        await events.wait("provider_started", host_id=host_id)
    await lattice.start_component("front", chooser(label="fixed"))
    await lattice.link("front", "words", ECHO, name="context")
    assert await lattice.call("front", FRONT, "choose", "context") == f"front context {TRACE_ID}"


@pytest.mark.timeout(300)  # the first time, while it is built and compiled
async def test_a_python_component_chooses_by_its_generated_bindings(
    lattice_in_process: InProcessLattice, engine: Engine
) -> None:
    lattice = lattice_in_process
    source = await asyncio.to_thread(build_http_guest)
    await engine.compile(source)  # which takes long the first time
    for name in ("default", "first"):
        await lattice.start_component(f"at-{name}", guests.echo(tag=f"{name}:"))
        await lattice.link("front", f"at-{name}", ECHO, name=name)
    event = await lattice.start_component("front", source)
    assert event.name == "component_scaled", event.data
    assert await lattice.call("front", FRONT, "say", "first", timeout_ms=30_000) == "first:first"
    told = await lattice.call("front", FRONT, "say", "nowhere", timeout_ms=30_000)
    assert told.startswith("not chosen: link_not_found")


SET = Func((), ResultOf(None, Primitive("string")))
THERE = {("a:b/c", "there"), ("a:b/d", "there")}


def find(interface: InterfaceName, link_name: str) -> None:
    if link_name == "held":
        raise LinkFailed("purged and held so")
    if (str(interface), link_name) not in THERE:
        raise LinkNotFound(link_name)


def choose(choices: dict[str, str], name: object, *interfaces: object) -> object:
    wanted = Import("wasmcloud:bus/lattice", Interface("wasmcloud:bus/lattice", {}), "set-link-name", SET, "")
    return link_choice.answer(wanted, [name, list(interfaces)], choices, find)


def handle(interface: str) -> ExtType:
    return ExtType(1, interface.encode())


def test_all_interfaces_are_chosen_or_none() -> None:
    choices: dict[str, str] = {}
    assert choose(choices, "there", handle("a:b/c"), handle("a:b/d")) == {"ok": None}
    assert choices == {"a:b/c": "there", "a:b/d": "there"}
    with pytest.raises(LinkNotFound):
        choose(choices, "elsewhere", handle("a:b/c"), handle("a:b/e"))
    assert choices == {"a:b/c": "there", "a:b/d": "there"}


def test_a_link_that_is_held_can_be_chosen() -> None:
    choices: dict[str, str] = {}
    choose(choices, "held", handle("a:b/c"))
    assert choices == {"a:b/c": "held"}


@pytest.mark.parametrize("made_up", [handle("a:b"), handle("a:b/*"), ExtType(1, b"\xff"), "a:b/c", None])
def test_a_handle_that_somebody_made_up_is_refused(made_up: object) -> None:
    with pytest.raises(InvalidArgument):
        choose({}, "there", made_up)


def test_a_guest_cannot_choose_without_end() -> None:
    choices = {f"a:b/c{number}": "x" for number in range(link_choice.CHOICES_MAX)}
    choose(choices, "held", handle("a:b/c1"))
    with pytest.raises(LimitExceeded):
        choose(choices, "held", handle("a:b/d"))


def test_another_function_of_the_interface_is_not_found() -> None:
    wanted = Import("wasmcloud:bus/lattice", Interface("wasmcloud:bus/lattice", {}), "get", SET, "")
    with pytest.raises(NotFound):
        link_choice.answer(wanted, [], {}, find)
