"""Who a host is: its nkey (the id is the public key), its name for people, lath's version."""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import nkeys

from lath.errors import InvalidArgument
from lath.names import check_name

_SEED_BYTES: Final = 32
_VERSION: Final = version("lath")
_ADJECTIVES: Final = (
    "amber", "brisk", "calm", "clear", "dry", "early", "even", "fair", "fresh", "green", "keen", "light",
    "long", "mild", "new", "pale", "plain", "quick", "quiet", "silver", "sound", "still", "tidy", "warm",
)  # fmt: skip
_NOUNS: Final = (
    "alder", "ash", "beam", "beech", "birch", "board", "bough", "cedar", "elm", "frame", "hazel", "joist",
    "larch", "lath", "maple", "oak", "pine", "plank", "poplar", "rafter", "rowan", "spruce", "stud", "yew",
)  # fmt: skip


def lath_version() -> str:
    """The installed version of lath, as semver: clients of the control interface parse it."""
    return _VERSION


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """A host's key pair and name.

    Attributes:
        id: The public nkey, `N…`.
        seed: The private half, `SN…`; never logged, never sent. Empty for an id that was given as such.
        name: The friendly name.
    """

    id: str
    name: str
    seed: str = ""

    def __repr__(self) -> str:
        return f"HostIdentity(id={self.id!r}, name={self.name!r})"


def make_identity(*, seed: str = "", host_id: str = "", name: str = "") -> HostIdentity:
    """Makes a host's identity: of `seed` where there is one, else new.

    Args:
        seed: An nkey seed of a server (`SN…`), to keep the id through restarts.
        host_id: An id to use as it is, without a key pair; for tests.
        name: The friendly name; a readable one is made up by default.

    Raises:
        InvalidArgument: The seed is not one of a server, or both are given, or a name is not valid.
    """
    if seed and host_id:
        raise InvalidArgument("give a host either a seed or an id, not both: the id follows from the seed")
    chosen = check_name(name, "host name") if name else _readable_name()
    if host_id:
        return HostIdentity(id=check_name(host_id, "host id"), name=chosen)
    raw = (
        seed.encode()
        if seed
        else nkeys.encode_seed(secrets.token_bytes(_SEED_BYTES), nkeys.PREFIX_BYTE_SERVER)
    )
    public = _public_key(raw)
    return HostIdentity(id=public, name=chosen, seed=bytes(raw).decode())


def _public_key(seed: bytes) -> str:
    try:
        public: str = nkeys.from_seed(bytearray(seed)).public_key.decode()
    except Exception as e:  # nkeys raises a class of its own per defect, and binascii's
        raise InvalidArgument(f"the host's seed is not an nkey seed: {type(e).__name__}") from None
    if not public.startswith("N"):
        raise InvalidArgument(f"the host's seed is of a key {public[0]}…; a server's (SN…) is needed")
    return public


def _readable_name() -> str:
    return f"{random.choice(_ADJECTIVES)}-{random.choice(_NOUNS)}-{random.randrange(1000, 10000)}"
