"""The buckets of a lattice: streams that every host makes alike, and reading and writing them.

Reads go through the stream's leader. A direct get may be served by a follower that is behind, so that what
was just written seems absent.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from lath import subjects
from lath.bus import jetstream
from lath.bus.connection import Bus
from lath.bus.entry import DELETED, Entry, operation_of
from lath.bus.jetstream import JetStreamError
from lath.bus.watch import read_snapshot
from lath.errors import Conflict, DeadlineExceeded, LathError, NotConnected, Unavailable
from lath.model import Revision
from lath.subjects import BucketKind
from lath.telemetry import get_logger

_log = get_logger("lath.bus")

CONSUMERS_MAX: Final = 100_000
"""Each mirror is a consumer; the server's own limit refuses the 1,001st."""
_HISTORY: Final[dict[BucketKind, int]] = {"links": 8, "config": 8, "secrets": 1, "presence": 1, "apps": 8}
"""Writes kept per key. Presence: 1, since with more an expired entry brings back the one before it. Secrets:
1, so that what is sealed to a key that was replaced does not stay."""
ENSURE_TIMEOUT_MS: Final = 20_000
"""How long a cluster may take to elect its leaders."""
_Keys: TypeAlias = list[str]
_RETRY_MIN_S: Final = 0.05
_RETRY_MAX_S: Final = 1.0
_READS_AT_ONCE_MAX: Final = 256


def stream_config(kind: BucketKind, lattice: str, *, replicas: int = 1) -> dict[str, Any]:
    """The settings of a bucket's stream.

    No rollup headers, anywhere: one publish with `Nats-Rollup: all` would wipe a whole bucket. The server
    switches them on where delete markers are asked for, so an entry of presence expires without a marker,
    and who watches presence counts its time himself.
    """
    config: dict[str, Any] = {
        "name": subjects.stream(kind, lattice),
        "subjects": [subjects.key_prefix(kind, lattice) + ">"],
        "retention": "limits",
        "storage": "memory" if kind == "presence" else "file",
        "discard": "new",
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msg_size": -1,
        "max_msgs_per_subject": _HISTORY[kind],
        "max_consumers": CONSUMERS_MAX,
        "num_replicas": replicas,
        "allow_direct": True,
        "allow_rollup_hdrs": False,
        "deny_delete": True,
        "deny_purge": False,
    }
    if kind == "presence":
        config["allow_msg_ttl"] = True
    return config


async def ensure_buckets(bus: Bus, *, replicas: int = 1, timeout_ms: int = ENSURE_TIMEOUT_MS) -> None:
    """Makes the lattice's buckets where they are missing. Every host may do it, at any time.

    Args:
        bus: The connection.
        replicas: Copies of each bucket in a cluster: 1, 3 or 5.
        timeout_ms: How long to wait for a cluster that has no leader yet.

    Raises:
        Conflict: A bucket exists with settings that cannot be changed into lath's.
        Unavailable: JetStream did not answer in time.
        NotConnected: There is no connection.
    """
    for kind in subjects.BUCKET_KINDS:
        await ensure_stream(bus, stream_config(kind, bus.lattice, replicas=replicas), timeout_ms=timeout_ms)


async def ensure_stream(bus: Bus, config: Mapping[str, Any], *, timeout_ms: int = ENSURE_TIMEOUT_MS) -> None:
    """Makes one stream, or brings its settings to `config`; see `ensure_buckets` for what it raises."""
    name = config["name"]
    last: LathError | None = None
    pause_s = _RETRY_MIN_S
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            while True:
                try:
                    await _create_or_update(bus, config)
                    return
                except JetStreamError as e:
                    if e.code not in jetstream.TEMPORARY:
                        raise Conflict(
                            f"stream {name} cannot be given lath's settings: {e.description}"
                        ) from e
                    last = e
                except (Unavailable, DeadlineExceeded) as e:
                    last = e
                await asyncio.sleep(pause_s * random.uniform(0.5, 1))
                pause_s = min(pause_s * 2, _RETRY_MAX_S)
    except TimeoutError:
        raise Unavailable(
            f"JetStream at {bus.url} did not make stream {name} in {timeout_ms} ms: {last}"
        ) from None


