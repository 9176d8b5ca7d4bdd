"""The friendly Python form of WIT values: what a provider author and a client's caller hold in their hands.

- record: `Record`, with attributes in snake_case
- variant: `Variant(case, payload)`
- enum: str; flags: frozenset of str
- option: None or the value; `Some(v)` where options nest
- result: `Ok(v)` or `Err(e)`
- list<u8>: bytes; tuple: tuple; map: dict
- own and borrow: `Resource`
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")
E = TypeVar("E")

PROVIDER_RESOURCE: Final = 1
"""msgpack extension type of a provider's resource."""
COMPONENT_RESOURCE: Final = 2
"""msgpack extension type of a component's resource."""

_HYPHEN: Final = re.compile("-")


def python_name(wit_name: str) -> str:
    """The Python name of a WIT name: `key-response` is `key_response`, and `class` is `class_`."""
    name = _HYPHEN.sub("_", wit_name).lower()
    return f"{name}_" if keyword.iskeyword(name) else name


class Record:
    """A record: its fields are attributes, and can be had by name like a mapping's values too.

    `Record(keys=["a"], cursor=None)` makes one. `record.keys`, `record["keys"]`, `len(record)` and `"keys" in
    record` read it; iterating gives the field names. It has no methods, so that any field name is free.
    """

    def __init__(self, /, **fields: Any) -> None:
        self.__dict__ = fields

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the record has no field {name!r}, only {', '.join(self.__dict__)}")

    def __getitem__(self, name: str) -> Any:
        return self.__dict__[name]

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Record):
            return self.__dict__ == other.__dict__
        if isinstance(other, Mapping):
            return self.__dict__ == other
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # its fields may change, like a dict's

    def __repr__(self) -> str:
        return f"Record({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"


def as_dict(record: Record) -> dict[str, Any]:
    """A new dict of the record's fields, by their Python names."""
    return dict(record.__dict__)


@dataclass(frozen=True, slots=True)
class Variant:
    """One case of a variant, by its WIT name, with its payload (None where the case has none)."""

    case: str
    payload: Any = None


@dataclass(frozen=True, slots=True)
class Some(Generic[T]):
    """A value that is there, where the value itself may be None: `option<option<u32>>`."""

    value: T


@dataclass(frozen=True, slots=True)
class Ok(Generic[T]):
    """The good side of a `result`."""

    value: T = None  # type: ignore[assignment]  # a result may carry nothing


@dataclass(frozen=True, slots=True)
class Err(Generic[E]):
    """The bad side of a `result`."""

    error: E = None  # type: ignore[assignment]  # a result may carry nothing


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Resource:
    """A handle to a resource that lives elsewhere.

    Attributes:
        data: What stands for the resource: bytes that its provider minted, from which any replica of the
            provider can serve the next call. At most `lath.codec.wire.RESOURCE_BYTES_MAX`.
        extension: `PROVIDER_RESOURCE` or `COMPONENT_RESOURCE`.
    """

    data: bytes
    extension: int = PROVIDER_RESOURCE
