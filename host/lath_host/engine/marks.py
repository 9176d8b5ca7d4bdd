"""What tells that a file is the one that was hashed before, and has not been written since.

The kernel sets the time of a file's last change at every write, cutting off and renaming, and no program can
choose it. What it does not see is what a crash leaves of a file that was not on the disk yet, so a mark holds
until the machine is started anew.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def mark_of(path: Path) -> str:
    """Which file it is, and when it was changed last; empty where the machine's start has no name.

    Raises:
        OSError: It is not there.
    """
    boot, found = _boot(), os.stat(path)
    file = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return " ".join(map(str, (boot, *file))) if boot else ""


@cache
def _boot() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:  # not Linux, or a sandbox
        return ""
