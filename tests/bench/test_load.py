"""Load says what calls took, and of calls that fail that they did."""

from __future__ import annotations

import pytest
from bench.load import open_loop


async def test_a_call_that_fails_in_an_open_loop_is_not_passed_over() -> None:
    answers = iter([True, False])

    async def call() -> None:
        if not next(answers, True):
            raise ValueError("the answer is not what was asked for")

    with pytest.raises(ValueError, match="not what was asked for"):
        await open_loop(call, 1000, 0.02)


async def test_an_open_loop_counts_what_was_due() -> None:
    async def call() -> None:
        pass

    assert (await open_loop(call, 1000, 0.02)).calls_per_s > 0
