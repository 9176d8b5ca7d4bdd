"""WASI for guests: native where wasmtime's own serves well, Python where it must be controlled.

Native (wasmtime's, asynchronous): io streams, wall clock, random, cli, filesystem, sockets; without any
directory, network, environment or argument. `clocks` defines waiting from Python, `output` carries what a
guest prints.
"""

from __future__ import annotations

from typing import Final

from lath.errors import InvalidArgument
from lath.names import InterfaceName

NATIVE_VERSION: Final = "0.2.12"
"""The version under which wasmtime 50.0.1 defines its WASI; a component may ask for any 0.2.x."""
_NATIVE_PACKAGES: Final = frozenset({"io", "clocks", "random", "cli", "filesystem", "sockets"})


def native_interface(name: str) -> str | None:
    """Under which name wasmtime defines an interface natively; None when it does not.

    Args:
        name: As it stands in a component: `wasi:io/poll@0.2.3`.
    """
    try:
        parsed = InterfaceName.parse(name)
    except InvalidArgument:
        return None
    if parsed.namespace != "wasi" or parsed.package not in _NATIVE_PACKAGES:
        return None
    if not parsed.version.startswith("0.2.") or "-" in parsed.version:
        return None
    return f"{parsed.unversioned}@{NATIVE_VERSION}"