async def _create_or_update(bus: Bus, config: Mapping[str, Any]) -> None:
    name = config["name"]
    try:
        await jetstream.call(bus, f"STREAM.CREATE.{name}", config)
    except JetStreamError as e:
        if e.code != jetstream.STREAM_NAME_IN_USE:
            raise
        await jetstream.call(bus, f"STREAM.UPDATE.{name}", config)
        _log.info("brought the settings of a stream up to date", stream=name)


async def wait_for_buckets(bus: Bus, timeout_ms: int) -> None:
    """Waits until somebody has made the lattice's buckets; needs the right to ask for their state.

    Raises:
        Unavailable: They are not there in time.
    """
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            for kind in subjects.BUCKET_KINDS:
                pause_s = _RETRY_MIN_S
                while not await _exists(bus, kind):
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, _RETRY_MAX_S)
    except TimeoutError:
        raise Unavailable(
            f"lattice {bus.lattice} has no buckets after {timeout_ms} ms: start a host in it"
        ) from None


async def _exists(bus: Bus, kind: BucketKind) -> bool:
    try:
        await jetstream.call(bus, f"STREAM.INFO.{subjects.stream(kind, bus.lattice)}")
    except (JetStreamError, Unavailable, DeadlineExceeded, NotConnected):
        return False
    return True


