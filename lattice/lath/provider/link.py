"""A link as a provider sees it: its own end, its own config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeVar

from pydantic import BaseModel, ValidationError

from lath import model
from lath.errors import InvalidArgument
from lath.model import Revision, describe

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Link:
    """A link that has this provider at one end.

    Attributes:
        record: The link as it stands in KV.
        role: Which end the provider is on: the `target` is called, the `source` calls.
        secrets: The values of its secrets that the link names, by field of config, opened.
    """

    record: model.Link
    role: Literal["source", "target"]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(record: model.Link, provider_id: str, secrets: Mapping[str, str] | None = None) -> Link:
        """`record`, seen from the provider."""
        return Link(record, "source" if record.source_id == provider_id else "target", secrets or {})

    @property
    def key(self) -> str:
        """The link's key in KV, which names it in reports and logs."""
        return self.record.key

    @property
    def name(self) -> str:
        """The link name that the source chose; `default` if none."""
        return self.record.name

    @property
    def source_id(self) -> str:
        return self.record.source_id

    @property
    def target(self) -> str:
        return self.record.target

    @property
    def peer(self) -> str:
        """The component or provider at the other end."""
        return self.record.target if self.role == "source" else self.record.source_id

    @property
    def interfaces(self) -> tuple[str, ...]:
        """The interfaces of `{namespace}:{package}` that the link allows."""
        return self.record.interfaces

    @property
    def revision(self) -> Revision:
        return self.record.revision

    @property
    def config(self) -> Mapping[str, str]:
        """The resolved config of the provider's own end, secrets opened in their fields: do not log it."""
        values = (
            self.record.source_config_values if self.role == "source" else self.record.target_config_values
        )
        return MappingProxyType({**values, **self.secrets} if self.secrets else values)

    def config_as(self, model_type: type[M]) -> M:
        """The config, checked and typed by a pydantic model; `extra="forbid"` there refuses unknown fields.

        Raises:
            InvalidArgument: A value is wrong; the message names each field, and becomes the link's reason.
        """
        try:
            return model_type.model_validate(dict(self.config))
        except ValidationError as e:
            unknown = any(each["type"] == "extra_forbidden" for each in e.errors(include_url=False))
            known = f"; the fields are {', '.join(sorted(model_type.model_fields))}" if unknown else ""
            raise InvalidArgument(f"link config: {describe(e)}{known}") from None
