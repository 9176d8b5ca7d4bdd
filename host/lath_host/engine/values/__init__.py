"""Wire values to component values and back, by closures that are compiled once per type.

A *wire value* is the plain Python object that msgpack gives (see the table in docs/protocol): `lower` lays it
out in memory as wasmtime wants to read it, `lift` reads what wasmtime has written. Neither asks a type
anything at run time.
"""

from __future__ import annotations

from lath_host.engine.values.arena import Arena, HandleTable, Lower
from lath_host.engine.values.exported import ExportedHandle
from lath_host.engine.values.lift import Lift, lift_of, lift_params_of, lift_values_of
from lath_host.engine.values.local import KEPT_BYTES_MAX, Kept, Local, LocalHandle
from lath_host.engine.values.lower import LowerParams, lower_of, lower_params_of, lower_result_of
from lath_host.engine.values.numbered import NumberedHandle, func_in_numbers
from lath_host.engine.values.walk import handles_in, may_stand_alone, types_of

__all__ = [
    "KEPT_BYTES_MAX",
    "Arena",
    "ExportedHandle",
    "HandleTable",
    "Kept",
    "Lift",
    "Local",
    "LocalHandle",
    "Lower",
    "LowerParams",
    "NumberedHandle",
    "func_in_numbers",
    "handles_in",
    "lift_of",
    "lift_params_of",
    "lift_values_of",
    "lower_of",
    "lower_params_of",
    "lower_result_of",
    "may_stand_alone",
    "types_of",
]  # fmt: skip
