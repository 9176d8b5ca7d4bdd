"""The options of `lath host run`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lath.errors import InvalidArgument
from lath_host import command


def test_labels_are_pairs() -> None:
    assert command._labels(["zone=a", "", "note=x=y"]) == {"zone": "a", "note": "x=y"}
    with pytest.raises(InvalidArgument, match="key=value"):
        command._labels(["zone"])


def test_credentials_of_providers_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps({"kv": {"user": "kv", "password": "p", "inbox_prefix": "_INBOX_kv"}}))
    found = command._provider_credentials(path)
    assert found["kv"].user == "kv" and found["kv"].inbox_prefix == "_INBOX_kv"
    assert "password" not in repr(found)
    assert command._provider_credentials(None) == {}


@pytest.mark.parametrize("text", ["[]", "{", '{"kv": {"pass": "x"}}', '{"a.b": {}}', '{"kv": "secret"}'])
def test_a_file_that_holds_no_credentials_is_refused_without_showing_what_it_holds(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "credentials.json"
    path.write_text(text)
    with pytest.raises(InvalidArgument) as caught:
        command._provider_credentials(path)
    assert "secret" not in caught.value.message
    with pytest.raises(InvalidArgument, match="cannot be read"):
        command._provider_credentials(tmp_path / "none.json")
