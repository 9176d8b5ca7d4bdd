"""The process that holds a detached lattice: `python -m lath_control.local '{options as JSON}'`."""

from __future__ import annotations

import asyncio
import signal
import sys

from lath import telemetry
from lath.errors import LathError
from lath.model import parse
from lath_control.local.lattice import LocalLattice, LocalOptions


async def keep(options: LocalOptions) -> int:
    """Holds the lattice until SIGTERM or SIGINT, or until one of its processes ends."""
    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop.set)
    log = telemetry.get_logger(__name__)
    async with LocalLattice(options):
        stopping = asyncio.create_task(asked_to_stop.wait())
        while not asked_to_stop.is_set():
            await stopping
    log.info("stopped", lattice=options.lattice)
    return 0


def main() -> int:
    telemetry.configure_logging()
    try:
        options = parse(LocalOptions, sys.argv[1] if len(sys.argv) > 1 else "{}", "options")
        return asyncio.run(keep(options))
    except LathError as e:
        sys.stderr.write(f"{e}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
