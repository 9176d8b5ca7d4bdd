"""redis-py's asyncio client as a process of its own: `python -m bench.peers.redis_py PORT KEY IN_FLIGHT`.

A connection for each get in flight, from its pool, as its documentation shows. Answers `{"in_flight",
"seconds"}` with what a closed loop of gets took.
"""

from __future__ import annotations

import sys
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis

from bench.child import answer
from bench.load import closed_loop, run


async def _main(port: int, key: str, connections: int) -> None:
    pool = BlockingConnectionPool(port=port, max_connections=connections)
    async with Redis(connection_pool=pool) as client:

        async def get() -> None:
            if await client.get(key) is None:
                raise RuntimeError("the key is not there")

        async def reply(question: dict[str, Any]) -> dict[str, float]:
            return (await closed_loop(get, **question)).figures()

        await answer(reply)
    await pool.aclose()


if __name__ == "__main__":
    run(_main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
