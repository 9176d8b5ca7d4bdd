"""Instances that have served are thrown away after their callers got their results, each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from lath.testing import eventually
from lath_host.engine.guest import Guest
from lath_host.engine.spent import SpentGuests


class _Instance:
    """An instance, as far as throwing it away goes."""

    def __init__(self, error: Exception | None = None) -> None:
        self.gone = False
        self._error = error

    def discard(self, on_gone: Callable[[], None]) -> None:
        self.gone = True
        if self._error is not None:
            raise self._error
        on_gone()


async def test_an_instance_is_thrown_away_on_the_next_turn_and_not_before() -> None:
    permits: list[None] = []
    spent, instance = SpentGuests(lambda: permits.append(None)), _Instance()
    spent.add(cast(Guest, instance))
    assert not instance.gone
    await asyncio.sleep(0)
    assert instance.gone and len(permits) == 1


async def test_one_that_cannot_be_thrown_away_does_not_keep_the_others() -> None:
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, about: told.append(about["exception"]))
    permits: list[None] = []
    spent, failure = SpentGuests(lambda: permits.append(None)), RuntimeError("a sink failed")
    instances = [_Instance(), _Instance(failure), _Instance(), _Instance()]
    for instance in instances:
        spent.add(cast(Guest, instance))
    await eventually(lambda: len(permits) == 3)
    assert all(instance.gone for instance in instances) and told == [failure]
