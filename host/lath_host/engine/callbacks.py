"""The callbacks by which wasmtime asks Python: for the answer of an import, and when a handle is dropped.

An import's callback runs inside the poll of its guest, on the loop or in a pool thread. What the host can
answer at once it answers there. Else it reads the parameters and leaves a `PendingImport` on the guest. The
call's own task, which polls the guest, then finds it there and awaits the answer, so an import needs no task,
no event and no lock of its own, sees the caller's context variables, and ends with the caller when that is
cancelled.

No exception may leave a callback: it would end the process.
"""

from __future__ import annotations

import asyncio
import ctypes
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from lath.wit.types import Func
from lath_host.engine import capi
from lath_host.engine.import_plans import ImportPlan, PendingImport
from lath_host.engine.told import Told
from lath_host.engine.wasi import WAIT, Answer, Immediate

if TYPE_CHECKING:
    from lath_host.engine.guest import Guest

_CONTINUATION: Final = struct.Struct("<QQQ")
"""`wasmtime_async_continuation_t`: callback, env, finalizer."""
_Continuation: Final = ctypes.c_char * _CONTINUATION.size
_PAYLOAD_AT: Final = 8
"""Where the size and the address of a string stand in a component value."""
_read_span: Final = struct.Struct("<QQ").unpack_from
_labs: Final = ctypes.CDLL(None).labs
_ANSWERED: Final = _CONTINUATION.pack(capi.address(_labs), 1, 0)
"""The continuation of an import that has its answer already: `labs(1)` of the C library, which is true.
Asking Python again would cost a fifth of the import."""


