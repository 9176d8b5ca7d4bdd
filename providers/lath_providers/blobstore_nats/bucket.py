"""One bucket of the NATS object store, in the layout that all its clients share.

A stream `OBJ_{bucket}` has an object's bytes as messages on `$O.{bucket}.C.{id}`, an id for each write, and
what is known of it as one on `$O.{bucket}.M.{name in base64}`, which replaces the one before. nats-py's own
client holds whole objects in memory, and lets one of two writers of a name leave bytes that nobody finds
again; here bytes go in and out a chunk at a time, and each write replaces exactly the one before it
(compare-and-set on the last message).
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from lath.bus import Bus, jetstream
from lath.bus.jetstream import MESSAGE_NOT_FOUND, STREAM_NOT_FOUND, WRONG_LAST_SEQUENCE, JetStreamError
from lath.errors import Conflict, LathError, NotFound, Unavailable
from lath.names import shown
from lath.provider import BackendLost
from lath.subjects import HEADER_EXPECTED_SEQUENCE
from lath_providers.blobstore.backend import Blob, ObjectInfo, no_such_container, no_such_object, part_of
from lath_providers.blobstore_nats.asking import asking, refusing

PAGE_NAMES_MAX: Final = 1_000
PAGE_S: Final = 5.0
"""How long a page of names may take to come."""
CONSUMER_KEPT_S: Final = 30.0
"""A consumer that could not be deleted goes by itself."""

_DIGEST: Final = "SHA-256="
_OFFSET: Final = "Lath-Offset"
"""A header of each chunk: its first byte's place in the object, so that a part of it can be found."""
_ROLLUP: Final = {"Nats-Rollup": "sub"}


@dataclass(frozen=True, slots=True)
class Meta:
    """What a bucket knows of an object, or of one that was deleted.

    Attributes:
        sequence: Of the message that says it; 0: there is none.
        nuid: The id of the write.
        size: In bytes.
        chunks: Messages that hold them.
        chunk_bytes: In each but the last, where that is known; else 0.
        created_ns: Since the beginning of 1970.
    """

    sequence: int = 0
    nuid: str = ""
    size: int = 0
    chunks: int = 0
    chunk_bytes: int = 0
    digest: str = ""
    created_ns: int = 0
    deleted: bool = True
    linked: bool = False


