"""What guests are given from outside: environment and arguments."""

from __future__ import annotations

from typing import Any

import pytest
from engine_guests import no_imports
from telling_guests import ABOUT, teller

from lath_host.engine import Engine
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext
from lath_host.engine.pool import InstancePool
from lath_host.engine.surroundings import Surroundings

CONTEXT = CallContext()


async def told(engine: Engine, surroundings: Surroundings | None, **limits: Any) -> list[Any]:
    """What a guest says of its environment, its arguments and its folder."""
    compiled = await engine.compile(teller().encode())
    async with InstancePool(
        engine, compiled, Limits(**limits), no_imports, name="teller", surroundings=surroundings
    ) as pool:
        return [await pool.call(ABOUT, each, [], context=CONTEXT) for each in ("env", "args", "cwd")]


async def test_a_guest_has_no_environment_and_no_arguments_unless_it_is_given_some(engine: Engine) -> None:
    assert await told(engine, None) == [[], [], None]


@pytest.mark.parametrize("limits", [{}, {"reuse": True}, {"fuel_max": 1_000_000}])
async def test_a_guest_has_the_environment_and_the_arguments_that_it_is_given(
    engine: Engine, limits: dict[str, Any]
) -> None:
    env = (("NAME", "Zoë"), ("EMPTY", ""), ("EQUALS", "a=b"))
    given = Surroundings(env=env, args=("program", "--verbose", ""))
    assert await told(engine, given, **limits) == [
        [list(pair) for pair in env], ["program", "--verbose", ""], None,
    ]  # fmt: skip


async def test_pools_of_one_component_give_each_guest_their_own(engine: Engine) -> None:
    one, other = Surroundings(env=(("WHO", "one"),)), Surroundings(env=(("WHO", "other"),))
    assert (await told(engine, one))[0] == [["WHO", "one"]]
    assert (await told(engine, other))[0] == [["WHO", "other"]]
