"""A caller as a process of its own: `python -m bench.caller URL TARGET [--sampled SHARE]`.

For what is turned on per process, such as telemetry. Answers `{"in_flight", "seconds"}` with what a closed
loop of calls took. With `--sampled` each call belongs to a trace, as calls from outside do, and that
share of the traces is sampled; without, calls carry no trace.
"""

from __future__ import annotations

import argparse
import itertools
import secrets
from typing import Any

from bench.child import answer
from bench.guests import ECHO
from bench.lattice import LATTICE
from bench.load import closed_loop, run
from bench.peers import PARAMS, REPLY
from lath import telemetry
from lath.names import NO_LINK
from lath.subjects import call_tail
from lath.telemetry import TraceContext
from lath_control.client import Client

_TRACES = 10_000
"""Made before anything is measured, and used again and again."""


def _traces(sampled: float) -> list[TraceContext]:
    every = round(1 / sampled)
    return [
        TraceContext(
            f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-{'01' if index % every == 0 else '00'}"
        )
        for index in range(_TRACES)
    ]


async def _main(url: str, target: str, sampled: float | None) -> None:
    tail = call_tail("_client", NO_LINK, ECHO, "echo")
    async with Client(url, lattice=LATTICE) as client:

        async def send() -> None:
            if await client.caller.call(target, tail, PARAMS, linked=False) != REPLY:
                raise RuntimeError("the echo is not what was sent")

        traces = itertools.cycle(_traces(sampled)) if sampled else None

        async def send_traced() -> None:
            assert traces is not None
            with telemetry.use(next(traces)):
                await send()

        async def reply(question: dict[str, Any]) -> dict[str, float]:
            return (await closed_loop(send_traced if traces else send, **question)).figures()

        await answer(reply)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("target")
    parser.add_argument("--sampled", type=float)
    arguments = parser.parse_args()
    telemetry.setup("bench-caller")
    try:
        run(_main(arguments.url, arguments.target, arguments.sampled))
    finally:
        telemetry.shutdown()
