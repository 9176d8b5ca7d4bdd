"""The parts of link config that all providers of wasmcloud:messaging have."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from lath.errors import InvalidArgument
from lath.names import shown
from lath.provider import Link
from lath_providers.messaging.subjects import REST, check_apart, check_pattern, check_subject

_GROUP_CHARS_MAX: Final = 200


def parts(given: object) -> object:
    """A list as links carry it: text, its items parted by commas."""
    if not isinstance(given, str):
        return given
    return tuple(part.strip() for part in given.split(",") if part.strip())


def _patterns(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(check_pattern(pattern) for pattern in given)


def _apart(given: tuple[str, ...]) -> tuple[str, ...]:
    check_apart(given)
    return given


def _group(given: str) -> str:
    if given and ("*" in given or ">" in given or len(given) > _GROUP_CHARS_MAX):
        raise InvalidArgument(f"{shown(given)} is no queue group: it is a name, without wildcards")
    return check_subject(given, "queue group") if given else given


Patterns = Annotated[tuple[str, ...], BeforeValidator(parts), AfterValidator(_patterns)]
"""Subjects with wildcards, separated by commas."""
Milliseconds = Annotated[int, Field(ge=1, le=24 * 3600 * 1000)]


class SendingConfig(BaseModel):
    """What a link says whose component sends messages.

    Attributes:
        publish_allow: Where the component may publish to, and whom it may ask: subjects with wildcards,
            separated by commas. Answers to inboxes (`_INBOX.…`) need not be named.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    publish_allow: Patterns = (REST,)


class TakingConfig(BaseModel):
    """What a link says whose component takes messages.

    Attributes:
        subscriptions: Subjects with wildcards, separated by commas; no two of them may overlap.
        queue_group: Each message goes to one of those who subscribe in the same group. Empty: a group of the
            link's own, which the instances of the provider share.
        concurrency_max: Messages of this link that are handled at once.
        timeout_ms: How long the component may take for a message.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    subscriptions: Annotated[Patterns, AfterValidator(_apart), Field(min_length=1)]
    queue_group: Annotated[str, AfterValidator(_group)] = ""
    concurrency_max: Annotated[int, Field(ge=1, le=10_000)] = 64
    timeout_ms: Milliseconds = 30_000


def group_of(config: TakingConfig, link: Link, lattice: str) -> str:
    """The queue group of a link: as configured, else one of its own."""
    return config.queue_group or f"{lattice}.{link.key}"
