"""Programs for WASI preview 1 in text form: what a C compiler makes of CGI programs, written by hand."""

from __future__ import annotations

from typing import Final

HEAD: Final = b"Content-Type: text/plain\n\n"

_IMPORTS: Final = {
    "args_get": "(param i32 i32) (result i32)",
    "args_sizes_get": "(param i32 i32) (result i32)",
    "clock_res_get": "(param i32 i32) (result i32)",
    "clock_time_get": "(param i32 i64 i32) (result i32)",
    "environ_get": "(param i32 i32) (result i32)",
    "environ_sizes_get": "(param i32 i32) (result i32)",
    "fd_close": "(param i32) (result i32)",
    "fd_fdstat_get": "(param i32 i32) (result i32)",
    "fd_fdstat_set_flags": "(param i32 i32) (result i32)",
    "fd_filestat_get": "(param i32 i32) (result i32)",
    "fd_prestat_get": "(param i32 i32) (result i32)",
    "fd_read": "(param i32 i32 i32 i32) (result i32)",
    "fd_renumber": "(param i32 i32) (result i32)",
    "fd_seek": "(param i32 i64 i32 i32) (result i32)",
    "fd_sync": "(param i32) (result i32)",
    "fd_write": "(param i32 i32 i32 i32) (result i32)",
    "path_open": "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)",
    "poll_oneoff": "(param i32 i32 i32 i32) (result i32)",
    "proc_exit": "(param i32)",
    "random_get": "(param i32 i32) (result i32)",
    "sched_yield": "(result i32)",
    "sock_shutdown": "(param i32 i32) (result i32)",
}


def program(*steps: str | bytes, memory_pages: int = 16) -> bytes:
    """A module that takes one step after the other: text is code, bytes are written to stdout.

    Code may use the functions of preview 1 by their names; `$say`, `$warn` and `$read` (address, length), of
    which the last returns how much it read; and memory from 65,536 on, where nothing lies.
    """
    code, data, at = [], [], 1024
    for step in steps:
        if isinstance(step, str):
            code.append(step)
            continue
        escaped = "".join(f"\\{byte:02x}" for byte in step)
        data.append(f'(data (i32.const {at}) "{escaped}")')
        code.append(f"(call $say (i32.const {at}) (i32.const {len(step)}))")
        at += len(step)
    assert at <= 65536, "more is written than has room"
    imports = "\n".join(
        f'(import "wasi_snapshot_preview1" "{name}" (func ${name} {type_}))'
        for name, type_ in _IMPORTS.items()
    )
    return f"""
(module
  {imports}
  (memory (export "memory") {memory_pages})
  {" ".join(data)}
  (func $put (param $fd i32) (param $at i32) (param $size i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $size))
    (if (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)) (then (unreachable))))
  (func $say (param $at i32) (param $size i32)
    (call $put (i32.const 1) (local.get $at) (local.get $size)))
  (func $warn (param $at i32) (param $size i32)
    (call $put (i32.const 2) (local.get $at) (local.get $size)))
  (func $read (param $at i32) (param $size i32) (result i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $size))
    (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then (unreachable)))
    (i32.load (i32.const 8)))
  (func (export "_start") (local $n i32)
    {" ".join(code)}))
""".encode()


SPIN: Final = "(loop $again (br $again))"
TRAP: Final = "(unreachable)"
ECHO: Final = """
  (loop $more
    (local.set $n (call $read (i32.const 65536) (i32.const 65536)))
    (if (local.get $n) (then (call $say (i32.const 65536) (local.get $n)) (br $more))))
"""
"""Writes what it reads."""
ENVIRONMENT: Final = """
  (drop (call $environ_sizes_get (i32.const 16) (i32.const 20)))
  (drop (call $environ_get (i32.const 65536) (i32.const 131072)))
  (call $say (i32.const 131072) (i32.load (i32.const 20)))
"""
"""Writes its environment, a NUL behind each variable."""
ARGUMENTS: Final = ENVIRONMENT.replace("$environ_", "$args_")
SLEEP: Final = """
  (i32.store8 (i32.const 200) (i32.const 0))
  (i32.store (i32.const 208) (i32.const 1))
  (i64.store (i32.const 216) (i64.const {ns}))
  (drop (call $poll_oneoff (i32.const 192) (i32.const 300) (i32.const 1) (i32.const 400)))
"""
"""Waits for so many nanoseconds."""
POUR: Final = "(loop $again (call $say (i32.const 65536) (i32.const 65536)) (br $again))"
"""Writes without end."""


def exiting(code: int) -> str:
    """Ends the program with an exit status."""
    return f"(call $proc_exit (i32.const {code}))"


def reading(size: int) -> str:
    """Reads so much of stdin, and no more."""
    return f"(drop (call $read (i32.const 65536) (i32.const {size})))"
