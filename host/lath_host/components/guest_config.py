"""`wasi:config` for components: their named config, answered by the host itself.

A component that was started with config reads it through `wasi:config/store` without any link. Where a
link for it exists, the link wins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from lath.errors import InvalidArgument, NotFound
from lath.names import InterfaceName

_INTERFACES: Final = frozenset({"store", "runtime"})
"""`wasi:config/store`, and its name in earlier drafts."""


def is_guest_config(interface: InterfaceName) -> bool:
    """Whether an imported interface is one that this module answers."""
    return (
        interface.namespace == "wasi" and interface.package == "config" and interface.interface in _INTERFACES
    )


def answer(values: Callable[[], Mapping[str, str]], function: str, params: list[Any]) -> Any:
    """Answers one call; wire values in and out.

    Args:
        values: The component's config as it stands now.
        function: `get` or `get-all`.
        params: The key, for `get`.

    Raises:
        NotFound: There is no such function.
        InvalidArgument: The parameters do not fit it.
    """
    if function == "get-all":
        return {"ok": [[key, value] for key, value in sorted(values().items())]}
    if function != "get":
        raise NotFound(f"wasi:config has no function {function}")
    if len(params) != 1 or not isinstance(params[0], str):
        raise InvalidArgument("wasi:config get takes one string, the key")
    return {"ok": values().get(params[0])}
