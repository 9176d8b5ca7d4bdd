"""A process that serves calls, for tests that stop, freeze or kill one.

Run: `python rpc_peer.py URL LATTICE TARGET INSTANCE TTL_MS`. It prints `ready`, serves until SIGTERM, then
drains. What is called decides: `echo` answers at once, `wait` never, `slow` after a moment, `pid` with its
process id, `trace` with the trace context that it got.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

from lath import telemetry
from lath.bus import Bus
from lath.model.presence import Presence
from lath.presence import PresenceAnnouncer
from lath.rpc import CallServer, IncomingCall

SLOW_S = 0.05


async def handle(call: IncomingCall) -> bytes:
    function = call.subject.function
    if function == "wait":
        await asyncio.Event().wait()
    if function == "slow":
        await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=SLOW_S)
    if function == "pid":
        return str(os.getpid()).encode()
    if function == "trace":
        headers: dict[str, str] = {}
        telemetry.inject(headers)
        return (headers.get("traceparent", "") + "|" + headers.get("tracestate", "")).encode()
    return call.payload


async def main(url: str, lattice: str, target: str, instance: str, ttl_ms: int) -> None:
    telemetry.setup(target, instance_id=instance)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with await Bus.connect(url, lattice=lattice, name=instance) as bus:
        server = CallServer(bus, target, instance, handle)
        await server.start()
        presence = Presence(
            kind="provider",
            target=target,
            instance_id=instance,
            started_ms=int(time.time() * 1000),
            version="0.0.0",
            ttl_ms=ttl_ms,
        )
        announcer = PresenceAnnouncer(bus, presence)
        await announcer.start()
        await announcer.announced.wait()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await stopping.wait()
        await announcer.withdraw()
        await server.drain(linger_ms=500)
        await announcer.close()
    telemetry.shutdown()


if __name__ == "__main__":
    _, the_url, the_lattice, the_target, the_instance, the_ttl_ms = sys.argv
    asyncio.run(main(the_url, the_lattice, the_target, the_instance, int(the_ttl_ms)))
