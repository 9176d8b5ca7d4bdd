"""Whatever a guest calls, in whichever order: with a keeper and without one all comes to the same."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field

from http_programs import NAMES, PROGRAMMED, Step, encoded, program_of
from http_served import Served, chunks, serving_pool, whole
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lath.errors import LathError
from lath.testing import eventually
from lath_host.engine import Engine
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext

REUSE = Limits(reuse=True, max_instances=1)
CHOICE = st.tuples(st.integers(0, 999), st.integers(0, 999))
PROGRAMS = st.lists(CHOICE, min_size=1, max_size=30).map(program_of)
EXAMPLES = 60
FRAME = re.compile(r"\s*\d+:\s+0x[0-9a-f]+ - \S+?!(<wasm function \d+>|\w+);?")
"""Of a backtrace, which has the keeper's as well."""
TOLD_LATER = ("it dropped a handle while", "before it dropped the body's stream")
"""What the guest did wrong the host may hear of when something else has gone wrong already."""


@dataclass
class Outcome:
    """What came of a request.

    Attributes:
        seen: By who asked.
        failures: Calls that failed.
        held: Objects of the host's that the instance still holds.
        kept_bytes: What these keep.
        host_calls: By interface.
    """

    seen: list[object] = field(default_factory=list)
    failures: int = 0
    held: int = 0
    kept_bytes: int = 0
    host_calls: dict[str, int] = field(default_factory=dict)


def test_any_program_comes_to_the_same_with_a_keeper(engine: Engine, plain: Engine) -> None:
    with asyncio.Runner() as runner:
        compiled = [runner.run(each.compile(PROGRAMMED)) for each in (engine, plain)]
        assert [each.has_keeper for each in compiled] == [True, False]

        async def compare(programs: list[list[Step]], has_body: bool) -> None:
            async with (
                serving_pool(engine, compiled[0], REUSE) as web,
                serving_pool(plain, compiled[1], REUSE) as bare,
            ):
                for program in programs:
                    outcome = await asked(web, program, has_body)
                    assert_same(outcome, await asked(bare, program, has_body), program)

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.lists(PROGRAMS, min_size=1, max_size=3), st.booleans())
        def compares(programs: list[list[Step]], has_body: bool) -> None:
            runner.run(compare(programs, has_body))

        compares()


def assert_same(kept: Outcome, bare: Outcome, program: list[Step]) -> None:
    shown = [(NAMES[what], used, filled) for what, used, filled in program]
    if bare.failures and kept.failures:  # what was put off is lost with the instance, and told of by nobody
        assert all(count <= bare.host_calls.get(name, 0) for name, count in kept.host_calls.items()), shown
        kept.host_calls = bare.host_calls
        if any(late in str(bare.seen) for late in TOLD_LATER):
            kept.seen = bare.seen
    assert kept == bare, shown


async def asked(web: Served, program: list[Step], has_body: bool) -> Outcome:
    """Runs a program for one request."""
    await web.pool.call("", "load", [bytes(encoded(program))], context=CallContext())
    before, failures = web.pool.usage.totals(), web.pool.stats.failures
    outcome = Outcome()
    try:
        message = {"method": "POST", "body": chunks(b"hello", b"world")} if has_body else {}
        response = await web.ask(timeout_ms=5_000, **message)
        outcome.seen.append((response.status, response.headers))
        outcome.seen.append(await whole(response))
        outcome.seen.append(list(response.trailers))
    except LathError as error:
        outcome.seen.append((type(error), FRAME.sub("", str(error))))
    await eventually(lambda: web.pool.stats.running == 0)
    after = web.pool.usage.totals()
    outcome.failures = web.pool.stats.failures - failures
    guests = [guest for guest in web.pool._linkage.guests.values() if not guest._discarded]
    outcome.held = sum(len(guest.handles.local) for guest in guests)
    outcome.kept_bytes = sum(guest.handles.kept.size for guest in guests)
    outcome.host_calls = {
        name: count
        for name in after
        if name.startswith("host_calls") and (count := after[name] - before.get(name, 0))
    }
    return outcome
