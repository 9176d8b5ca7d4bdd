"""Where lath keeps its files on this machine: contexts, state of local lattices, caches.

`LATH_HOME` moves everything into one folder; otherwise the XDG folders are used.
"""

from __future__ import annotations

import os
from pathlib import Path


def _folder(xdg_variable: str, fallback: str) -> Path:
    home = os.environ.get("LATH_HOME")
    if home:
        return Path(home)
    base = os.environ.get(xdg_variable)
    return (Path(base) if base else Path.home() / fallback) / "lath"


def config_dir() -> Path:
    """Contexts: `$LATH_HOME`, `$XDG_CONFIG_HOME/lath` or `~/.config/lath`."""
    return _folder("XDG_CONFIG_HOME", ".config")


def state_dir() -> Path:
    """Local lattices and their logs: `$LATH_HOME`, `$XDG_STATE_HOME/lath` or `~/.local/state/lath`."""
    return _folder("XDG_STATE_HOME", ".local/state")


def cache_dir() -> Path:
    """What can be made again: `$LATH_HOME/cache`, `$XDG_CACHE_HOME/lath` or `~/.cache/lath`."""
    folder = _folder("XDG_CACHE_HOME", ".cache")
    return folder / "cache" if os.environ.get("LATH_HOME") else folder


def write_private(path: Path, text: str) -> None:
    """Replaces a file in one step, readable by its owner only: a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)
