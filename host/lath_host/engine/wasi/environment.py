"""The environment and the arguments of guests, which wasmtime's own WASI tells them.

Native, so that an instance asks for them at no cost, and components that are fused may share the import. The
names and values are laid out once; wasmtime copies them into each store.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from lath.errors import Internal
from lath_host.engine import capi


class Environment:
    """Makes the native WASI of stores.

    Args:
        env: (name, value), none of which may hold a NUL.
        args: The arguments, the program's name first.
    """

    def __init__(self, env: Sequence[tuple[str, str]], args: Sequence[str]) -> None:
        self._count = len(env)
        self._names = _strings([name for name, _ in env])
        self._values = _strings([value for _, value in env])
        self._args_count = len(args)
        self._args = _strings(args)

    def give(self, context: int) -> None:
        """Sets it as the WASI of the store at `context`, in place of what that had."""
        config: int = capi.wasi_config_new()
        if self._count and not capi.wasi_config_set_env(config, self._count, self._names, self._values):
            raise Internal("wasmtime does not take the environment")
        if self._args_count and not capi.wasi_config_set_argv(config, self._args_count, self._args):
            raise Internal("wasmtime does not take the arguments")
        capi.check(capi.context_set_wasi(context, config))


def _strings(texts: Sequence[str]) -> ctypes.Array[ctypes.c_char_p]:
    return (ctypes.c_char_p * len(texts))(*(text.encode() for text in texts))
