"""The core code of a keeper: a memory, a log of what was put off, what stands between handles and numbers.

Numbers and handles are 32 bits, and strings and `list<u8>` lie alike, so a function that was lowered with
numbers can be lifted again with handles. What was lent arrives as what it stands for, so nothing has to be
done for it. What is given away is taken out of the keeper's table, and of what comes back handles are made.

The log (`compose.deferrable`) lies at the bottom of the memory; what calls need lies behind it, and is taken
back after each. A call that the host answers brings the log as a last parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Final

from wasmtime import wat2wasm

from lath.wit.types import Func, Handle, ListOf, OptionOf, Record, ResultOf, TupleOf, Type, Variant
from lath_host.engine.compose.abi import (
    FLAT_PARAMS_MAX,
    CoreType,
    aligned,
    core_func,
    flat,
    flat_params,
    members_of,
    payload_offset,
    payloads_of,
    size_of,
    tag_bytes,
)
from lath_host.engine.compose.adapters import MEMORY_BEGIN, MEMORY_CODE, NO_ROOM, after_name
from lath_host.engine.compose.binary import Malformed
from lath_host.engine.compose.deferrable import (
    DROPPED,
    ENTRY,
    OWN_NUMBERS,
    made_always,
    made_first,
    number_of,
)
from lath_host.engine.values import handles_in
from lath_host.engine.values.numbered import LOG

ResourceKey = tuple[str, str]
"""(interface, resource)"""

Key = tuple[str, str]
"""(interface, function)"""

_LOG_BYTES_MAX: Final = 3072
"""What may be put off before the host is asked all the same: it is to hear of objects while they are few."""
_LOADS: Final = {1: "i32.load8_u", 2: "i32.load16_u", 4: "i32.load"}


def keeper_memory() -> bytes:
    """A memory with the log, and the destructor of all resources, which handles that move on pass by."""
    begin, size = MEMORY_BEGIN, ENTRY.size
    return bytes(
        wat2wasm(f"""
(module
  {MEMORY_CODE}
  (global $moving (export "moving") (mut i32) (i32.const 0))
  (global $end (export "log-end") (mut i32) (i32.const {begin}))
  (func (export "reset") (global.set $top (global.get $end)))
  (func $put (export "put") (param $what i32) (param $number i32) (param $of i32) (local $at i32)
    (local.set $at (global.get $end))
    (global.set $end (i32.add (local.get $at) (i32.const {size})))
    (global.set $top (global.get $end))
    (if (i32.gt_u (global.get $end) (i32.shl (memory.size) (i32.const 16))) (then
      (if (i32.eq (i32.const -1) (memory.grow (i32.const 1))) (then (call ${NO_ROOM})))))
    (i32.store (local.get $at) (local.get $what))
    (i32.store offset=4 (local.get $at) (local.get $number))
    (i32.store offset=8 (local.get $at) (local.get $of)))
  (func (export "destroy") (param i32)
    (if (i32.eqz (global.get $moving))
      (then (call $put (i32.const {DROPPED}) (local.get 0) (i32.const 0))))))
