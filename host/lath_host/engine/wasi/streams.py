"""`wasi:io/streams`: every function of both kinds of streams, over whatever gives or takes the bytes.

A flush is done at once: what has been written is with whoever reads it, there is no further buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from lath.errors import Trap
from lath_host.engine.values.local import Local
from lath_host.engine.wasi import WAIT, Answer, Immediate, WasiGuest
from lath_host.engine.wasi.poll import Always, CallOff, Pollable, Wake, first_ready

PRINT_BYTES_MAX: Final = 65_536
"""What a guest may print in one go."""
BLOCKING_WRITE_BYTES_MAX: Final = 4096
"""What the standard lets a guest give to `blocking-write-and-flush`."""
READ_BYTES_MAX: Final = 1 << 20
"""What one read gives at most: a guest may ask for 2^64 bytes, and has to find room for what it gets."""


class IoError(Local):
    """A `wasi:io/error`.

    Args:
        message: For humans.
        code: What it is in the terms of the interface that it came from, as a wire value; None: nothing more.
    """

    def __init__(self, message: str, code: Any = None) -> None:
        super().__init__()
        self.message = message
        self.code = code


class StreamClosed(Exception):
    """The stream has come to its end."""


class StreamFailed(Exception):
    """The stream has failed.

    Args:
        error: What the guest is told.
    """

    def __init__(self, error: IoError) -> None:
        super().__init__(error.message)
        self.error = error


class InputStream(Local):
    """A stream that a guest reads. As it is, it is at its end."""

    def ready(self) -> bool:
        """Whether `take` would say anything (poll.Watched)."""
        return True

    def watch(self, wake: Wake) -> CallOff:
        """Has `wake` called once it is ready (poll.Watched)."""
        return Always().watch(wake)

    def take(self, size: int) -> bytes:
        """Up to `size` bytes; none where there are none yet.

        Raises:
            StreamClosed, StreamFailed: There will be no more.
        """
        raise StreamClosed


class OutputStream(Local):
    """A stream that a guest writes. As it is, it takes all and keeps nothing."""

    def ready(self) -> bool:
        """Whether there is room, or never will be (poll.Watched)."""
        return True

    def watch(self, wake: Wake) -> CallOff:
        """Has `wake` called once it is ready (poll.Watched)."""
        return Always().watch(wake)

    def room(self) -> int:
        """How many bytes it would take now.

        Raises:
            StreamClosed, StreamFailed: It takes no more.
        """
        return PRINT_BYTES_MAX

    def put(self, data: bytes) -> None:
        """Takes bytes, as many as there is room for.

        Raises:
            StreamClosed, StreamFailed: It takes no more.
        """


class Printed(OutputStream):
    """A standard stream.

    Args:
        guest: Whose.
        name: `stdout` or `stderr`.
    """

    def __init__(self, guest: WasiGuest, name: str) -> None:
        super().__init__()
        self._guest = guest
        self._name = name

    def put(self, data: bytes) -> None:
        self._guest.print(self._name, data)


_WRITTEN: Final = {"ok": None}


def _told(work: Callable[[WasiGuest, list[Any]], Any]) -> Immediate:
    """What answers with the outcome of `work`."""

    def answer(guest: WasiGuest, params: list[Any]) -> dict[str, Any]:
        try:
            return {"ok": work(guest, params)}
        except (StreamClosed, StreamFailed) as refused:
            return _refusal(refused)

    return answer


def _refusal(why: StreamClosed | StreamFailed) -> dict[str, Any]:
    if isinstance(why, StreamFailed):
        return {"err": {"last-operation-failed": why.error}}
    return {"err": {"closed": None}}


def _blocking(awaited: Sequence[int], work: Callable[[WasiGuest, list[Any]], Any]) -> Answer:
    """What answers with the outcome of `work` once the parameters at `awaited` have been ready, in turn."""
    told = _told(work)

    def at_once(guest: WasiGuest, params: list[Any]) -> Any:
        ready = all(params[index].ready() for index in awaited)
        return told(guest, params) if ready else WAIT

    async def later(guest: WasiGuest, params: list[Any]) -> Any:
        for index in awaited:
            await first_ready([params[index]])
        return told(guest, params)

    return Answer(at_once, later)


def _read(guest: WasiGuest, params: list[Any]) -> bytes:
    stream, size = params
    data: bytes = stream.take(min(size, READ_BYTES_MAX))
    return data


def _skip(guest: WasiGuest, params: list[Any]) -> int:
    return len(_read(guest, params))


def _check_write(guest: WasiGuest, params: list[Any]) -> int:
    room: int = params[0].room()
    return room


def _write(guest: WasiGuest, params: list[Any]) -> None:
    stream, data = params
    if len(data) > stream.room():
        raise Trap(f"it wrote {len(data)} bytes where check-write permits {stream.room()}")
    stream.put(data)


def _write_zeroes(guest: WasiGuest, params: list[Any]) -> None:
    stream, size = params
    if size > stream.room():
        raise Trap(f"it wrote {size} zeroes where check-write permits {stream.room()}")
    stream.put(bytes(size))


def _check_blocking(size: int) -> None:
    if size > BLOCKING_WRITE_BYTES_MAX:
        raise Trap(
            f"it gave {size} bytes to a blocking write and flush, which takes {BLOCKING_WRITE_BYTES_MAX}"
        )


def _write_all_at_once(guest: WasiGuest, params: list[Any]) -> Any:
    stream, data = params
    _check_blocking(len(data))
    try:
        if stream.room() < len(data):
            return WAIT
        stream.put(data)
    except (StreamClosed, StreamFailed) as refused:
        return _refusal(refused)
    return _WRITTEN


async def _write_all(guest: WasiGuest, params: list[Any]) -> Any:
    stream, data = params
    at = 0
    while at < len(data):
        await first_ready([stream])
        told = _told(_write_some)(guest, [stream, data[at:]])
        if "err" in told:
            return told
        at += told["ok"]
    return {"ok": None}


def _write_some(guest: WasiGuest, params: list[Any]) -> int:
    stream, data = params
    room: int = stream.room()
    stream.put(data[:room])
    return min(room, len(data))


def _zeroes_at_once(guest: WasiGuest, params: list[Any]) -> Any:
    stream, size = params
    _check_blocking(size)
    return _write_all_at_once(guest, [stream, bytes(size)])


async def _zeroes(guest: WasiGuest, params: list[Any]) -> Any:
    stream, size = params
    return await _write_all(guest, [stream, bytes(size)])


def _flush(guest: WasiGuest, params: list[Any]) -> None:
    params[0].room()  # raises what went wrong


def _splice(guest: WasiGuest, params: list[Any]) -> int:
    output, source, size = params
    data = source.take(min(size, output.room(), READ_BYTES_MAX))
    output.put(data)
    return len(data)


def _subscribe(guest: WasiGuest, params: list[Any]) -> Pollable:
    return Pollable(params[0], params[0])


_OUTPUT: Final = "[method]output-stream."
_INPUT: Final = "[method]input-stream."
_STREAMS: Final = {
    _OUTPUT + "check-write": Answer(_told(_check_write)),
    _OUTPUT + "write": Answer(_told(_write)),
    _OUTPUT + "blocking-write-and-flush": Answer(_write_all_at_once, _write_all),
    _OUTPUT + "flush": Answer(_told(_flush)),
    _OUTPUT + "blocking-flush": Answer(_told(_flush)),
    _OUTPUT + "write-zeroes": Answer(_told(_write_zeroes)),
    _OUTPUT + "blocking-write-zeroes-and-flush": Answer(_zeroes_at_once, _zeroes),
    _OUTPUT + "splice": Answer(_told(_splice)),
    _OUTPUT + "blocking-splice": _blocking([1, 0], _splice),
    _OUTPUT + "subscribe": Answer(_subscribe),
    _INPUT + "read": Answer(_told(_read)),
    _INPUT + "blocking-read": _blocking([0], _read),
    _INPUT + "skip": Answer(_told(_skip)),
    _INPUT + "blocking-skip": _blocking([0], _skip),
    _INPUT + "subscribe": Answer(_subscribe),
}
ANSWERS: Final = {
    ("wasi:io/error", "[method]error.to-debug-string"): Answer(lambda guest, params: params[0].message),
} | {("wasi:io/streams", name): answer for name, answer in _STREAMS.items()}
