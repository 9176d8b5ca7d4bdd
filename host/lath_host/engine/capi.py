"""wasmtime's C API as this package calls it: typed once, pointers as plain integers.

`wasmtime._bindings` declares every function with ctypes pointer types, whose conversion costs more than many
a call. The same functions are declared here again with `void *`, which takes and gives plain integers.

Two ways to call: through `CDLL` the interpreter lock is released meanwhile (whatever may run guest code,
unmap memory or take long); through `PyDLL` it is kept (whatever is a few instructions). A function that may
call back into Python and wait for another thread must be of the first kind.

A panic inside wasmtime aborts the process. Those found are noted where they are avoided.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import (
    c_bool,
    c_char_p,
    c_int,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any, Final

from wasmtime import _ffi

_RELEASING: Final = _ffi.dll
_HOLDING: Final = ctypes.PyDLL(str(_ffi.filename))

POINTER_BYTES: Final = 8
VAL_BYTES: Final = 32
"""Size of a `wasmtime_component_val_t`; the kind is its first byte, the payload starts at byte 8."""
Val: Final = ctypes.c_char * VAL_BYTES
"""The same as an object: `Val.from_address(address).raw` reads it or overwrites it. That takes a fifth of
what `string_at` and `memmove` do, which call through libffi."""
RECORD_ENTRY_BYTES: Final = 48
"""A record's entry: the name (length, address), then the value."""
MAP_ENTRY_BYTES: Final = 64
_INTEGERS: Final = (c_bool, c_int64, c_size_t, c_uint32, c_uint64)
"""What is passed as `void *` is: it fills a register all the same (or a stack slot, of which no function here
needs a second), and ctypes converts an integer for it in a quarter of the steps."""