""")
    )


def brings_log(func: Func) -> bool:
    """Whether there is room for the log among the parameters of a function."""
    return len(flat_params(func)) + len(flat(LOG)) <= FLAT_PARAMS_MAX


def needed_of(
    funcs: Mapping[Key, Func], made: Sequence[ResourceKey]
) -> tuple[set[ResourceKey], set[ResourceKey]]:
    """The resources of which handles are made, and those of which handles are taken.

    Each builtin that a module imports costs an instance some hundreds of instructions.
    """
    taken = {key for func in funcs.values() for param in func.params for key in _owned_in(param.type)}
    return {*made, *(key for func in funcs.values() for key in _owned_in(func.result))}, taken


def _owned_in(type_: Type | None) -> Iterator[ResourceKey]:
    return ((each.interface, each.resource) for each in handles_in(type_) if each.mode == "own")


def keeper_module(
    funcs: Mapping[Key, Func], resources: Mapping[ResourceKey, int], made: Sequence[ResourceKey]
) -> bytes:
    """A module that exports `0`, `1`, … for `funcs`, and their post-returns.

    It exports, too, `make-0`, … for `made`, which make handles of numbers, and `settle`, which tells the host
    what was put off. It imports the lowered functions as `lowered` `0`, `1`, …, and `told`; by the resources'
    numbers `new`, `rep` and `drop`, where they are `needed_of`; and `memory`, which is a `keeper_memory`.

    Raises:
        Malformed: A function takes handles in a way that this does not know.
    """
    new, taken = needed_of(funcs, made)
    made_here, taken_here = (
        sorted(resources[key] for key in keys if key in resources) for keys in (new, taken)
    )
    results = dict.fromkeys(core_func(func).results for func in funcs.values())
    first = {each[0].resource for key, func in funcs.items() if (each := _first(key, func))}
    fresh = {number for (_, resource), number in resources.items() if resource in first}
    text = "\n".join(
        [
            "(module",
            '(import "memory" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))',
            '(import "memory" "reset" (func $reset))',
            '(import "memory" "put" (func $put (param i32 i32 i32)))',
            '(import "memory" "moving" (global $moving (mut i32)))',
            '(import "memory" "log-end" (global $log-end (mut i32)))',
            '(import "memory" "memory" (memory 0))',
            '(import "lowered" "told" (func $told (param i32 i32)))',
            *(f'(import "new" "{n}" (func $new{n} (param i32) (result i32)))' for n in made_here),
            *(f'(import "rep" "{n}" (func $rep{n} (param i32) (result i32)))' for n in taken_here),
            *(f'(import "drop" "{n}" (func $drop{n} (param i32)))' for n in taken_here),
            *(_lowered(number, func) for number, func in enumerate(funcs.values())),
            f"(global $next (mut i32) (i32.const {OWN_NUMBERS}))",
            *(f"(global $fresh{n} (mut i32) (i32.const 0))" for n in sorted(fresh)),
            _NEXT,
            _SETTLE,
            *map(_take, taken_here),
            *(_make(n, f"(global.set $fresh{n} (local.get 0))" if n in fresh else "") for n in made_here),
            *(f'(export "make-{at}" (func $make{resources[key]}))' for at, key in enumerate(made)),
            *(_Function(n, key, func, resources).text() for n, (key, func) in enumerate(funcs.items())),
            *(
                f'(func (export "{after_name(each)}") {_typed("param", each)} (call $reset))'
                for each in results
            ),
            ")",
        ]
    )
    return bytes(wat2wasm(text))


_NEXT: Final = f"""
(func $next (result i32)
  (global.set $next (i32.or (i32.const {OWN_NUMBERS})
    (i32.and (i32.const {OWN_NUMBERS - 1}) (i32.add (global.get $next) (i32.const 1)))))
  (global.get $next))"""
_LOG_CODE: Final = f"(i32.const {MEMORY_BEGIN}) (i32.sub (global.get $log-end) (i32.const {MEMORY_BEGIN}))"
_FORGET_LOG: Final = f"(global.set $log-end (i32.const {MEMORY_BEGIN}))"
_SETTLE: Final = f"""
(func $settle (export "settle")
  (if (i32.ne (global.get $log-end) (i32.const {MEMORY_BEGIN})) (then
    (call $told {_LOG_CODE})
    {_FORGET_LOG})))"""


def _lowered(number: int, func: Func) -> str:
    core = core_func(func)
    params = [*core.params, *flat(LOG)] if brings_log(func) else [*core.params]
    typed = f"{_typed('param', params)} {_typed('result', core.results)}"
    if core.returned:
        typed = _typed("param", [*params, "i32"])
    return f'(import "lowered" "{number}" (func $lowered{number} {typed}))'


def _take(number: int) -> str:
    """What takes a handle out of the table, and gives what it stands for."""
    return f"""
