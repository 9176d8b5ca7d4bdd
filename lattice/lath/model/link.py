"""Links: what joins a source to a target, as stored in KV."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from lath import subjects
from lath.errors import InvalidArgument
from lath.model.revision import RevisionText
from lath.names import DEFAULT_LINK, Name, Target, WitId

INTERFACES_MAX = 64
"""More interfaces than any WIT package has; a limit so that a link stays a small record."""
CONFIGS_MAX = 64
"""Named configs on one side of a link; likewise secrets."""
FIELD_CHARS_MAX = 128
"""Of the name of a field of config."""


def _unique(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) != len(values):
        raise InvalidArgument(f"interfaces {list(values)} name one twice: name each once")
    return values


_Field = Annotated[str, Field(min_length=1, max_length=FIELD_CHARS_MAX)]
SecretNames = Annotated[dict[_Field, Name], Field(max_length=CONFIGS_MAX)]
"""Names of secrets, by the field of config that each is the value of."""


class LinkSpec(BaseModel):
    """What an operator asks for: a link, its configs by name. Field names are the control interface's.

    Attributes:
        source_id: The component or provider that calls.
        target: The component or provider that is called.
        name: The link name, chosen by the source's import.
        interfaces: Interfaces of the one package `{wit_namespace}:{wit_package}`.
        source_config: Names of config for the source.
        target_config: Names of config for the target.
        source_secrets: Names of secrets of the source, by the field of its config that they are the value of.
        target_secrets: Likewise of the target. The link has the names alone: who opens it opens them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source_id: Target
    target: Target
    name: Name = DEFAULT_LINK
    wit_namespace: WitId
    wit_package: WitId
    interfaces: Annotated[
        tuple[WitId, ...], Field(min_length=1, max_length=INTERFACES_MAX), AfterValidator(_unique)
    ]
    source_config: Annotated[tuple[Name, ...], Field(max_length=CONFIGS_MAX)] = ()
    target_config: Annotated[tuple[Name, ...], Field(max_length=CONFIGS_MAX)] = ()
    source_secrets: SecretNames = Field(default={}, exclude_if=lambda names: not names)
    target_secrets: SecretNames = Field(default={}, exclude_if=lambda names: not names)

    @property
    def key(self) -> str:
        """The link's key in its bucket."""
        return subjects.link_key(self.source_id, self.target, self.wit_namespace, self.wit_package, self.name)

    def peer_of(self, participant: str) -> str:
        """The other end, seen from `participant`."""
        return self.target if participant == self.source_id else self.source_id

    def secrets_for(self, participant: str) -> dict[str, str]:
        """The secrets of the side that `participant` is on, by field."""
        return self.source_secrets if participant == self.source_id else self.target_secrets


class StoredLink(LinkSpec):
    """A link as it stands in KV: the spec, with its configs resolved by the writer.

    A provider reads this and nothing else.

    Attributes:
        type: Names this form of the record.
        incarnation: Creation time of the bucket's stream (ns), stamped by the writer, since a provider may
            not ask the stream.
        source_config_values: The named configs of the source, merged in order, a later one winning.
        target_config_values: Likewise for the target.
        config_revisions: For each named config, the revision that was resolved.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["lath.link.v1"] = "lath.link.v1"
    incarnation: int
    source_config_values: dict[str, str] = {}
    target_config_values: dict[str, str] = {}
    config_revisions: dict[str, RevisionText] = {}

    def config_for(self, participant: str) -> dict[str, str]:
        """The resolved config of the side that `participant` is on."""
        return self.source_config_values if participant == self.source_id else self.target_config_values


class Link(StoredLink):
    """A stored link together with the revision at which it was read."""

    revision: RevisionText

    def same_values(self, other: StoredLink) -> bool:
        """Whether both say the same, whatever their revisions: then nothing needs opening again."""
        ignored = {"revision", "incarnation", "config_revisions"}
        return self.model_dump(exclude=ignored) == other.model_dump(exclude=ignored)


LinkState = Literal["opening", "active", "failed", "purged", "closing"]
"""What a participant says of a link that it holds."""


class LinkSelector(BaseModel):
    """Which links an operation is about. An absent field matches any; all given ones must match.

    Attributes:
        participant: Either end.
        key: One link, by its key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source_id: Name | None = None
    target: Name | None = None
    name: Name | None = None
    wit_namespace: WitId | None = None
    wit_package: WitId | None = None
    participant: Name | None = None
    key: str | None = None

    def matches(self, link: LinkSpec) -> bool:
        return (
            self.source_id in (None, link.source_id)
            and self.target in (None, link.target)
            and self.name in (None, link.name)
            and self.wit_namespace in (None, link.wit_namespace)
            and self.wit_package in (None, link.wit_package)
            and self.participant in (None, link.source_id, link.target)
            and (self.key is None or self.key == link.key)
        )
