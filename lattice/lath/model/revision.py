"""Revisions: which write of a bucket somebody has seen."""

from __future__ import annotations

from functools import total_ordering
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema, WrapValidator
from pydantic_core.core_schema import ValidatorFunctionWrapHandler

from lath.errors import InvalidArgument
from lath.names import shown


@total_ordering
class Revision(BaseModel):
    """A write of a bucket: when the bucket's stream was made, and the sequence in it.

    Sequences restart at 1 when a store is lost, so a sequence alone would let an old write pass for a new
    one. A later incarnation of the stream orders after an earlier one. Written `{incarnation}:{sequence}`.

    Attributes:
        incarnation: Creation time of the stream, in nanoseconds since the epoch.
        sequence: Stream sequence, from 1.
    """

    model_config = ConfigDict(frozen=True)

    incarnation: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.incarnation}:{self.sequence}"

    def __lt__(self, other: Revision) -> bool:
        return (self.incarnation, self.sequence) < (other.incarnation, other.sequence)

    @staticmethod
    def parse(text: str) -> Revision:
        """Reads `{incarnation}:{sequence}`.

        Raises:
            InvalidArgument: The text is not of that form.
        """
        incarnation, colon, sequence = text.partition(":")
        if not colon or not _is_number(incarnation) or not _is_number(sequence):
            raise InvalidArgument(f"revision {shown(text)} is not of the form incarnation:sequence")
        return Revision(incarnation=int(incarnation), sequence=int(sequence))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20


def _from_text(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    return Revision.parse(value) if isinstance(value, str) else handler(value)


RevisionText = Annotated[
    Revision,
    WrapValidator(_from_text),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]+:[0-9]+$"}),
]
"""A revision that is text in JSON."""
