"""Which tick of a schedule was taken last, and by whom: a record per schedule, written by compare-and-set."""

from __future__ import annotations

import hashlib
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from lath import subjects
from lath.bus import Bus, ensure_stream, jetstream
from lath.bus.jetstream import JetStreamError
from lath.errors import Conflict, Unavailable

MAKE_MS: Final = 5_000
"""How long making the bucket may take before the link fails, and is tried again."""
_DIGEST_CHARS: Final = 32


class Tick(BaseModel):
    """A record: the last tick that was taken.

    Attributes:
        schedule: A digest of what says when it is due: with other times the record begins anew.
        due_ms: The tick's time.
        state: `begun` before the first tick; `running` from when it was taken until its call has ended;
            `done`; `failed`, with the error; `stopped`: its instance ended the call; `missed`: not called.
        taker: Who took it: the instance, and which of its jobs.
        until_ms: Running: when whoever took it has given up, or is no more.
        error: Why it failed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schedule: str
    due_ms: int
    state: Literal["begun", "running", "done", "failed", "stopped", "missed"]
    taker: str = ""
    until_ms: int = 0
    error: str = ""


class Ledger:
    """The records of one provider, for all of its instances.

    Args:
        bus: A connection that has the rights of `schedule_permissions`.
        provider: Its id.
    """

    def __init__(self, bus: Bus, provider: str) -> None:
        self._bus = bus
        self._provider = provider
        self._stream = subjects.schedule_stream(bus.lattice)

    async def make(self, replicas: int) -> None:
        """Makes the bucket where it is missing.

        Raises:
            Conflict: It is there with other settings.
            Unavailable: JetStream did not answer.
        """
        config: dict[str, Any] = {
            "name": self._stream,
            "subjects": [subjects.schedule_prefix(self._bus.lattice) + ">"],
            "retention": "limits", "storage": "file", "discard": "new", "max_msgs_per_subject": 1,
            "max_msgs": -1, "max_bytes": -1, "max_age": 0, "max_msg_size": -1, "num_replicas": replicas,
            "allow_direct": True, "allow_rollup_hdrs": False, "deny_delete": True, "deny_purge": False,
        }  # fmt: skip
        await ensure_stream(self._bus, config, timeout_ms=MAKE_MS)

    async def read(self, link_key: str) -> tuple[Tick | None, int]:
        """A schedule's record as the stream's leader has it, and its sequence; None and 0: there is none."""
        try:
            reply = await jetstream.call(
                self._bus, f"STREAM.MSG.GET.{self._stream}", {"last_by_subj": self._subject(link_key)}
            )
        except JetStreamError as e:
            if e.code == jetstream.MESSAGE_NOT_FOUND:
                return None, 0
            raise Unavailable(f"the schedules' bucket: {e.message}") from e
        message = jetstream.stored_message(reply)
        try:
            return Tick.model_validate_json(message.data), message.sequence
        except ValidationError:
            return None, message.sequence  # written by nobody who knows this form: begun anew

    async def write(self, link_key: str, tick: Tick, expected_sequence: int) -> int:
        """Writes a record if nobody did since; returns its sequence, which fences: it only grows.

        Raises:
            Conflict: Somebody did.
        """
        subject = self._subject(link_key)
        headers = {
            subjects.HEADER_EXPECTED_SEQUENCE: str(expected_sequence),
            subjects.HEADER_EXPECTED_SUBJECT: subject,
        }
        try:
            return await jetstream.publish(
                self._bus, subject, tick.model_dump_json().encode(), headers=headers
            )
        except JetStreamError as e:
            if e.code in jetstream.WRONG_LAST_SEQUENCE:
                raise Conflict("another instance took it") from e
            raise Unavailable(f"the schedules' bucket: {e.message}") from e

    def _subject(self, link_key: str) -> str:
        digest = hashlib.sha256(link_key.encode()).hexdigest()[:_DIGEST_CHARS]
        return subjects.schedule_record(self._bus.lattice, self._provider, digest)