class Bucket:
    """A bucket on a connection. What fails is told as `BlobBackend` says.

    Args:
        bus: The connection to the backend.
        name: The bucket's.
        container: What its component calls it.
        chunk_bytes: In each chunk that is written.
    """

    def __init__(self, bus: Bus, name: str, container: str, chunk_bytes: int) -> None:
        self._bus = bus
        self._name = name
        self._container = container
        self._chunk_bytes = chunk_bytes
        self._stream = f"OBJ_{name}"

    # --- the bucket ----------------------------------------------------------------------------------

    async def create(self, replicas: int, storage: str) -> None:
        """Makes it."""
        if await self.created_at() is not None:
            raise Conflict(f"container {shown(self._container)} is there already")
        await self._api(
            "STREAM.CREATE",
            {
                "name": self._stream,
                "subjects": [f"$O.{self._name}.C.>", f"$O.{self._name}.M.>"],
                "retention": "limits", "discard": "new", "storage": storage, "num_replicas": replicas,
                "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 0,
                "max_msgs_per_subject": -1, "allow_rollup_hdrs": True, "allow_direct": True,
            },
        )  # fmt: skip

    async def delete(self) -> None:
        """Deletes it with all that is in it."""
        await self._api("STREAM.DELETE")

    async def created_at(self) -> int | None:
        """When it was made, in seconds since the beginning of 1970; None where there is none."""
        try:
            info = await self._api("STREAM.INFO")
        except NotFound:
            return None
        return jetstream.nanoseconds(info["created"]) // 1_000_000_000

    async def pages(self) -> AsyncIterator[Sequence[str]]:
        """The names of its objects in the order of their last writes."""
        after = 0
        while True:
            names, after = await self._page(after)
            if names:
                yield names
            if not after:
                return

    # --- an object -----------------------------------------------------------------------------------

    async def info(self, name: str) -> ObjectInfo:
        """What is known of an object."""
        meta = await self._present(name)
        return ObjectInfo(self._container, name, meta.created_ns // 1_000_000_000, meta.size)

    async def has(self, name: str) -> bool:
        """Whether it is there."""
        return not (await self._meta(name)).deleted

    async def get(self, name: str, start: int, end: int) -> Blob:
        """A part of an object."""
        meta = await self._present(name)
        if meta.linked:
            raise Unavailable(f"object {shown(name)} is a link to another, which is not followed")
        first, size = part_of(meta.size, start, end)
        return Blob(size, self._bytes(name, meta, first, size))

    async def put(self, name: str, data: AsyncIterator[bytes]) -> None:
        """Writes an object: its bytes, acknowledged one chunk after the other, then that it is there.

        Where the word on the second is not heard, the bytes stay: the object may have them.
        """
        await self._meta(name)  # whether there is a bucket
        nuid = secrets.token_hex(16)
        try:
            written = await self._put_chunks(nuid, data)
        except BaseException:
            await self._purge_if_possible(nuid)
            raise
        try:
            replaced = await self._put_meta(name, {"name": name, "nuid": nuid, **written})
        except _Refused:
            await self._purge_if_possible(nuid)
            raise
        await self._purge_if_possible(replaced.nuid)

    async def delete_object(self, name: str) -> None:
        """Deletes an object. One that is not there is no error."""
        if (await self._meta(name)).deleted:
            return
        marker = {"name": name, "nuid": "", "size": 0, "chunks": 0, "digest": "", "deleted": True}
        replaced = await self._put_meta(name, marker)
        await self._purge_if_possible(replaced.nuid)
        # The marker has told those who watch; it goes too, but never what was written after it.
        gone = {"filter": self._meta_subject(name), "seq": (await self._meta(name)).sequence + 1}
        if (await self._meta(name)).deleted:
            await self._api("STREAM.PURGE", gone)

    # --- writing -------------------------------------------------------------------------------------

    async def _put_chunks(self, nuid: str, data: AsyncIterator[bytes]) -> dict[str, Any]:
        digest = hashlib.sha256()
        size = chunks = 0
        async for chunk in _rechunked(data, self._chunk_bytes):
            digest.update(chunk)
            await self._publish(self._chunk_subject(nuid), chunk, {_OFFSET: str(size)})
            size += len(chunk)
            chunks += 1
        return {
            "size": size,
            "chunks": chunks,
            "digest": _DIGEST + base64.urlsafe_b64encode(digest.digest()).decode(),
            "options": {"max_chunk_size": self._chunk_bytes},
        }

    async def _put_meta(self, name: str, meta: Mapping[str, Any]) -> Meta:
        """Says what an object is from now on; returns what it was."""
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        text = json.dumps({**meta, "bucket": self._name, "mtime": now}).encode()
        while True:
            before = await self._meta(name)
            headers = {**_ROLLUP, HEADER_EXPECTED_SEQUENCE: str(before.sequence)}
            try:
                await self._publish(self._meta_subject(name), text, headers)
            except Conflict:
                continue  # another writer came first; the call's deadline ends this
            return before

    async def _publish(self, subject: str, data: bytes, headers: Mapping[str, str]) -> int:
        with asking(self._bus):
            try:
                return await jetstream.publish(self._bus, subject, data, headers=headers)
            except JetStreamError as e:
                if e.code in WRONG_LAST_SEQUENCE:
                    raise Conflict("another write came first") from e
                raise _Refused(f"{self._bus.url}: {e.message}") from e
            except Unavailable:
                if await self.created_at() is None:
                    raise no_such_container(self._container) from None
                raise

    async def _purge_if_possible(self, nuid: str) -> None:
        """Deletes the bytes of a write that no object has. Where that fails they stay, found by nobody."""
        if nuid:
            with suppress(LathError, BackendLost):
                await self._api("STREAM.PURGE", {"filter": self._chunk_subject(nuid)})

    # --- reading -------------------------------------------------------------------------------------

    async def _bytes(self, name: str, meta: Meta, first: int, size: int) -> AsyncIterator[bytes]:
        """The bytes from `first` on. All of an object are checked by its digest before the last chunk."""
        digest = hashlib.sha256()
        whole = size == meta.size
        sequence, at = await self._sought(name, meta, first) if first and size else (1, 0)
        end = first + size
        while at < end:
            message = await self._chunk(name, meta, sequence)
            chunk = message.data
            if whole:
                digest.update(chunk)
                if at + len(chunk) >= end and not _matches(digest.digest(), meta.digest):
                    raise Unavailable(f"the bytes of object {shown(name)} do not have its digest")
            if at + len(chunk) > first:
                yield chunk[max(0, first - at) : end - at]
            sequence, at = message.sequence + 1, at + len(chunk)

    async def _sought(self, name: str, meta: Meta, first: int) -> tuple[int, int]:
        """Where to begin to read for the byte `first`: a sequence, and the place of the chunk that it gives.

        Chunk n is n messages or more after the first one, since others may write in between. So the one
        found at that distance is it or one before it.
        """
        if meta.chunk_bytes and first >= meta.chunk_bytes:
            begin = (await self._chunk(name, meta, 1)).sequence
            found = await self._chunk(name, meta, begin + first // meta.chunk_bytes)
            offset = found.headers.get(_OFFSET, "")
            if offset.isdecimal() and int(offset) <= first:
                return found.sequence, int(offset)
        return 1, 0  # written by another client, whose chunks do not say what they are

    async def _chunk(self, name: str, meta: Meta, sequence: int) -> jetstream.StoredMessage:
        """The first chunk of a write that is stored at that sequence or later."""
        ask = {"seq": sequence, "next_by_subj": self._chunk_subject(meta.nuid)}
        try:
            return jetstream.stored_message(await self._api("STREAM.MSG.GET", ask))
        except NotFound:
            raise NotFound(f"object {shown(name)} was replaced or deleted while it was read") from None

    async def _present(self, name: str) -> Meta:
        meta = await self._meta(name)
        if meta.deleted:
            raise no_such_object(self._container, name)
        return meta

    async def _meta(self, name: str) -> Meta:
        """What is known of an object, read through the stream's leader: what was written is what is read."""
        try:
            reply = await self._api("STREAM.MSG.GET", {"last_by_subj": self._meta_subject(name)})
        except _NoMessage:
            return Meta()
        message = jetstream.stored_message(reply)
        return _meta_of(message.data, message.sequence, message.created_ns)

    async def _page(self, after: int) -> tuple[list[str], int]:
        """Names from messages after a sequence, and the sequence to go on after; 0: that was all."""
        js = self._bus.nc.jetstream(timeout=PAGE_S)
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1,
            ack_policy=AckPolicy.NONE, inactive_threshold=CONSUMER_KEPT_S, mem_storage=True,
        )  # fmt: skip
        if await self.created_at() is None:
            raise no_such_container(self._container)
        with refusing(self._bus):
            pull = await js.pull_subscribe(self._meta_subject_of("*"), stream=self._stream, config=config)
            messages: list[Msg] = []
            try:
                info = await pull.consumer_info()
                waiting = min(info.num_pending or 0, PAGE_NAMES_MAX)
                if waiting:
                    with suppress(NatsTimeoutError):
                        messages = await pull.fetch(waiting, timeout=PAGE_S)
                    # Nothing came: all were deleted meanwhile, else this is no end of the names.
                    if not messages and (await pull.consumer_info()).num_pending:
                        raise Unavailable(f"{self._bus.url} gave no names in time")
            finally:
                with suppress(Exception):
                    await pull.unsubscribe()
                    await js.delete_consumer(self._stream, info.name)
        names = []
        for message in messages:
            meta = json.loads(message.data)
            if not meta.get("deleted"):
                names.append(str(meta["name"]))
        more = messages and messages[-1].metadata.num_pending
        return names, messages[-1].metadata.sequence.stream if more else 0

    # --- inside --------------------------------------------------------------------------------------

    def _chunk_subject(self, nuid: str) -> str:
        return f"$O.{self._name}.C.{nuid}"

    def _meta_subject(self, name: str) -> str:
        # a subject has no empty token, so the empty name has one that is no other name's
        return self._meta_subject_of(base64.urlsafe_b64encode(name.encode()).decode() or "=")

    def _meta_subject_of(self, token: str) -> str:
        return f"$O.{self._name}.M.{token}"

    async def _api(self, function: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        with asking(self._bus):
            try:
                return await jetstream.call(self._bus, f"{function}.{self._stream}", body)
            except JetStreamError as e:
                if e.code == STREAM_NOT_FOUND:
                    raise no_such_container(self._container) from e
                if e.code == MESSAGE_NOT_FOUND:
                    raise _NoMessage("there is no such message") from e
                raise Unavailable(f"{self._bus.url}: {e.message}") from e


class _Refused(Unavailable):
    """The server has not stored a message, for certain."""


class _NoMessage(NotFound):
    """The stream has no message of that subject."""


def _meta_of(data: bytes, sequence: int, created_ns: int) -> Meta:
    said = json.loads(data)
    options = said.get("options") or {}
    return Meta(
        sequence=sequence,
        nuid=str(said.get("nuid") or ""),
        size=int(said.get("size") or 0),
        chunks=int(said.get("chunks") or 0),
        chunk_bytes=int(options.get("max_chunk_size") or 0),
        digest=str(said.get("digest") or ""),
        created_ns=created_ns,
        deleted=bool(said.get("deleted")),
        linked="link" in options,
    )


def _matches(digest: bytes, said: str) -> bool:
    text = said.partition("=")[2]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) == digest


async def _rechunked(data: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """The same bytes in chunks of `size`, the last one smaller."""
    waiting = bytearray()
    async for each in data:
        waiting += each
        while len(waiting) >= size:
            yield bytes(waiting[:size])
            del waiting[:size]
    if waiting:
        yield bytes(waiting)
