"""The core code of a keeper: which handles it takes and makes, wherever they stand in a function's type."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from wasmtime import Engine as WasmEngine
from wasmtime import Func as CoreFunc
from wasmtime import FuncType, Instance, Linker, Memory, Module, Store, ValType

from lath.wit.types import (
    Case,
    Field,
    Func,
    ListOf,
    OptionOf,
    Primitive,
    Record,
    ResultOf,
    TupleOf,
    Type,
    Variant,
)
from lath_host.engine.compose.abi import FLAT_PARAMS_MAX, flat_params
from lath_host.engine.compose.binary import Malformed
from lath_host.engine.compose.keeper_code import keeper_memory, keeper_module
from lath_host.engine.values import LocalHandle

U32, U64, STRING = Primitive("u32"), Primitive("u64"), Primitive("string")
OWN, BORROW = (LocalHandle(mode, "thing", "test:keeper/things") for mode in ("own", "borrow"))
RESOURCE = ("test:keeper/things", "thing")
HANDLES_FROM = 1_000
"""The handle of the object of number n is n + 1000 here."""
I32 = ValType.i32()


class Keeper:
    """The code for one function, between a guest and a host that this test plays.

    Attributes:
        given: What the host was called with, the log aside.
        dropped: Handles that have been taken out of the table.
    """

    def __init__(self, func: Func, answer: Callable[[Keeper, Sequence[int]], Any] = lambda *_: None) -> None:
        self.given: tuple[int, ...] = ()
        self.dropped: list[int] = []
        self._answer = answer
        self._store = Store(WasmEngine())
        linker = Linker(self._store.engine)
        self._memory = Instance(self._store, Module(self._store.engine, keeper_memory()), [])
        linker.define_instance(self._store, "memory", self._memory)
        module = Module(
            self._store.engine, keeper_module({("test:keeper/things", "run"): func}, {RESOURCE: 0}, [])
        )
        played = {
            ("new", "0"): lambda number: number + HANDLES_FROM,
            ("rep", "0"): lambda handle: handle - HANDLES_FROM,
            ("drop", "0"): self._drop,
            ("lowered", "0"): self._run,
            ("lowered", "told"): lambda *_: None,
        }
        for each in module.imports:
            if (each.module, each.name) in played:
                assert isinstance(each.type, FuncType)
                function = CoreFunc(self._store, each.type, played[each.module, each.name or ""])
                linker.define(self._store, each.module, each.name or "", function)
        self._code = linker.instantiate(self._store, module)

    def call(self, *params: int) -> Any:
        return self._code.exports(self._store)["0"](self._store, *params)

    def read(self, address: int, form: str) -> tuple[int, ...]:
        size = struct.calcsize(form)
        return struct.unpack(form, self._data.read(self._store, address, address + size))

    def write(self, address: int, form: str, *values: int) -> None:
        self._data.write(self._store, struct.pack(form, *values), address)

    @property
    def _data(self) -> Memory:
        memory = self._memory.exports(self._store)["memory"]
        assert isinstance(memory, Memory)
        return memory

    def _drop(self, handle: int) -> None:
        self.dropped.append(handle)
        self._memory.exports(self._store)["destroy"](self._store, handle - HANDLES_FROM)

    def _run(self, *given: int) -> Any:
        self.given = given
        return self._answer(self, given)


def takes(*types: Type) -> Func:
    return Func(tuple(Field(f"p{at}", type_) for at, type_ in enumerate(types)), None)


EITHER = ResultOf(OWN, Variant((Case("a", U64), Case("b", None))))


@pytest.mark.parametrize(
    ("types", "flat", "given"),
    [
        ((OWN,), (1007,), (7,)),
        ((BORROW,), (7,), (7,)),
        ((U32, OWN, OWN), (1007, 1008, 1009), (1007, 8, 9)),
        ((OptionOf(OWN),), (1, 1007), (1, 7)),
        ((OptionOf(OWN),), (0, 1007), (0, 1007)),
        ((EITHER,), (0, 1007, 0), (0, 7, 0)),
        ((EITHER,), (1, 0, 1007), (1, 0, 1007)),
        ((ResultOf(OWN, U64),), (0, 1007), (0, 7)),
        ((ResultOf(U64, OWN),), (0, 1007), (0, 1007)),
        ((TupleOf((STRING, OWN)), BORROW), (64, 5, 1007, 9), (64, 5, 7, 9)),
    ],
)
def test_what_is_given_away_is_taken_out_of_the_table_wherever_it_lies_flat(
    types: tuple[Type, ...], flat: tuple[int, ...], given: tuple[int, ...]
) -> None:
    keeper = Keeper(takes(*types))
    keeper.call(*flat)
    assert keeper.given[: len(given)] == given
    changed = [before for before, after in zip(flat, given, strict=True) if before != after]
    assert keeper.dropped == changed


def test_parameters_that_pass_through_memory_have_theirs_taken_there() -> None:
    types = (*[U64] * FLAT_PARAMS_MAX, OptionOf(OWN), OWN)
    assert len(flat_params(takes(*types))) > FLAT_PARAMS_MAX
    keeper = Keeper(takes(*types))
    at = 1024
    keeper.write(at + 8 * FLAT_PARAMS_MAX, "<BxxxII", 1, 1007, 1008)
    keeper.call(at)
    assert keeper.given[0] == at
    assert keeper.read(at + 8 * FLAT_PARAMS_MAX, "<BxxxII") == (1, 7, 8)


def test_a_list_that_passes_through_memory_has_all_of_its_handles_taken() -> None:
    keeper = Keeper(takes(*[U64] * FLAT_PARAMS_MAX, ListOf(TupleOf((U64, OWN)))))
    keeper.write(1024 + 8 * FLAT_PARAMS_MAX, "<II", 2048, 2)
    keeper.write(2048, "<QIxxxxQIxxxx", 1, 1007, 2, 1008)
    keeper.call(1024)
    assert keeper.read(2048, "<QIxxxxQIxxxx") == (1, 7, 2, 8)


def test_a_list_of_handles_that_lies_flat_is_refused() -> None:
    with pytest.raises(Malformed, match="in a list"):
        Keeper(takes(ListOf(OWN)))


@pytest.mark.parametrize(
    ("result", "form", "written", "read"),
    [
        (ResultOf(OWN, None), "<BxxxI", (0, 7), (0, 1007)),
        (ResultOf(OWN, None), "<BxxxI", (1, 7), (1, 7)),
        (OptionOf(ResultOf(OWN, U64)), "<B7xB7xI", (1, 0, 7), (1, 0, 1007)),
        (OptionOf(ResultOf(OWN, U64)), "<B7xB7xQ", (1, 1, 7), (1, 1, 7)),
        (TupleOf((OWN, U64, OWN)), "<IxxxxQI", (7, 8, 9), (1007, 8, 1009)),
        (Record((Field("a", U32), Field("b", OWN))), "<II", (7, 8), (7, 1008)),
    ],
)
def test_of_what_comes_back_handles_are_made(
    result: Type, form: str, written: tuple[int, ...], read: tuple[int, ...]
) -> None:
    def answer(keeper: Keeper, given: Sequence[int]) -> None:
        keeper.write(given[-1], form, *written)

    keeper = Keeper(Func((), result), answer)
    assert keeper.read(keeper.call(), form) == read


def test_of_a_list_that_comes_back_handles_are_made() -> None:
    def answer(keeper: Keeper, given: Sequence[int]) -> None:
        keeper.write(given[-1], "<II", 4096, 2)
        keeper.write(4096, "<IIIIII", 1, 64, 3, 2, 67, 4)

    keeper = Keeper(Func((), ListOf(TupleOf((OWN, STRING)))), answer)
    assert keeper.read(keeper.call(), "<II") == (4096, 2)
    assert keeper.read(4096, "<IIIIII") == (1001, 64, 3, 1002, 67, 4)


def test_a_handle_that_is_given_away_is_not_told_of_as_dropped() -> None:
    keeper = Keeper(takes(OWN))
    keeper.call(1007)
    keeper.call(1008)
    assert keeper.given == (8, 8, 0)  # an empty log, at the beginning of the memory


def test_a_handle_that_the_guest_drops_is_told_of_with_the_next_call() -> None:
    logs = []

    def answer(keeper: Keeper, given: Sequence[int]) -> None:
        logs.append(keeper.read(given[1], f"<{given[2] // 4}I"))

    keeper = Keeper(takes(BORROW), answer)
    keeper._drop(1007)
    keeper._drop(1008)
    keeper.call(1)
    keeper.call(1)
    assert logs == [(0, 7, 0, 0, 8, 0), ()]
