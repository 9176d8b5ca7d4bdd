"""What a program finds for the length of one call: an environment, and what is behind stdin and stdout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lath_host.engine.wasi.environment import Environment
from lath_host.engine.wasi.streams import InputStream, OutputStream


@dataclass(frozen=True, slots=True)
class Standard:
    """What is a program's own for one call, in place of what its component has.

    Attributes:
        environment: What native WASI tells it.
        stdin: Makes a handle of its standard input.
        stdout: Makes a handle of its standard output.
    """

    environment: Environment
    stdin: Callable[[], InputStream]
    stdout: Callable[[], OutputStream]
