"""The clock that makes a busy guest yield: a thread that advances the epoch of the engines.

One thread per engine, a daemon. It rests while no guest has run for a while, so an idle host wakes for
nothing.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from lath_host.engine import capi

IDLE_TICKS: Final = 100
"""After so many ticks without a guest being polled the clock rests. More than any slice that a guest gets."""


class Epochs:
    """Advances epochs every `tick_ms`.

    Attributes:
        tick_ns: The same, in nanoseconds.
        now: The epoch, as far as Python knows: never behind the engines', one ahead for a moment.
        polls: Count it up before polling a guest, then call `wake` if `resting`.
        resting: Whether the clock stands still.
    """

    def __init__(self, tick_ms: int) -> None:
        self.now = 0
        self.polls = 0
        self.resting = False
        self.tick_ns = tick_ms * 1_000_000
        self._tick_seconds = tick_ms / 1000
        self._engines: list[int] = []
        self._stopped = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lath-epochs", daemon=True)
        self._thread.start()

    def add(self, engine: int) -> None:
        """Has the engine at this address tick along."""
        self._engines.append(engine)

    def wake(self) -> None:
        """Ends the rest."""
        self._wake.set()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped = True
        self._wake.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        seen, idle = self.polls, 0
        while not self._stopped:
            time.sleep(self._tick_seconds)
            # `now` first: a guest that has yielded must find `now` past its deadline
            self.now += 1
            for engine in self._engines:
                capi.engine_increment_epoch(engine)
            idle = idle + 1 if self.polls == seen else 0
            seen = self.polls
            if idle > IDLE_TICKS:
                self._rest(seen)
                idle = 0

    def _rest(self, seen: int) -> None:
        self._wake.clear()
        self.resting = True
        # whoever polled before it could see `resting` has counted `polls` up
        if self.polls == seen and not self._stopped:
            self._wake.wait()
        self.resting = False
