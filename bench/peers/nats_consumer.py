"""The peer of a JetStream handler: nats-py's pull consumer, which acks each message it has looked at.

python -m bench.peers.nats_consumer URL STREAM CONSUMER BATCH

Asked for a number of messages, it answers with the seconds that it took to pull and acknowledge them.
"""

from __future__ import annotations

import asyncio
import sys
import time

import nats
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NothingCame

from bench.child import answer

_FETCH_SECONDS = 5.0


async def _handle(msg: Msg) -> bool:
    """What the component does: an empty body would be an error."""
    return bool(msg.data)


async def main() -> None:
    url, stream, consumer, batch = sys.argv[1:5]
    nc = await nats.connect(url)
    pulled = await nc.jetstream().pull_subscribe_bind(consumer, stream)

    async def consume(count: int) -> float:
        began = time.perf_counter()
        while count > 0:
            try:
                messages = await pulled.fetch(min(int(batch), count), timeout=_FETCH_SECONDS)
            except NothingCame:
                continue
            for msg in messages:
                if await _handle(msg):
                    await msg.ack()
            count -= len(messages)
        await nc.flush()
        return time.perf_counter() - began

    await answer(consume)
    await nc.close()


if __name__ == "__main__":
    asyncio.run(main())
