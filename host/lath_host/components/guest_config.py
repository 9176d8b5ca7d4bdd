"""`wasi:config` for components: their named config, answered by the host itself.

A component that was started with config reads it through `wasi:config/store` without any link, as it stands
at that moment: a change reaches instances that run, and those that are reused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from lath.errors import InvalidArgument, NotFound
from lath.names import InterfaceName
from lath.wit.types import Func, ResultOf

_INTERFACES: Final = frozenset({"store", "runtime"})
"""`wasi:config/store`, and its name in earlier drafts."""


def is_guest_config(interface: InterfaceName) -> bool:
    """Whether an imported interface is one that this module answers."""
    return (
        interface.namespace == "wasi" and interface.package == "config" and interface.interface in _INTERFACES
    )


def answer(values: Callable[[], Mapping[str, str]], function: str, func: Func, params: list[Any]) -> Any:
    """Answers one call; wire values in and out.

    Args:
        values: The component's config as it stands now.
        function: `get` or `get-all`.
        func: Its type: drafts before the last return a result, with an error that does not happen here.
        params: The key, for `get`.

    Raises:
        NotFound: There is no such function.
        InvalidArgument: The parameters do not fit it.
    """
    if function == "get-all":
        return _told([[key, value] for key, value in sorted(values().items())], func)
    if function != "get":
        raise NotFound(f"wasi:config has no function {function}")
    if len(params) != 1 or not isinstance(params[0], str):
        raise InvalidArgument("wasi:config get takes one string, the key")
    return _told(values().get(params[0]), func)


def _told(value: Any, func: Func) -> Any:
    return {"ok": value} if isinstance(func.result, ResultOf) else value
