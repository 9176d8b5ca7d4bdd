"""Reading what stands in the buckets of links and of config."""

from __future__ import annotations

import json
from typing import Final

from pydantic import TypeAdapter, ValidationError

from lath.bus.entry import Entry
from lath.errors import InvalidArgument
from lath.model import Link, Revision, StoredLink, describe, parse
from lath.names import shown

CONFIG_BYTES_MAX: Final = 256 * 1024
"""One named config. Links carry their configs, and a link must fit a message with room to spare."""

_VALUES: Final = TypeAdapter(dict[str, str])


def read_link(entry: Entry) -> Link:
    """The link that stands in an entry.

    Raises:
        InvalidArgument: It is no link, or not the one that its key names.
    """
    stored = parse(StoredLink, entry.value, f"link {entry.key}")
    if stored.key != entry.key:
        raise InvalidArgument(f"the value of link {shown(entry.key)} is that of {shown(stored.key)}")
    revision = Revision(incarnation=stored.incarnation, sequence=entry.sequence)
    return Link.model_construct(**stored.__dict__, revision=revision)  # its values have just been checked


def read_config(entry: Entry) -> dict[str, str]:
    """The values that stand in an entry of the config bucket.

    Raises:
        InvalidArgument: It is not a map of strings.
    """
    try:
        return _VALUES.validate_json(entry.value)
    except ValidationError as e:
        raise InvalidArgument(f"config {entry.key} is not a map of string to string: {describe(e)}") from None


def config_bytes(name: str, values: dict[str, str]) -> bytes:
    """A config as it is stored.

    Raises:
        InvalidArgument: Not a map of strings, or too large.
    """
    try:
        checked = _VALUES.validate_python(values, strict=True)
    except ValidationError as e:
        raise InvalidArgument(f"config {name} is not a map of string to string: {describe(e)}") from None
    data = json.dumps(checked, sort_keys=True).encode()
    if len(data) > CONFIG_BYTES_MAX:
        raise InvalidArgument(f"config {name} has {len(data)} bytes: at most {CONFIG_BYTES_MAX}")
    return data
