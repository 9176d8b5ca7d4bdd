"""The functions of `wasi_snapshot_preview1`: their types, and those that there is nothing behind here.

A module has no directories and no sockets, and its three descriptors are streams. What that leaves to be
said is said in the terms of the standard: 8 `badf`, 28 `inval`, 52 `nosys`, 54 `notdir`, 57 `notsock`,
58 `notsup`, 70 `spipe`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MODULE: Final = "wasi_snapshot_preview1"
_INVAL, _NOTDIR, _NOTSOCK, _NOTSUP, _SPIPE = 28, 54, 57, 58, 70


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a function is answered that there is nothing behind.

    Attributes:
        params: Types of its parameters.
        error: What it says of a descriptor that is open.
        descriptor: Which parameter that is.
    """

    params: str
    error: int
    descriptor: int = 0


ANSWERED: Final[Mapping[str, str]] = {
    "args_get": "i32 i32",
    "args_sizes_get": "i32 i32",
    "environ_get": "i32 i32",
    "environ_sizes_get": "i32 i32",
    "clock_res_get": "i32 i32",
    "clock_time_get": "i32 i64 i32",
    "fd_close": "i32",
    "fd_fdstat_get": "i32 i32",
    "fd_fdstat_set_flags": "i32 i32",
    "fd_filestat_get": "i32 i32",
    "fd_read": "i32 i32 i32 i32",
    "fd_renumber": "i32 i32",
    "fd_write": "i32 i32 i32 i32",
    "poll_oneoff": "i32 i32 i32 i32",
    "proc_exit": "i32",
    "random_get": "i32 i32",
    "sched_yield": "",
}
"""Types of the parameters of those that `adapter.wat` answers."""

REFUSED: Final[Mapping[str, Refusal]] = {
    "fd_advise": Refusal("i32 i64 i64 i32", _SPIPE),
    "fd_allocate": Refusal("i32 i64 i64", _SPIPE),
    "fd_datasync": Refusal("i32", _INVAL),
    "fd_fdstat_set_rights": Refusal("i32 i64 i64", _NOTSUP),
    "fd_filestat_set_size": Refusal("i32 i64", _INVAL),
    "fd_filestat_set_times": Refusal("i32 i64 i64 i32", _NOTSUP),
    "fd_pread": Refusal("i32 i32 i32 i64 i32", _SPIPE),
    "fd_prestat_dir_name": Refusal("i32 i32 i32", _NOTDIR),
    "fd_pwrite": Refusal("i32 i32 i32 i64 i32", _SPIPE),
    "fd_readdir": Refusal("i32 i32 i32 i64 i32", _NOTDIR),
    "fd_seek": Refusal("i32 i64 i32 i32", _SPIPE),
    "fd_sync": Refusal("i32", _INVAL),
    "fd_tell": Refusal("i32 i32", _SPIPE),
    "path_create_directory": Refusal("i32 i32 i32", _NOTDIR),
    "path_filestat_get": Refusal("i32 i32 i32 i32 i32", _NOTDIR),
    "path_filestat_set_times": Refusal("i32 i32 i32 i32 i64 i64 i32", _NOTDIR),
    "path_link": Refusal("i32 i32 i32 i32 i32 i32 i32", _NOTDIR),
    "path_open": Refusal("i32 i32 i32 i32 i32 i64 i64 i32 i32", _NOTDIR),
    "path_readlink": Refusal("i32 i32 i32 i32 i32 i32", _NOTDIR),
    "path_remove_directory": Refusal("i32 i32 i32", _NOTDIR),
    "path_rename": Refusal("i32 i32 i32 i32 i32 i32", _NOTDIR),
    "path_symlink": Refusal("i32 i32 i32 i32 i32", _NOTDIR, descriptor=2),
    "path_unlink_file": Refusal("i32 i32 i32", _NOTDIR),
    "sock_accept": Refusal("i32 i32 i32", _NOTSOCK),
    "sock_recv": Refusal("i32 i32 i32 i32 i32 i32", _NOTSOCK),
    "sock_send": Refusal("i32 i32 i32 i32 i32", _NOTSOCK),
    "sock_shutdown": Refusal("i32 i32", _NOTSOCK),
}

CONSTANT: Final[Mapping[str, tuple[str, int]]] = {
    "fd_prestat_get": ("i32 i32", 8),
    "proc_raise": ("i32", 52),
}
"""Types of the parameters, and the error that is always given. No descriptor is a directory that was opened
before: this `badf` is where libraries stop to look for some."""
_WITHOUT_RESULT: Final = frozenset({"proc_exit"})


def types() -> dict[str, str]:
    """The type of every function, in text form."""
    params = (
        dict(ANSWERED)
        | {name: refusal.params for name, refusal in REFUSED.items()}
        | {name: params for name, (params, _) in CONSTANT.items()}
    )
    return {
        name: f"(param {each})" + ("" if name in _WITHOUT_RESULT else " (result i32)")
        for name, each in sorted(params.items())
    }
