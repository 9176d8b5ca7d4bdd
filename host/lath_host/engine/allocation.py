"""Where wasmtime takes instances from: slots that it keeps ready, of memory, tables and stacks.

A slot that was used is wiped and used again, without a system call for each memory and stack: a call in a
fresh instance of a small component takes well under half the time. Slots are address space, not memory, and
their number bounds the instances of a host.
"""

from __future__ import annotations

import mmap
from typing import Any, Final

from lath_host.engine import capi

INSTANCES_MAX: Final = 1500
"""Instances of components, of one engine. Address space is the bound: 4 GiB and guards for each memory, of
about 100 TiB."""
_MEMORIES_PER_INSTANCE: Final = 3
"""On average: a guest's own, a keeper's, and a bridge's."""
_CORE_INSTANCES_PER_INSTANCE: Final = 20
_TABLES_PER_INSTANCE: Final = 8
_PER_MODULE_MAX: Final = 64
"""Memories, and tables, that one core module may have."""
_TABLE_ELEMENTS_MAX: Final = 200_000
"""Interpreters compiled to wasm have tens of thousands of functions."""
_INSTANCE_BYTES_MAX: Final = 8 << 20
"""What wasmtime itself keeps for one instance."""
_KEPT_BYTES: Final = 16 * 1024
"""Of a memory slot that is wiped, so much is overwritten, not given back to the system: small guests then
take no page faults. Not more: 64 instances at once, each overwritten in 64 KB, push each other out of the
processor's caches, and throwing one away takes twice as long."""
_KEPT_TABLE_BYTES: Final = 16 * 1024
_SLOT_BYTES: Final = (4 << 30) + (64 << 20)
"""A memory's address space and its guards."""
_HEADROOM: Final = 1.25
_NORESERVE: Final = getattr(mmap, "MAP_NORESERVE", 0x4000)
"""Linux's number: before Python 3.13 the module does not name it."""


def has_address_space(instances_max: int) -> bool:
    """Whether this process may have the address space for so many instances: a sandbox may limit it."""
    size = int(instances_max * _MEMORIES_PER_INSTANCE * _SLOT_BYTES * _HEADROOM)
    flags = getattr(mmap, "MAP_PRIVATE", 2) | getattr(mmap, "MAP_ANONYMOUS", 0x20) | _NORESERVE
    try:
        mmap.mmap(-1, size, flags=flags, prot=0).close()
    except (OSError, OverflowError, ValueError):
        return False
    return True


def use_slots(config: Any, instances_max: int) -> None:
    """Has an engine made of `config` take its instances from slots."""
    pooling = capi.pooling_new()
    try:
        capi.pooling_total_component_instances(pooling, instances_max)
        capi.pooling_total_core_instances(pooling, instances_max * _CORE_INSTANCES_PER_INSTANCE)
        capi.pooling_total_memories(pooling, instances_max * _MEMORIES_PER_INSTANCE)
        capi.pooling_total_tables(pooling, instances_max * _TABLES_PER_INSTANCE)
        capi.pooling_total_stacks(pooling, instances_max)
        capi.pooling_table_elements(pooling, _TABLE_ELEMENTS_MAX)
        capi.pooling_max_core_instance_size(pooling, _INSTANCE_BYTES_MAX)
        capi.pooling_max_component_instance_size(pooling, _INSTANCE_BYTES_MAX)
        capi.pooling_max_memories_per_module(pooling, _PER_MODULE_MAX)
        capi.pooling_max_tables_per_module(pooling, _PER_MODULE_MAX)
        capi.pooling_linear_memory_keep_resident(pooling, _KEPT_BYTES)
        capi.pooling_table_keep_resident(pooling, _KEPT_TABLE_BYTES)
        capi.pooling_strategy_set(capi.pointer_value(config.ptr()), pooling)
    finally:
        capi.pooling_delete(pooling)
