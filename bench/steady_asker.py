"""Asks over a socket at a steady rate and measures: `python -m bench.steady_asker FD RATE SECONDS`.

A process of its own, so that what the other side's event loop misses counts too. Prints p50 and p99 in
microseconds.
"""

from __future__ import annotations

import json
import socket
import statistics
import sys
import time


def _main(fd: int, rate_per_s: float, seconds: float) -> None:
    with socket.socket(fileno=fd) as line:
        took = []
        due = time.perf_counter()
        for _ in range(int(rate_per_s * seconds)):
            due += 1 / rate_per_s
            time.sleep(max(0.0, due - time.perf_counter()))
            sent = time.perf_counter()
            line.sendall(b"x")
            line.recv(1)
            took.append((time.perf_counter() - sent) * 1e6)
    cuts = statistics.quantiles(took, n=100, method="inclusive")
    print(json.dumps([cuts[49], cuts[98]]))


if __name__ == "__main__":
    _main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
