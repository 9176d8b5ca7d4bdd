"""The fields that a Python class has for a record: of dataclasses, pydantic models and the like."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


def fields_of(cls: type[Any]) -> Mapping[str, Any] | None:
    """Names and types of the fields; a type that cannot be resolved is `Any`. None: it is no such class."""
    if dataclasses.is_dataclass(cls):
        names = [each.name for each in dataclasses.fields(cls)]
    elif issubclass(cls, BaseModel):
        names = list(cls.model_fields)
    elif issubclass(cls, tuple) and hasattr(cls, "_fields"):
        names = list(cls._fields)
    elif typing.is_typeddict(cls):
        names = list(cls.__annotations__)
    elif is_protocol(cls):
        names = [name for base in cls.__mro__ if is_protocol(base) for name in _declared(base)]
    else:
        return None
    types = _types(cls)
    return {name: types.get(name, Any) for name in names}


def is_protocol(cls: type[Any]) -> bool:
    """Whether a class is a protocol itself, rather than something that implements one."""
    return bool(getattr(cls, "_is_protocol", False))


def _declared(protocol: type[Any]) -> list[str]:
    properties = [name for name, value in vars(protocol).items() if isinstance(value, property)]
    return [*vars(protocol).get("__annotations__", {}), *properties]


def _types(cls: type[Any]) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except Exception:  # a name that only type checkers know
        return {}
