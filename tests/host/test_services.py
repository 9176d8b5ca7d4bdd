"""A component that exports `wasi:cli/run` runs as a service for as long as it is deployed."""

from __future__ import annotations

import logging

import guests
import pytest
from engine_guests import PRINTER

from lath.model import ServiceDescription
from lath.testing import eventually
from lath_host.testing import InProcessLattice

ECHO = "test:words/echo@1.0.0"
RUN = '(instance $run (export "run" (func $run))) (export "wasi:cli/run@0.2.6" (instance $run))'
SPINNING = f"""
(component
  (core module $guest
    (func (export "run") (result i32) (loop $again (br $again)) (unreachable)))
  (core instance $guest (instantiate $guest))
  (func $run (result (result)) (canon lift (core func $guest "run")))
  {RUN})
"""
FAILING = f"""
(component
  (core module $guest
    (func (export "run") (result i32) (i32.const 1)))
  (core instance $guest (instantiate $guest))
  (func $run (result (result)) (canon lift (core func $guest "run")))
  {RUN})
"""
TRAPPING = FAILING.replace("(i32.const 1)", "(unreachable)")
PRINTING = (
    PRINTER.decode()
    .replace(
        '(func (export "print")',
        """(data (i32.const 512) "beat\\0a")
        (func (export "run") (result i32)
          (call $print (call $get-stdout) (i32.const 512) (i32.const 5)) (i32.const 0))
        (func (export "print")""",
        1,
    )
    .replace(
        '(func (export "print") (param "text" string)',
        f"""(func $run (result (result)) (canon lift (core func $guest "run"))) {RUN}
        (func (export "print") (param "text" string)""",
        1,
    )
)


def service(lattice: InProcessLattice, component_id: str) -> ServiceDescription:
    (described,) = [each for each in lattice.hosts[0].inventory().components if each.id == component_id]
    assert described.service is not None
    return described.service


async def start(lattice: InProcessLattice, component_id: str, source: str, **scale: object) -> None:
    event = await lattice.start_component(component_id, source, **scale)  # type: ignore[arg-type]
    assert event.name == "component_scaled", event.data


async def test_it_runs_from_the_start_and_stops_on_scale_zero(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    await start(lattice, "spin", SPINNING, component_limits={"timeout_ms": 50})
    await eventually(lambda: service(lattice, "spin").status == "running")
    component = lattice.hosts[0].services.components.get("spin")
    run = component._service
    assert run is not None
    await eventually(lambda: run._pool._share.slices > 5)
    assert service(lattice, "spin").restarts == 0  # the time-out of calls is not one of the run
    await start(lattice, "spin", SPINNING, count=0)
    assert run.describe().status == "stopped" and run._pool.stats.running == 0
    assert not lattice.hosts[0].inventory().components


@pytest.mark.parametrize(
    ("source", "how"),
    [(FAILING, "it returned an error"), (TRAPPING, "unreachable"), (PRINTING, "it returned")],
)
async def test_it_is_started_again_however_it_ends(
    lattice_in_process: InProcessLattice, source: str, how: str
) -> None:
    lattice = lattice_in_process
    await start(lattice, "svc", source)
    await eventually(lambda: service(lattice, "svc").restarts >= 2)
    assert how in (service(lattice, "svc").last_error or "")


async def test_what_it_prints_is_in_the_log(
    lattice_in_process: InProcessLattice, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await start(lattice_in_process, "svc", PRINTING)

    def said() -> bool:
        return any("beat" in record.getMessage() for record in caplog.records)

    await eventually(said)


async def test_it_calls_others_by_its_links_and_is_tried_again_until_they_are_there(
    lattice_in_process: InProcessLattice,
) -> None:
    lattice = lattice_in_process
    calling = guests.relay(exported="test:words/front@1.0.0").replace(
        '(func (export "after")',
        """(func (export "run") (result i32)
          (call $say (i32.const 512) (i32.const 0) (i32.const 0)) (i32.const 0))
        (func (export "after")""",
        1,
    )
    lifted = f'(func $run (result (result)) (canon lift (core func $guest "run"))) {RUN}'
    calling = calling.replace("(instance $out", f"{lifted} (instance $out", 1)
    await start(lattice, "svc", calling)
    await eventually(lambda: "link_not_found" in (service(lattice, "svc").last_error or ""))
    await start(lattice, "echo", guests.echo())
    await lattice.link("svc", "echo", ECHO)
    await eventually(lambda: service(lattice, "svc").last_error == "it returned", timeout_s=20)
    assert await lattice.call("svc", "test:words/front@1.0.0", "say", "x") == "x"


async def test_a_component_without_the_export_is_no_service(lattice_in_process: InProcessLattice) -> None:
    await start(lattice_in_process, "echo", guests.echo())
    (described,) = lattice_in_process.hosts[0].inventory().components
    assert described.service is None
