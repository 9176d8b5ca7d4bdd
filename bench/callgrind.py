"""Valgrind's client requests from Python: counts the instructions of one stretch of this process.

A request is a sequence of instructions that does nothing on a real processor and that valgrind recognises
(valgrind.h and callgrind.h of its headers define both the sequence and the numbers). Imports and set-up run
before the counting starts, so a count holds what it names.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
from typing import Any, Final

_CODE: Final = bytes.fromhex(
    "4889f8"  # mov rax, rdi: the address of the request
    "31d2"  # xor edx, edx: what comes back outside of valgrind
    "48c1c703" "48c1c70d" "48c1c73d" "48c1c733"  # rol rdi, 3; 13; 61; 51: by 128 bits, so by nothing
    "4887db"  # xchg rbx, rbx: asks
    "4889d0" "c3"  # mov rax, rdx; ret
)  # fmt: skip
_RUNNING_ON_VALGRIND: Final = 0x1001
_CALLGRIND: Final = ord("C") << 24 | ord("T") << 16
_ZERO: Final = _CALLGRIND + 1
_DUMP_AT: Final = _CALLGRIND + 3
_START: Final = _CALLGRIND + 4


class Counter:
    """Talks to callgrind, from within the process that it runs.

    Raises:
        RuntimeError: This process does not run under valgrind, or the processor is not an x86-64.
    """

    def __init__(self) -> None:
        if platform.machine() != "x86_64":
            raise RuntimeError("valgrind is asked by instructions of x86-64 here")
        self._memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._memory.write(_CODE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._ask: Any = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)(address)
        if not self._request(_RUNNING_ON_VALGRIND):
            raise RuntimeError("this process does not run under valgrind")

    def start(self) -> None:
        """Callgrind instruments from here on; before, the process ran faster."""
        self._request(_START)

    def zero(self) -> None:
        """Forgets what was counted."""
        self._request(_ZERO)

    def dump(self, label: str) -> None:
        """Writes what was counted since `zero` to a file that carries the label."""
        text = ctypes.create_string_buffer(label.encode())
        self._request(_DUMP_AT, ctypes.addressof(text))

    def _request(self, number: int, argument: int = 0) -> int:
        request = (ctypes.c_uint64 * 6)(number, argument)
        answer: int = self._ask(ctypes.addressof(request))
        return answer
