"""The files that keys are kept in: of a lattice's seeds, and of one participant's private keys.

A line each, the current one first; empty lines and those that begin with `#` are skipped. A file that others
may read, that somebody else owns, or that is a symbolic link is refused.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from lath.errors import Conflict, InvalidArgument, NotFound
from lath.secrets.keys import LatticeKeys, ParticipantKeys, key_bytes, key_text, new_seed

FILE_BYTES_MAX: Final = 64 * 1024
_SEED: Final = "lath-lattice-seed-v1"
_KEY: Final = "lath-participant-key-v1"
_ABOUT_SEEDS: Final = (
    "# The seeds of a lattice's secrets, the current one first. Who has this file can open all of them.\n"
)


def read_lattice_keys(path: Path, lattice: str) -> LatticeKeys:
    """The keys of a lattice.

    Raises:
        NotFound: There is no such file.
        InvalidArgument: It is not safe, or has no seeds in it. Its content is never shown.
    """
    return LatticeKeys(lattice, _seeds(path))


def read_participant_keys(path: Path, participant: str) -> ParticipantKeys:
    """The keys of one participant, for a provider that stands alone.

    Raises:
        NotFound: There is no such file.
        InvalidArgument: It is not safe, has no keys in it, or those of somebody else.
    """
    keys = []
    for number, line in _lines(path):
        kind, _, rest = line.partition(":")
        whose, _, text = rest.partition(":")
        if kind != _KEY:
            raise InvalidArgument(f"{path} line {number} is not a participant's key ({_KEY}:…)")
        if whose != participant:
            raise InvalidArgument(f"{path} has the key of {whose}, and {participant} was started with it")
        keys.append(key_bytes(text, f"the key in {path} line {number}"))
    if not keys:
        raise InvalidArgument(f"{path} has no key in it")
    return ParticipantKeys(participant, keys)


def participant_text(keys: ParticipantKeys) -> str:
    """The content of a participant's key file."""
    return "".join(f"{_KEY}:{keys.participant}:{key_text(key)}\n" for key in keys.private)


def add_seed(path: Path) -> int:
    """Makes the file with a new seed, or puts a new one before those that it has; returns how many it has.

    Raises:
        InvalidArgument: There is a file, and it is not safe or has no seeds in it.
    """
    try:
        before = _seeds(path)
    except NotFound:
        before = []
    seeds = [new_seed(), *before]
    write_private(path, _ABOUT_SEEDS + "".join(f"{_SEED}:{key_text(seed)}\n" for seed in seeds))
    return len(seeds)


def ensure_seed(path: Path) -> None:
    """Makes the file with a new seed where there is none.

    Raises:
        InvalidArgument: There is one, and it is not safe or has no seeds in it.
    """
    try:
        _seeds(path)
    except NotFound:
        add_seed(path)


def write_private(path: Path, text: str, *, replace: bool = True) -> None:
    """Writes a file that its owner alone may read, in one step.

    Raises:
        Conflict: There is one, and it is not to be replaced.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            os.link(temporary, path)
    except FileExistsError:
        raise Conflict(f"{path} is there already") from None
    finally:
        temporary.unlink(missing_ok=True)


def _seeds(path: Path) -> list[bytes]:
    seeds = []
    for number, line in _lines(path):
        kind, _, text = line.partition(":")
        if kind != _SEED:
            raise InvalidArgument(f"{path} line {number} is not a lattice's seed ({_SEED}:…)")
        seeds.append(key_bytes(text, f"the seed in {path} line {number}"))
    if not seeds:
        raise InvalidArgument(f"{path} has no seed in it: make one with `lath secret new-key {path}`")
    return seeds


def _lines(path: Path) -> list[tuple[int, str]]:
    lines = enumerate(_private_text(path).splitlines(), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip() and not line.startswith("#")]


def _private_text(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound(f"there is no key file {path}: make one with `lath secret new-key {path}`") from None
    except OSError as e:
        raise InvalidArgument(
            f"key file {path} is a symbolic link: name the file itself"
            if path.is_symlink()
            else f"key file {path} cannot be read: {e.strerror}"
        ) from None
    try:
        _check_private(path, os.fstat(descriptor))
        data = os.read(descriptor, FILE_BYTES_MAX + 1)
    finally:
        os.close(descriptor)
    if len(data) > FILE_BYTES_MAX:
        raise InvalidArgument(f"key file {path} has more than {FILE_BYTES_MAX} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidArgument(f"key file {path} is not text") from None


def _check_private(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise InvalidArgument(f"key file {path} is no regular file")
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise InvalidArgument(f"key file {path} can be read by others (mode {mode:04o}): chmod 600 {path}")
    if found.st_uid not in (os.geteuid(), 0):
        raise InvalidArgument(f"key file {path} belongs to another user")