(func $take{number} (param $handle i32) (result i32) (local $rep i32)
  (local.set $rep (call $rep{number} (local.get $handle)))
  (global.set $moving (i32.const 1))
  (call $drop{number} (local.get $handle))
  (global.set $moving (i32.const 0))
  (local.get $rep))"""


def _make(number: int, note: str) -> str:
    """What makes a handle of the number of an object that nothing has been called on yet."""
    return f"(func $make{number} (param i32) (result i32) {note} (call $new{number} (local.get 0)))"


def _first(key: Key, func: Func) -> tuple[Handle, Handle] | None:
    """Of a function that cannot fail when it is called on an object first: on what, and what it makes."""
    made = made_first(*key, func)
    taken = func.params[0].type if func.params else None
    return (taken, made) if made and isinstance(taken, Handle) and taken.mode == "borrow" else None


def _typed(what: str, types: Iterable[CoreType]) -> str:
    return f"({what} {' '.join(types)})"


def _room(size: int, align: int) -> str:
    return f"(call $realloc (i32.const 0) (i32.const 0) (i32.const {align}) (i32.const {size}))"


def _has_own(type_: Type | None) -> bool:
    return any(handle.mode == "own" for handle in handles_in(type_))


class _Function:
    """One function between its lowering and its lifting."""

    def __init__(self, number: int, key: Key, func: Func, resources: Mapping[ResourceKey, int]) -> None:
        self._number = number
        self._key = key
        self._func = func
        self._resources = resources
        self._locals: list[str] = []
        self._labels = count()

    def text(self) -> str:
        core, number = core_func(self._func), self._number
        typed = f"{_typed('param', core.params)} {_typed('result', core.results)}"
        params = " ".join(f"(local.get {at})" for at in range(len(core.params)))
        code = self._put_off(f"(call $cross{number} {params})")
        return f'{self._crossing(typed)} (func (export "{number}") {typed} (local $number i32) {code})'

    def _crossing(self, typed: str) -> str:
        """The function that has the host answer."""
        core = core_func(self._func)
        before, after = self._params(), _FORGET_LOG
        given = " ".join(f"(local.get {at})" for at in range(len(core.params)))
        if brings_log(self._func):
            given = f"{given} {_LOG_CODE}"
        else:
            before, after = f"{before} (call $settle)", ""
        if core.returned:
            size, align = core.returned
            room = self._local()
            before += f"(local.set {room} {_room(size, align)})"
            given = f"{given} (local.get {room})"
            assert self._func.result is not None
            after += f"{self._in_memory(self._func.result, room, 0, self._made)} (local.get {room})"
        call = f"(call $lowered{self._number} {given})"
        if isinstance(self._func.result, Handle):
            call = self._made(self._func.result, call)
        declared = " ".join(f"(local {name} i32)" for name in self._locals)
        return f"(func $cross{self._number} {typed} {declared} {before} {call} {after})"

    # -- what the host need not answer -----------------------------------------------------------------------

    def _put_off(self, crossing: str) -> str:
        """The code that puts a call off where that can be; else, and where it cannot now, `crossing`."""
        always, first = made_always(*self._key, self._func), _first(self._key, self._func)
        full = f"(i32.gt_u (global.get $log-end) (i32.const {_LOG_BYTES_MAX}))"
        if always is not None:
            of = "(i32.const 0)"
            for param in self._func.params:
                assert isinstance(param.type, Handle)
                of = self._taken(param.type, "(local.get 0)")
            return f"(if {full} (then (return {crossing}))) {self._log(of)} {self._handle(always)}"
        if first is not None:
            taken, made = first
            fresh = f"$fresh{self._resource(taken)}"
            is_later = f"(i32.ne (local.get 0) (global.get {fresh}))"
            core = core_func(self._func)
            assert core.returned is not None
            assert isinstance(self._func.result, ResultOf)
            at = payload_offset(self._func.result)
            return (
                f"(if (i32.or {is_later} {full}) (then (return {crossing}))) "
                f"(global.set {fresh} (i32.const 0)) {self._log('(local.get 0)')} "
                f"(local.set 0 {_room(*core.returned)}) (i32.store8 (local.get 0) (i32.const 0)) "
                f"(i32.store offset={at} (local.get 0) {self._handle(made)}) (local.get 0)"
            )
        return crossing

    def _log(self, of: str) -> str:
        what = f"(i32.const {number_of(*self._key)})"
        return f"(call $put {what} (local.tee $number (call $next)) {of})"

    def _handle(self, made: Handle) -> str:
        return f"(call $make{self._resource(made)} (local.get $number))"

    def _local(self) -> str:
        name = f"$local{len(self._locals)}"
        self._locals.append(name)
        return name

    # -- what is given away ----------------------------------------------------------------------------------

    def _params(self) -> str:
        cores = flat_params(self._func)
        if len(cores) > FLAT_PARAMS_MAX:
            params = TupleOf(tuple(param.type for param in self._func.params))
            return self._in_memory(params, "0", 0, self._taken)
        code, at = "", 0
        for param in self._func.params:
            code += self._flat(param.type, at, cores)
            at += len(flat(param.type))
        return code

    def _flat(self, type_: Type, at: int, cores: Sequence[CoreType]) -> str:
        """Takes the handles in parameters that lie flat, from the position `at` on."""
        if not _has_own(type_):
            return ""
        match type_:
            case Handle():
                return self._flat_handle(type_, at, cores[at])
            case Record() | TupleOf():
                code = ""
                for member in members_of(type_):
                    code += self._flat(member, at, cores)
                    at += len(flat(member))
                return code
            case Variant() | OptionOf() | ResultOf():
                return "".join(
                    f"(if (i32.eq (local.get {at}) (i32.const {case})) "
                    f"(then {self._flat(each, at + 1, cores)}))"
                    for case, each in enumerate(payloads_of(type_))
                    if each is not None and _has_own(each)
                )
        raise Malformed("handles are given away in a list")

    def _flat_handle(self, handle: Handle, at: int, core: CoreType) -> str:
        if core == "i32":
            return f"(local.set {at} {self._taken(handle, f'(local.get {at})')})"
        if core == "i64":
            taken = self._taken(handle, f"(i32.wrap_i64 (local.get {at}))")
            return f"(local.set {at} (i64.extend_i32_u {taken}))"
        raise Malformed("a handle shares its place with a number of another kind")

    # -- what lies in memory ---------------------------------------------------------------------------------

    def _in_memory(self, type_: Type, base: str, offset: int, change: Callable[[Handle, str], str]) -> str:
        """Changes the handles that are given away in a value at `offset` behind the address in `base`."""
        if not _has_own(type_):
            return ""
        match type_:
            case Handle():
                was = f"(i32.load offset={offset} (local.get {base}))"
                return f"(i32.store offset={offset} (local.get {base}) {change(type_, was)})"
            case Record() | TupleOf():
                code, at = "", offset
                for member in members_of(type_):
                    size, align = size_of(member)
                    at = aligned(at, align)
                    code += self._in_memory(member, base, at, change)
                    at += size
                return code
            case Variant() | OptionOf() | ResultOf():
                payloads, behind = payloads_of(type_), offset + payload_offset(type_)
                case = f"({_LOADS[tag_bytes(len(payloads))]} offset={offset} (local.get {base}))"
                return "".join(
                    f"(if (i32.eq {case} (i32.const {number})) "
                    f"(then {self._in_memory(each, base, behind, change)}))"
                    for number, each in enumerate(payloads)
                    if each is not None and _has_own(each)
                )
            case ListOf(element=element):
                return self._in_list(element, base, offset, change)
        raise Malformed("handles are given away in a map")

    def _in_list(self, element: Type, base: str, offset: int, change: Callable[[Handle, str], str]) -> str:
        at, end, label = self._local(), self._local(), next(self._labels)
        size, _ = size_of(element)
        begin = f"(local.tee {at} (i32.load offset={offset} (local.get {base})))"
        length = f"(i32.mul (i32.const {size}) (i32.load offset={offset + 4} (local.get {base})))"
        return (
            f"(local.set {end} (i32.add {begin} {length})) (block $end{label} (loop $next{label} "
            f"(br_if $end{label} (i32.eq (local.get {at}) (local.get {end}))) "
            f"{self._in_memory(element, at, 0, change)} "
            f"(local.set {at} (i32.add (local.get {at}) (i32.const {size}))) (br $next{label})))"
        )

    def _taken(self, handle: Handle, code: str) -> str:
        return f"(call $take{self._resource(handle)} {code})" if handle.mode == "own" else code

    def _made(self, handle: Handle, code: str) -> str:
        return f"(call $new{self._resource(handle)} {code})" if handle.mode == "own" else code

    def _resource(self, handle: Handle) -> int:
        key = handle.interface, handle.resource
        if key not in self._resources:
            raise Malformed(f"the resource {handle.resource} of {handle.interface} is not the host's own")
        return self._resources[key]
