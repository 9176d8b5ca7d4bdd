"""Connections that say nothing, held by a process of its own: `python idle_clients.py PORT`.

A line on stdin says how many more to open, and is answered by how many there are; `ask` sends a request on
the first of them and is answered by the first line of the response. The end of stdin ends them all.
"""

from __future__ import annotations

import resource
import socket
import sys


def main(port: int) -> None:
    """Holds them until stdin ends."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held: list[socket.socket] = []
    for line in sys.stdin:
        if line.strip() == "ask":
            held[0].sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            answer = held[0].recv(4096).partition(b"\r\n")[0].decode()
        else:
            held += [socket.create_connection(("127.0.0.1", port)) for _ in range(int(line))]
            answer = str(len(held))
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
