"""The control interface v1: who asks what on which subject, and what a host answers.

`dispatch` finds the operation of a subject, `server` subscribes and replies; the operations themselves stand
in a module per thing that they are about. Each is a small function from a request to a reply.
"""

from lath_host.control.server import ControlServer

__all__ = ["ControlServer"]
