"""msgpack <-> WIT values: bytes, wire values, and the friendly values of Python code.

- `pack`, `unpack`: bytes and wire values, with limits and without types
- `FuncCodec`: everything about the values of one function
- `wire_packer`, `params_packer`, `result_packer`: wire values to bytes where the types are known
- `size_check`: whether wire values are small enough to be sent, without packing them
- `ComponentHandle`: what stands for a component's resource, and functions that find such handles in values
- `params_from_json`, `params_to_json`, `result_to_json`: wire values as JSON (`lath.codec.jsonform`)
- `Record`, `Variant`, `Some`, `Ok`, `Err`, `Resource`: the friendly values that Python itself has no form for
"""

from __future__ import annotations

from lath.codec.function import FuncCodec
from lath.codec.handles import (
    ComponentHandle,
    component_handles_in_params,
    component_handles_in_result,
)
from lath.codec.jsonform import (
    params_from_json,
    params_to_json,
    result_to_json,
    value_from_json,
    value_to_json,
)
from lath.codec.packer import params_packer, result_packer, wire_packer
from lath.codec.sizes import size_check
from lath.codec.values import (
    COMPONENT_RESOURCE,
    PROVIDER_RESOURCE,
    Err,
    Ok,
    Record,
    Resource,
    Some,
    Variant,
    as_dict,
    python_name,
)
from lath.codec.wire import (
    NESTING_MAX,
    PAYLOAD_BYTES_MAX,
    RESOURCE_BYTES_MAX,
    Wire,
    pack,
    unpack,
    unpack_for_type,
)

__all__ = [
    "COMPONENT_RESOURCE",
    "NESTING_MAX",
    "PAYLOAD_BYTES_MAX",
    "PROVIDER_RESOURCE",
    "RESOURCE_BYTES_MAX",
    "ComponentHandle",
    "Err",
    "FuncCodec",
    "Ok",
    "Record",
    "Resource",
    "Some",
    "Variant",
    "Wire",
    "as_dict",
    "component_handles_in_params",
    "component_handles_in_result",
    "pack",
    "params_from_json",
    "params_packer",
    "params_to_json",
    "python_name",
    "result_packer",
    "result_to_json",
    "size_check",
    "unpack",
    "unpack_for_type",
    "value_from_json",
    "value_to_json",
    "wire_packer",
]
