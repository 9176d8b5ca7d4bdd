"""An import of a component that Python answers: what is known of it beforehand, and one call of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from lath.errors import InvalidArgument, LathError
from lath.wit.types import Func, Primitive, ResultOf, Type, Variant
from lath_host.engine import capi
from lath_host.engine.capi import Val
from lath_host.engine.compose.merge import LABEL_PREFIX
from lath_host.engine.values import (
    Arena,
    Local,
    Lower,
    handles_in,
    lift_params_of,
    lift_values_of,
    lower_of,
    lower_result_of,
    may_stand_alone,
)
from lath_host.engine.values.arena import BYTES_AT
from lath_host.engine.wasi import Answer, Forward

if TYPE_CHECKING:
    from lath_host.engine.guest import Guest
    from lath_host.engine.linkage import Import

CASES_IN_WORDS: Final = ("other", "unexpected")
"""What the standards call the case of an error variant that takes any text."""


@dataclass(frozen=True, eq=False)
class ImportPlan:
    """An import: how its parameters are read, who answers, how the answer is laid out.

    It is compiled when it is first called: an interpreter imports a hundred functions of WASI, and calls few.

    Attributes:
        import_: Which one.
        carried: Its signature as it crosses.
        own: What of the host's own answers it; None: an `ImportHandler` does.
        forward: What stands between the guest and that; None: nothing does.
    """

    import_: Import
    carried: Func
    own: Answer | None
    forward: Forward | None = None

    @cached_property
    def lift_params(self) -> Callable[[int, Any], list[Any]]:
        return lift_params_of(self.carried.params)

    @cached_property
    def lift_values(self) -> Callable[[Any, Any], list[Any]]:
        """The same, of parameters that are read already."""
        return lift_values_of(self.carried.params)

    @cached_property
    def lower_result(self) -> Lower | None:
        return lower_result_of(self.carried.result) if self.carried.result else None

    @cached_property
    def lowers_handles(self) -> bool:
        return any(True for _ in handles_in(self.carried.result))

    @cached_property
    def write(self) -> Callable[[Any, Guest, int], None]:
        """Hands an answer to wasmtime, inside the poll: (wire value, guest, address for the result).

        It is of the import's type: the host's own, or checked by `PendingImport.answer`.
        """
        return _writing(self.carried.result)

    @property
    def shown_name(self) -> str:
        """What it is called in messages: what fusion calls a part's import means nothing to anybody."""
        import_ = self.import_
        name = import_.interface.name if import_.name.startswith(LABEL_PREFIX) else import_.name
        return f"{name}.{import_.function}" if name else import_.function

    def failure(self, error: LathError) -> Any:
        """The wire value that tells the guest of `error`; None where its type has no place for it."""
        result = self.import_.func.result
        if not isinstance(result, ResultOf):
            return None
        if result.err == Primitive("string"):
            return {"err": str(error)}
        if isinstance(result.err, Variant):
            for case in result.err.cases:
                if case.name in CASES_IN_WORDS and case.type == Primitive("string"):
                    return {"err": {case.name: str(error)}}
        return None


@dataclass(eq=False, slots=True)
class PendingImport:
    """An import that a guest waits for.

    Attributes:
        plan: Which one.
        params: Its parameters.
        results: Address at which wasmtime wants the result.
        answered: Whether the guest may go on.
        value: The answer, as a wire value.
        data: The answer, laid out; empty where there is none.
        arena: Keeps what `data` points to.
    """

    plan: ImportPlan
    params: list[Any]
    results: int
    answered: bool = False
    value: Any = None
    data: bytes = b""
    arena: Arena | None = None

    def answer(self, value: Any) -> None:
        """Takes the answer. One of the host's own that may have handles is laid out in the poll, once.

        Raises:
            InvalidArgument: It is not of the import's type.
        """
        plan = self.plan
        if plan.lower_result is not None:
            self.value = value
            if plan.own is None or not plan.lowers_handles:
                self.arena = Arena()
                self.data = plan.lower_result(value, self.arena)
        elif value is not None:
            raise InvalidArgument(f"result: expected nil (the function returns nothing), got {value!r:.80}")
        self.answered = True

    def abandon(self) -> None:
        """The guest is gone, and has not had the answer: objects of the host's in it are nobody's."""
        if self.answered and self.plan.lowers_handles:
            _end_objects(self.value)

    def write(self, guest: Guest) -> None:
        """Hands the answer to wasmtime. Handles are made only here, inside the poll."""
        plan = self.plan
        if plan.lowers_handles:
            plan.write(self.value, guest, self.results)
        elif plan.lower_result is not None:
            capi.val_clone(id(self.data) + BYTES_AT, self.results)


def _end_objects(value: Any) -> None:
    if isinstance(value, Local):
        value.end()
    elif isinstance(value, dict):
        for each in value.values():
            _end_objects(each)


def _writing(type_: Type | None) -> Callable[[Any, Guest, int], None]:
    """See `ImportPlan.write`."""
    if type_ is None:
        return lambda value, guest, results: None
    lower = lower_of(type_)

    def clone(value: Any, guest: Guest, results: int) -> None:
        arena = guest.handles.arena
        data = lower(value, arena)
        capi.val_clone(id(data) + BYTES_AT, results)
        arena.forget()
        arena.clear()

    def move_or_clone(value: Any, guest: Guest, results: int) -> None:
        arena = guest.handles.arena
        data = lower(value, arena)
        if arena:
            capi.val_clone(id(data) + BYTES_AT, results)
            arena.forget()
            arena.clear()
        else:  # nothing of it lies in Python's memory; the box of a handle is wasmtime's from here on
            Val.from_address(results).raw = data
            arena.owned.clear()

    return move_or_clone if may_stand_alone(type_) else clone
