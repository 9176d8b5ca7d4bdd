"""Child processes that end with the process that started them, also when that one is killed."""

from __future__ import annotations

import os
import sys
from typing import Final

# PR_SET_PDEATHSIG, set by a small process that then becomes the child: code between fork and exec in this,
# possibly threaded, process would not be safe. Where there is no prctl (macOS) the child just starts.
_TIE: Final = """
import os, sys
try:
    import ctypes
    ctypes.CDLL(None).prctl(1, 15, 0, 0, 0)
except (ImportError, OSError, AttributeError):
    pass
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


def ending_with_us(program: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs a program which gets SIGTERM when this process ends, however it ends.

    Start it from a thread that lasts, such as the loop's: the system takes the end of the thread that started
    a child for the end of its parent.

    Args:
        program: The path of an executable.
        arguments: What it is given.
    """
    return (sys.executable, "-I", "-S", "-c", _TIE, str(os.getpid()), program, *arguments)
