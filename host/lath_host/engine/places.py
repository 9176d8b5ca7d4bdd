"""Memory that wasmtime writes for one guest: its instance, its functions, a result, an error.

Once the guest is gone the next one gets it: making it costs as much as a call into C, passing it on nothing.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

RESULT: Final = 4
"""The first word of a call's result, a value; before it stands the instance, which is smaller."""
RESULT_BYTE: Final = 8 * RESULT
ERROR: Final = 8
"""The word that is the address of an error."""
_Words = ctypes.c_uint64 * (ERROR + 1)
_Func = ctypes.c_uint64 * 4
"""Larger than `wasmtime_component_func_t`."""


class Places:
    """Where wasmtime writes for one guest.

    Attributes:
        words: The memory. Zeros are a valid result too, and mean that there is neither result nor error.
        instance_at: Address for the instance.
        result_at: Address for a result.
        error_at: Address for an error's address.
    """

    __slots__ = ("_functions", "error_at", "instance_at", "result_at", "words")

    def __init__(self) -> None:
        self.words = _Words()
        self.instance_at = ctypes.addressof(self.words)
        self.result_at = self.instance_at + RESULT_BYTE
        self.error_at = self.instance_at + 8 * ERROR
        self._functions: list[ctypes.Array[Any]] = []

    def function_at(self, position: int) -> int:
        """Address for a function; the guest's first has position 0."""
        if position == len(self._functions):
            self._functions.append(_Func())
        return ctypes.addressof(self._functions[position])
