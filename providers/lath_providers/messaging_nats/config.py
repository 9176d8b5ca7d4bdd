"""The config of links to and from the messaging provider on NATS."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from lath.errors import InvalidArgument
from lath.names import shown
from lath_providers.messaging.config import Patterns, SendingConfig, TakingConfig, parts
from lath_providers.messaging.subjects import any_matches, check_subject
from lath_providers.nats_servers import NatsServers

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")


def _name(given: str) -> str:
    if given and not _NAME.match(given):
        raise InvalidArgument(f"{shown(given)} is not valid: use 1 to 128 of A-Z a-z 0-9 _ -")
    return given


def _subject(given: str) -> str:
    return check_subject(given) if given else given


class NatsSendingConfig(NatsServers, SendingConfig):
    """The target config of a link, whose component sends. Every value is text in KV.

    Attributes:
        acknowledged_publish: Subjects with wildcards, separated by commas: a publish to one of them returns
            once a stream has stored the message, and fails where none does. To others it returns once the
            message was sent.
    """

    acknowledged_publish: Patterns = ()


class NatsTakingConfig(NatsServers, TakingConfig):
    """The source config of a link, whose component takes messages. Every value is text in KV.

    With `stream` they come from a stream, through a durable consumer that the provider's instances share, and
    each is acknowledged once the component has returned ok. The fields below belong to that.

    Attributes:
        stream: The stream; it has to be there. Empty: NATS core, at most once.
        consumer: The durable consumer, made where it is missing; empty: one of the link's own.
        start: Where a consumer that is made begins: at `all` that the stream keeps, or at what is `new`.
        ack_wait_ms: After so long without a word from the provider a message is delivered again. While the
            component works on it the provider says so, so this is no limit to it.
        in_flight_max: Messages that one instance holds, those that wait included.
        backoff_ms: How long a message waits after its first, second, … failure; then as the last one says.
            Separated by commas.
        deliveries_max: After so many deliveries a message is given up and kept under `dead_letter_subject`;
            0: never.
        dead_letter_subject: Where to; a stream has to take it.
        ack_confirmed: Whether to wait until the server has confirmed an acknowledgement.
    """

    stream: Annotated[str, AfterValidator(_name)] = ""
    consumer: Annotated[str, AfterValidator(_name)] = ""
    start: Literal["all", "new"] = "all"
    ack_wait_ms: Annotated[int, Field(ge=100, le=24 * 3600 * 1000)] = 30_000
    in_flight_max: Annotated[int, Field(ge=1, le=10_000)] = 256
    backoff_ms: Annotated[
        tuple[Annotated[int, Field(ge=0, le=24 * 3600 * 1000)], ...],
        BeforeValidator(parts),
        Field(min_length=1),
    ] = (1_000, 5_000, 30_000)
    deliveries_max: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    dead_letter_subject: Annotated[str, AfterValidator(_subject)] = ""
    ack_confirmed: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> NatsTakingConfig:
        if not self.stream:
            only = sorted(self.model_fields_set & _STREAM_FIELDS)
            if only:
                raise InvalidArgument(f"{', '.join(only)}: given without stream, to which it belongs")
        elif self.queue_group:
            raise InvalidArgument(
                "queue_group: does not go with stream: who shares messages shares a consumer"
            )
        if bool(self.deliveries_max) != bool(self.dead_letter_subject):
            raise InvalidArgument(
                "deliveries_max and dead_letter_subject belong together: what is given up has to be kept"
            )
        if self.dead_letter_subject and any_matches(self.subscriptions, self.dead_letter_subject):
            raise InvalidArgument(
                f"dead_letter_subject: {self.dead_letter_subject} is among the subscriptions"
            )
        return self

    def delay_ms(self, deliveries: int) -> int:
        """How long a message waits after its delivery number `deliveries` failed."""
        return self.backoff_ms[min(deliveries, len(self.backoff_ms)) - 1]


_STREAM_FIELDS: Final = frozenset(
    {
        "consumer", "start", "ack_wait_ms", "in_flight_max", "backoff_ms", "deliveries_max",
        "dead_letter_subject", "ack_confirmed",
    }
)  # fmt: skip