def _function(library: Any, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    function = library[name]  # item access makes an object of its own: the stock bindings keep theirs
    function.restype = result
    function.argtypes = [c_void_p if argument in _INTEGERS else argument for argument in arguments]
    return function  # type: ignore[no-any-return]


def _releasing(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    return _function(_RELEASING, name, result, *arguments)


def _holding(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    return _function(_HOLDING, name, result, *arguments)


# Callbacks. Their addresses are handed to wasmtime: whoever makes one keeps it alive.
ImportCallback: Final = ctypes.CFUNCTYPE(
    None, c_void_p, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_void_p, c_void_p
)
"""(data, context, type, args, args_len, results, results_len, error_out, continuation_out)"""
Continuation: Final = ctypes.CFUNCTYPE(c_bool, c_void_p)
"""(env) -> whether the results have been written"""
Destructor: Final = ctypes.CFUNCTYPE(c_size_t, c_void_p, c_void_p, c_uint32)
"""(data, context, rep) -> error or 0"""

# Futures.
call_future_poll: Final = _releasing("wasmtime_call_future_poll", c_bool, c_void_p)
call_future_cancel: Final = _releasing("wasmtime_call_future_delete", None, c_void_p)
"""For a future that has not finished: unwinds the guest, which may call finalizers."""
call_future_delete: Final = _holding("wasmtime_call_future_delete", None, c_void_p)
"""For a future that has finished."""

# Stores.
store_new: Final = _releasing("wasmtime_store_new", c_void_p, c_void_p, c_void_p, c_void_p)
store_context: Final = _holding("wasmtime_store_context", c_void_p, c_void_p)
store_delete: Final = _releasing("wasmtime_store_delete", None, c_void_p)
store_limiter: Final = _holding(
    "wasmtime_store_limiter", None, c_void_p, c_int64, c_int64, c_int64, c_int64, c_int64
)
context_set_epoch_deadline: Final = _holding("wasmtime_context_set_epoch_deadline", None, c_void_p, c_uint64)
context_yield_on_epoch: Final = _holding(
    "wasmtime_context_epoch_deadline_async_yield_and_update", None, c_void_p, c_uint64
)
"""The header gives it an error to return; the library sets none, and reading that garbage crashes."""
context_set_fuel: Final = _holding("wasmtime_context_set_fuel", c_void_p, c_void_p, c_uint64)
context_get_fuel: Final = _holding("wasmtime_context_get_fuel", c_void_p, c_void_p, c_void_p)
context_set_wasi: Final = _releasing("wasmtime_context_set_wasi", c_void_p, c_void_p, c_void_p)
engine_increment_epoch: Final = _holding("wasmtime_engine_increment_epoch", None, c_void_p)

# WASI of a store.
wasi_config_new: Final = _holding("wasi_config_new", c_void_p)
wasi_config_set_env: Final = _holding("wasi_config_set_env", c_bool, c_void_p, c_size_t, c_void_p, c_void_p)
wasi_config_set_argv: Final = _holding("wasi_config_set_argv", c_bool, c_void_p, c_size_t, c_void_p)
"""Both copy what they are given, and refuse what is not UTF-8."""

# Linkers.
linker_new: Final = _holding("wasmtime_component_linker_new", c_void_p, c_void_p)
linker_delete: Final = _releasing("wasmtime_component_linker_delete", None, c_void_p)
linker_allow_shadowing: Final = _holding("wasmtime_component_linker_allow_shadowing", None, c_void_p, c_bool)
linker_add_wasip2_async: Final = _releasing("wasmtime_component_linker_add_wasip2_async", c_void_p, c_void_p)
linker_root: Final = _holding("wasmtime_component_linker_root", c_void_p, c_void_p)
linker_instance_delete: Final = _holding("wasmtime_component_linker_instance_delete", None, c_void_p)
linker_instance_add_instance: Final = _holding(
    "wasmtime_component_linker_instance_add_instance", c_void_p, c_void_p, c_char_p, c_size_t, c_void_p
)
linker_instance_add_func_async: Final = _holding(
    "wasmtime_component_linker_instance_add_func_async",
    c_void_p, c_void_p, c_char_p, c_size_t, c_void_p, c_void_p, c_void_p,
)  # fmt: skip
linker_instance_add_resource: Final = _holding(
    "wasmtime_component_linker_instance_add_resource",
    c_void_p, c_void_p, c_char_p, c_size_t, c_void_p, c_void_p, c_void_p, c_void_p,
)  # fmt: skip
linker_instantiate_async: Final = _holding(
    "wasmtime_component_linker_instantiate_async", c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p
)

# Components and instances.
component_get_export_index: Final = _holding(
    "wasmtime_component_get_export_index", c_void_p, c_void_p, c_void_p, c_char_p, c_size_t
)
component_export_index_delete: Final = _holding("wasmtime_component_export_index_delete", None, c_void_p)
instance_get_func: Final = _holding(
    "wasmtime_component_instance_get_func", c_bool, c_void_p, c_void_p, c_void_p, c_void_p
)
func_call_async: Final = _holding(
    "wasmtime_component_func_call_async",
    c_void_p, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_void_p,
)  # fmt: skip

# Values.
val_clone: Final = _holding("wasmtime_component_val_clone", None, c_void_p, c_void_p)
val_delete: Final = _holding("wasmtime_component_val_delete", None, c_void_p)

# Resources.
resource_type_new_host: Final = _holding("wasmtime_component_resource_type_new_host", c_void_p, c_uint32)
resource_type_delete: Final = _holding("wasmtime_component_resource_type_delete", None, c_void_p)
resource_any_to_host: Final = _holding(
    "wasmtime_component_resource_any_to_host", c_void_p, c_void_p, c_void_p, c_void_p
)
resource_any_clone: Final = _holding("wasmtime_component_resource_any_clone", c_void_p, c_void_p)
resource_any_delete: Final = _holding("wasmtime_component_resource_any_delete", None, c_void_p)
resource_host_new: Final = _holding(
    "wasmtime_component_resource_host_new", c_void_p, c_bool, c_uint32, c_uint32
)
resource_host_rep: Final = _holding("wasmtime_component_resource_host_rep", c_uint32, c_void_p)
resource_host_delete: Final = _holding("wasmtime_component_resource_host_delete", None, c_void_p)
resource_host_to_any: Final = _holding(
    "wasmtime_component_resource_host_to_any", c_void_p, c_void_p, c_void_p, c_void_p
)


def _pooling(name: str, number: Any) -> Callable[..., Any]:
    return _holding(f"wasmtime_pooling_allocation_config_{name}_set", None, c_void_p, number)


# The pooling allocator.
pooling_new: Final = _holding("wasmtime_pooling_allocation_config_new", c_void_p)
pooling_delete: Final = _holding("wasmtime_pooling_allocation_config_delete", None, c_void_p)
pooling_strategy_set: Final = _holding("wasmtime_pooling_allocation_strategy_set", None, c_void_p, c_void_p)
pooling_total_component_instances: Final = _pooling("total_component_instances", c_uint32)
pooling_total_core_instances: Final = _pooling("total_core_instances", c_uint32)
pooling_total_memories: Final = _pooling("total_memories", c_uint32)
pooling_total_tables: Final = _pooling("total_tables", c_uint32)
pooling_total_stacks: Final = _pooling("total_stacks", c_uint32)
pooling_max_memories_per_module: Final = _pooling("max_memories_per_module", c_uint32)
pooling_max_tables_per_module: Final = _pooling("max_tables_per_module", c_uint32)
pooling_table_elements: Final = _pooling("table_elements", c_size_t)
pooling_max_core_instance_size: Final = _pooling("max_core_instance_size", c_size_t)
pooling_max_component_instance_size: Final = _pooling("max_component_instance_size", c_size_t)
pooling_linear_memory_keep_resident: Final = _pooling("linear_memory_keep_resident", c_size_t)
pooling_table_keep_resident: Final = _pooling("table_keep_resident", c_size_t)

# Errors.
error_new: Final = _holding("wasmtime_error_new", c_void_p, c_char_p)
error_delete: Final = _holding("wasmtime_error_delete", None, c_void_p)
_error_message: Final = _holding("wasmtime_error_message", None, c_void_p, c_void_p)
_error_exit_status: Final = _holding("wasmtime_error_exit_status", c_bool, c_void_p, c_void_p)
_byte_vec_delete: Final = _holding("wasm_byte_vec_delete", None, c_void_p)


class WasmtimeFailure(Exception):
    """What wasmtime says when something failed.

    Attributes:
        message: Its whole text, with the guest's backtrace.
        exit_status: What the guest gave to `wasi:cli/exit`, where that is what ended it.
    """

    def __init__(self, message: str, exit_status: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.exit_status = exit_status


class _ByteVec(ctypes.Structure):
    _fields_ = (("size", c_size_t), ("data", c_void_p))


def take_error(error: int) -> WasmtimeFailure:
    """Reads the error at `error` and frees it."""
    status = c_int(0)
    exited = _error_exit_status(error, ctypes.addressof(status))
    text = _ByteVec()
    _error_message(error, ctypes.addressof(text))
    message = ctypes.string_at(text.data, text.size).decode(errors="replace") if text.size else ""
    _byte_vec_delete(ctypes.addressof(text))
    error_delete(error)
    return WasmtimeFailure(message, status.value if exited else None)


def check(error: int | None) -> None:
    """Raises what a function that returns an error returned.

    Raises:
        WasmtimeFailure: `error` is one.
    """
    if error:
        raise take_error(error)


def address(callback: Any) -> int:
    """The address of a callback's code, as wasmtime wants it. The callback has to be kept alive."""
    return ctypes.cast(callback, c_void_p).value or 0


def pointer_value(pointer: Any) -> int:
    """The address that a typed ctypes pointer (as the stock wrapper keeps) points to."""
    return ctypes.addressof(pointer.contents)


Slot = c_void_p
"""A place for one pointer that wasmtime writes; `.value` is None while it is null."""
Size: Final = c_size_t
"""The same for a size."""