class BucketStore:
    """Reads and writes one bucket, through its leader. For hosts, operators and tools; not for providers.

    Args:
        bus: The connection.
        kind: Which bucket.
    """

    def __init__(self, bus: Bus, kind: BucketKind) -> None:
        self.bus = bus
        self.kind: BucketKind = kind
        self._stream = subjects.stream(kind, bus.lattice)
        self._prefix = subjects.key_prefix(kind, bus.lattice)

    async def incarnation(self) -> int:
        """When the bucket's stream was made, in nanoseconds since the epoch.

        Raises:
            Unavailable: There is no such bucket, or no leader.
        """
        return (await self.state(""))[0]

    async def age_s(self) -> float:
        """Seconds since the bucket's stream was made, by the server's own clock.

        Raises:
            Unavailable: There is no such bucket, or no leader.
        """
        reply = await self._call("STREAM.INFO", None)
        return (jetstream.nanoseconds(reply["ts"]) - jetstream.nanoseconds(reply["created"])) / 1e9

    async def state(self, filter_: str) -> tuple[int, Sequence[str]]:
        """The incarnation, and the keys (tombstones included) under a filter; no keys for an empty filter."""
        incarnation, _, keys = await self._info(filter_)
        return incarnation, keys

    async def put(self, key: str, value: bytes, *, headers: Mapping[str, str] | None = None) -> Revision:
        """Writes a key.

        Raises:
            Unavailable: There is no such bucket, or no leader.
        """
        return await self._write(key, value, headers)

    async def delete(self, key: str) -> Revision:
        """Writes a tombstone."""
        return await self._write(key, b"", {subjects.HEADER_KV_OPERATION: DELETED})

    async def put_if(
        self,
        key: str,
        value: bytes,
        *,
        expected_sequence: int,
        expected_filter: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> int:
        """Writes a key if nothing was written since; returns the write's sequence.

        Args:
            key: What is written.
            value: What it becomes.
            expected_sequence: The highest sequence that was read, tombstones included; 0: nothing was there.
            expected_filter: Over which keys; empty: this key alone.
            headers: More headers.

        Raises:
            Conflict: Somebody else wrote meanwhile.
            Unavailable: There is no such bucket, or no leader.
        """
        condition = {
            subjects.HEADER_EXPECTED_SEQUENCE: str(expected_sequence),
            subjects.HEADER_EXPECTED_SUBJECT: self._prefix + (expected_filter or key),
        }
        try:
            return await self._publish(key, value, {**(headers or {}), **condition})
        except JetStreamError as e:
            if e.code in jetstream.WRONG_LAST_SEQUENCE:
                raise Conflict(f"{key} was changed by somebody else meanwhile") from e
            raise

    async def delete_if(self, key: str, *, expected_sequence: int, expected_filter: str = "") -> int:
        """Writes a tombstone if nothing was written since; see `put_if`."""
        return await self.put_if(
            key,
            b"",
            expected_sequence=expected_sequence,
            expected_filter=expected_filter,
            headers={subjects.HEADER_KV_OPERATION: DELETED},
        )

    async def get(self, key: str) -> Entry | None:
        """The value of a key; None when there is none.

        Raises:
            Unavailable: There is no such bucket, or no leader.
        """
        entry = await self.last(key)
        return None if entry is None or entry.deleted else entry

    async def last(self, filter_: str) -> Entry | None:
        """The last write under a key or filter, tombstones included."""
        try:
            reply = await self._call("STREAM.MSG.GET", {"last_by_subj": self._prefix + filter_})
        except JetStreamError as e:
            if e.code == jetstream.MESSAGE_NOT_FOUND:
                return None
            raise
        message = jetstream.stored_message(reply)
        return Entry(
            key=message.subject.removeprefix(self._prefix),
            value=message.data,
            sequence=message.sequence,
            created_ns=message.created_ns,
            operation=operation_of(message.headers),
        )

    async def list(self, filter_: str = ">") -> Sequence[Entry]:
        """All values under a filter, by key.

        With one replica it is a snapshot. With more, each key is read from the leader: a consumer's copy
        might lack what was just written.
        """
        _, replicas, _ = await self._info("")
        if replicas == 1:
            entries = await read_snapshot(self.bus, self.kind, filter_)
            return [entries[key] for key in sorted(entries) if not entries[key].deleted]
        _, _, keys = await self._info(filter_)
        slots = asyncio.Semaphore(_READS_AT_ONCE_MAX)

        async def read(key: str) -> Entry | None:
            async with slots:
                return await self.get(key)

        found = await asyncio.gather(*(read(key) for key in sorted(keys)))
        return [entry for entry in found if entry is not None]

    async def _info(self, filter_: str) -> tuple[int, int, Sequence[str]]:
        keys: _Keys = []
        while True:
            body = {"subjects_filter": self._prefix + filter_, "offset": len(keys)} if filter_ else None
            reply = await self._call("STREAM.INFO", body)
            page = reply["state"].get("subjects") or {}
            keys.extend(subject.removeprefix(self._prefix) for subject in page)
            if not page or len(keys) >= int(reply.get("total", 0)):
                return jetstream.nanoseconds(reply["created"]), int(reply["config"]["num_replicas"]), keys

    async def _write(self, key: str, value: bytes, headers: Mapping[str, str] | None) -> Revision:
        incarnation = await self.incarnation()
        sequence = await self._publish(key, value, headers)
        return Revision(incarnation=incarnation, sequence=sequence)

    async def _publish(self, key: str, value: bytes, headers: Mapping[str, str] | None) -> int:
        try:
            return await jetstream.publish(self.bus, self._prefix + key, value, headers=headers)
        except Unavailable:
            raise self._missing() from None

    async def _call(self, verb: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        try:
            return await jetstream.call(self.bus, f"{verb}.{self._stream}", body)
        except Unavailable:
            raise self._missing() from None
        except JetStreamError as e:
            if e.code == jetstream.STREAM_NOT_FOUND or e.code in jetstream.TEMPORARY:
                raise self._missing() from e
            raise

    def _missing(self) -> Unavailable:
        return Unavailable(
            f"bucket {subjects.bucket(self.kind, self.bus.lattice)} is not there: start a host in lattice "
            f"{self.bus.lattice}, or wait for JetStream to elect a leader"
        )
