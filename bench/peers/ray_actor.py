"""A Ray actor's echo, and its caller in a process of its own: `python -m bench.peers.ray_actor`.

Ray is an extra: `pip install 'lath[bench-ray]'`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bench.child import answer, child
from bench.load import Load, closed_loop, run
from bench.peers import PARAMS, REPLY, Contender

NAME = "ray_actor"


def why_no_ray() -> str:
    """Why there is no Ray here; empty where there is."""
    return "" if importlib.util.find_spec("ray") else "no Ray: pip install 'lath[bench-ray]'"


@asynccontextmanager
async def ray_peer() -> AsyncIterator[Contender]:
    """The contender."""
    env = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    async with child("bench.peers.ray_actor", env=env) as caller:

        async def closed(in_flight: int, seconds: float) -> Load:
            return Load(**await caller.ask({"in_flight": in_flight, "seconds": seconds}))

        yield Contender(NAME, closed)


async def _main() -> None:
    import ray

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, configure_logging=False)

    class Echo:
        async def echo(self, data: bytes) -> bytes:
            return data[-len(REPLY) :]

    actor: Any = ray.remote(Echo).options(max_concurrency=1_000).remote()

    async def call() -> None:
        if await actor.echo.remote(PARAMS) != REPLY:
            raise RuntimeError("the actor's echo is not what was sent")

    async def reply(question: dict[str, Any]) -> dict[str, float]:
        return (await closed_loop(call, **question)).figures()

    await call()
    try:
        await answer(reply)
    finally:
        ray.shutdown()


if __name__ == "__main__":
    run(_main())