class Callbacks:
    """Makes the callbacks of one component's imports.

    Args:
        guests: Its guests, by the address of the store's context, which is all that a callback is told.

    Attributes:
        destructor: Hears of the handles that guests drop. Whoever hands its address out keeps this alive.
    """

    def __init__(self, guests: Mapping[int, Guest]) -> None:
        self._guests = guests
        self._loop = asyncio.get_running_loop()
        self._told = Told(self._drop)
        self._continuation = capi.Continuation(self._continue)
        self._continuation_at = capi.address(self._continuation)
        self.destructor = capi.Destructor(self._dropped)

    def put_off(self, interface: str, function: str, func: Func, answer: Immediate) -> None:
        """Has calls of a function be made up for, which a keeper may put off (`Told.add`)."""
        self._told.add(interface, function, func, answer)

    def answering(self, plan: ImportPlan) -> Callable[..., None]:
        """What answers an import."""
        own = plan.own
        if own is not None and own.at_once is not None:
            return self._at_once(plan, own.at_once, own.anywhere)
        guests, leave = self._guests, self._leave
        owner = plan.import_.interface.name

        def callback(
            data: Any, context: int, type_: int, args: int, args_len: int, results: int, results_len: int,
            error_out: int, continuation_out: int,
        ) -> None:  # fmt: skip
            try:
                guest = guests[context]
                counts = guest.host_calls
                counts[owner] = counts.get(owner, 0) + 1
                params = plan.lift_params(args, guest.handles)
                leave(guest, PendingImport(plan, params, results), continuation_out)
            except BaseException as error:
                _refuse(guests.get(context), error, error_out)

        return callback

    def _at_once(self, plan: ImportPlan, at_once: Immediate, anywhere: bool) -> Callable[..., None]:
        """What answers an import inside the poll, where that can be, or else leaves it to the call's task."""
        guests, leave, place = self._guests, self._leave, _Continuation.from_address
        owner, answered = plan.import_.interface.name, _ANSWERED

        def callback(
            data: Any, context: int, type_: int, args: int, args_len: int, results: int, results_len: int,
            error_out: int, continuation_out: int,
        ) -> None:  # fmt: skip
            try:
                guest = guests[context]
                counts = guest.host_calls
                counts[owner] = counts.get(owner, 0) + 1
                params = plan.lift_params(args, guest.handles)
                value = at_once(guest, params) if anywhere or not guest.busy else WAIT
                if value is not WAIT:
                    plan.write(value, guest, results)
                    place(continuation_out).raw = answered
                else:
                    leave(guest, PendingImport(plan, params, results), continuation_out)
            except BaseException as error:
                _refuse(guests.get(context), error, error_out)

        return callback

    def numbered(self, plan: ImportPlan, own: Answer, brings_log: bool) -> Callable[..., None]:
        """What answers a call of a keeper, once it has made up for what was put off before."""
        if not brings_log:
            return self._at_once(plan, own.at_once, own.anywhere) if own.at_once else self.answering(plan)
        guests, leave, place = self._guests, self._leave, _Continuation.from_address
        owner, answered, at_once, anywhere = plan.import_.interface.name, _ANSWERED, own.at_once, own.anywhere
        params_count, take = len(plan.carried.params), self._told.take
        values, log_at = (capi.Val * (params_count + 1)).from_address, params_count * capi.VAL_BYTES

        def callback(
            data: Any, context: int, type_: int, args: int, args_len: int, results: int, results_len: int,
            error_out: int, continuation_out: int,
        ) -> None:  # fmt: skip
            try:
                guest = guests[context]
                memory = values(args)
                log_size, log = _read_span(memory, log_at + _PAYLOAD_AT)
                if log_size:
                    take(guest, log_size, log)
                counts = guest.host_calls
                counts[owner] = counts.get(owner, 0) + 1
                params = plan.lift_values(memory, guest.handles)
                value = at_once(guest, params) if at_once and (anywhere or not guest.busy) else WAIT
                if value is not WAIT:
                    plan.write(value, guest, results)
                    place(continuation_out).raw = answered
                else:
                    leave(guest, PendingImport(plan, params, results), continuation_out)
            except BaseException as error:
                _refuse(guests.get(context), error, error_out)

        return callback

    def telling(self) -> Callable[..., None]:
        """What hears of what was put off where no other call brings it."""
        guests, place, take = self._guests, _Continuation.from_address, self._told.take
        value, answered = capi.Val.from_address, _ANSWERED

        def callback(
            data: Any, context: int, type_: int, args: int, args_len: int, results: int, results_len: int,
            error_out: int, continuation_out: int,
        ) -> None:  # fmt: skip
            try:
                take(guests[context], *_read_span(value(args), _PAYLOAD_AT))
                place(continuation_out).raw = answered
            except BaseException as error:
                _refuse(guests.get(context), error, error_out)

        return callback

    def _leave(self, guest: Guest, pending: PendingImport, continuation_out: int) -> None:
        """Leaves an import to the call's task."""
        guest.pending = pending
        continuation = _CONTINUATION.pack(self._continuation_at, guest.context, 0)
        _Continuation.from_address(continuation_out).raw = continuation

    def _continue(self, context: int) -> bool:
        """Whether the guest may go on; writes what it waited for."""
        guest = self._guests.get(context)
        if guest is None or guest.pending is None or not guest.pending.answered:
            return False
        try:
            guest.pending.write(guest)
        except BaseException as error:
            guest.failure = error
            return False
        guest.pending = None
        return True

    def _dropped(self, data: Any, context: int, rep: int) -> int:
        """A guest has dropped a handle that it owned."""
        guest = self._guests.get(context)
        if guest is None:
            return 0
        try:
            self._drop(guest, rep)
        except BaseException as error:
            guest.failure = error
            return capi.error_new(b"the handle could not be dropped") or 0
        return 0

    def _drop(self, guest: Guest, number: int) -> None:
        if guest.busy:  # in a thread
            self._loop.call_soon_threadsafe(_drop, guest, number)
        else:
            guest.handles.dropped(number)


def _drop(guest: Guest, rep: int) -> None:
    """What a busy guest has dropped, on the loop; what is wrong with it fails its call."""
    try:
        guest.handles.dropped(rep)
    except BaseException as error:
        guest.failure = error


def _refuse(guest: Guest | None, error: BaseException, error_out: int) -> None:
    """Has the import trap. The error itself is kept with the guest, for its caller."""
    with suppress(BaseException):
        if guest is not None:
            guest.failure = error
    pointer = capi.error_new(b"the import failed")
    ctypes.memmove(error_out, pointer.to_bytes(capi.POINTER_BYTES, "little"), capi.POINTER_BYTES)
