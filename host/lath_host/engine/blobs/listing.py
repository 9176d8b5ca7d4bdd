"""`stream-object-names`: the names of a container's objects, fetched as a guest asks for them."""

from __future__ import annotations

from typing import Any, Final

from lath.streamed import ByteStream, StringStream
from lath_host.engine.blobs.incoming import release
from lath_host.engine.values.local import Local
from lath_host.engine.wasi import Answer, Ask, WasiGuest
from lath_host.engine.wasi.bodies import BODY_BYTES

NAMES_AT_ONCE_MAX: Final = 10_000
"""What one read gives at most: a guest may ask for 2^64, and has to find room for what it gets."""


class ObjectNames(Local):
    """Names that are still to come.

    Args:
        guest: Who reads them.
        stream: Their bytes.
    """

    kept_bytes = BODY_BYTES

    def __init__(self, guest: WasiGuest, stream: ByteStream) -> None:
        super().__init__()
        self._guest = guest
        self._stream = stream
        self._names = StringStream(stream)

    async def next(self, count: int) -> tuple[list[str], bool]:
        """Up to `count` of them, and whether that was all."""
        names: list[str] = []
        while len(names) < count:
            try:
                names.append(await anext(self._names))
            except StopAsyncIteration:
                return names, True
        return names, False

    def end(self) -> None:
        super().end()
        release(self._guest, self._stream)


async def list_objects(guest: WasiGuest, params: list[Any], ask: Ask) -> Any:
    """Answers `container.list-objects` (wasi.Forward)."""
    answer = await ask(params)
    stream = answer.get("ok")
    return {"ok": ObjectNames(guest, stream)} if isinstance(stream, ByteStream) else answer


async def _read(guest: WasiGuest, params: list[Any]) -> dict[str, Any]:
    listing, count = params
    names, ended = await listing.next(min(count, NAMES_AT_ONCE_MAX))
    return {"ok": [names, ended]}


async def _skip(guest: WasiGuest, params: list[Any]) -> dict[str, Any]:
    listing, count = params
    skipped, ended = 0, False
    while skipped < count and not ended:
        names, ended = await listing.next(min(count - skipped, NAMES_AT_ONCE_MAX))
        skipped += len(names)
    return {"ok": [skipped, ended]}


_NAMES: Final = "[method]stream-object-names."
ANSWERS: Final = {
    ("wasi:blobstore/container", name): answer
    for name, answer in {
        f"{_NAMES}read-stream-object-names": Answer(later=_read),
        f"{_NAMES}skip-stream-object-names": Answer(later=_skip),
    }.items()
}
