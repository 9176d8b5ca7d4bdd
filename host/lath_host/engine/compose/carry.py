"""Functions lowered and lifted again with other types of the same layout: the middle of a bridge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lath.wit.types import Func, Handle, ListOf, Type
from lath_host.engine.compose.abi import FLAT_PARAMS_MAX, core_func, flat, flat_params
from lath_host.engine.compose.adapters import Adapter, Lent, adapter_module, after_name, memory_module
from lath_host.engine.compose.binary import CoreSort
from lath_host.engine.compose.builder import ComponentBuilder
from lath_host.engine.compose.types import Types
from lath_host.engine.values import handles_in


@dataclass(frozen=True)
class Crossing:
    """A function to be carried.

    Attributes:
        func: The index of the function that is called.
        lifted: The type that it gets.
    """

    func: int
    lifted: Func


def can_drop_borrows(func: Func) -> bool:
    """Whether every borrowed handle is a parameter of its own, or in a list that is one.

    Those an adapter finds and drops.
    """
    borrows = [param for param in func.params if any(h.mode == "borrow" for h in handles_in(param.type))]
    return not borrows or (
        all(isinstance(param.type, Handle) or is_list_of_borrows(param.type) for param in borrows)
        and len(flat_params(func)) <= FLAT_PARAMS_MAX
    )


def is_list_of_borrows(type_: Type) -> bool:
    """Whether it is a list of borrowed handles and nothing else."""
    return isinstance(type_, ListOf) and isinstance(type_.element, Handle) and type_.element.mode == "borrow"


def carry(builder: ComponentBuilder, types: Types, crossings: Sequence[Crossing]) -> list[int]:
    """Adds to `builder` what carries `crossings`, with a memory of their own; the lifted functions' indices.

    The memory is taken back after each call, so no two calls may overlap: what is entered while another is
    under way needs a component of its own.
    """
    memory_instance = builder.core_instantiate(builder.core_module(memory_module()), {})
    memory = builder.core_alias(CoreSort.MEMORY, memory_instance, "memory")
    realloc = builder.core_alias(CoreSort.FUNC, memory_instance, "realloc")
    lowered = [builder.lower(crossing.func, memory, realloc) for crossing in crossings]
    adapters = [Adapter(core_func(each.lifted), tuple(_lent(each.lifted, types))) for each in crossings]
    drops = {lent.resource: builder.drop_of(lent.resource) for adapter in adapters for lent in adapter.lent}
    given = {
        "memory": memory_instance,
        "lowered": builder.core_instance_of(_numbered(lowered)),
        "drop": builder.core_instance_of({str(resource): func for resource, func in drops.items()}),
    }
    instance = builder.core_instantiate(builder.core_module(adapter_module(adapters)), given)
    after = {
        results: builder.core_alias(CoreSort.FUNC, instance, after_name(results))
        for results in dict.fromkeys(adapter.core.results for adapter in adapters)
    }
    lifted = []
    for number, (crossing, adapter) in enumerate(zip(crossings, adapters, strict=True)):
        core = builder.core_alias(CoreSort.FUNC, instance, str(number))
        type_ = types.func(crossing.lifted)
        lifted.append(builder.lift(core, type_, memory, realloc, after[adapter.core.results]))
    return lifted


def _lent(func: Func, types: Types) -> list[Lent]:
    """The borrowed handles among the parameters."""
    found, position = [], 0
    for param in func.params:
        type_ = param.type
        if isinstance(type_, Handle) and type_.mode == "borrow":
            found.append(Lent(position, types.resource(type_), listed=False))
        elif isinstance(type_, ListOf) and isinstance(type_.element, Handle) and is_list_of_borrows(type_):
            found.append(Lent(position, types.resource(type_.element), listed=True))
        position += len(flat(param.type))
    return found


def _numbered(funcs: Sequence[int]) -> Mapping[str, int]:
    return {str(number): func for number, func in enumerate(funcs)}
