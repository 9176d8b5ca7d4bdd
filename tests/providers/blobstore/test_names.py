"""Names that a backend cannot have are written otherwise, each in its own way, and read again."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lath_providers.blobstore import Places
from lath_providers.blobstore.escape import Escape
from lath_providers.blobstore_fs.paths import container_folder, object_name, object_parts
from lath_providers.blobstore_s3.keys import Keys

TEXT = st.text(max_size=300) | st.text("./=aA\0é", max_size=300)
KEYS = Keys("team/", Places("0123456789ab-app-default", frozenset({"photos"})))


@given(TEXT)
def test_a_file_has_its_object_and_leads_nowhere_else(name: str) -> None:
    parts = object_parts(name)
    assert object_name(parts) == name
    for part in parts:
        assert re.fullmatch(r"[A-Za-z0-9_.=+-]{1,205}", part)
        assert part not in (".", "..")
        assert not re.match(r"=[a-z]", part)


@given(TEXT, TEXT)
def test_no_file_is_a_folder_of_another_object(one: str, other: str) -> None:
    *folders, _ = object_parts(one)
    assert object_parts(other)[-1] not in folders


@given(TEXT)
def test_a_key_has_its_object_and_no_part_that_s3_clients_change(name: str) -> None:
    if len(name.encode()) > 200:
        name = name[:50]
    key = KEYS.key("photos", name)
    assert KEYS.name("photos", key) == name
    assert key.startswith("team/photos/")
    assert all(part not in ("", ".", "..") for part in key.split("/"))
    assert not re.search(r"[\x00-\x1f\x7f]", key)
    assert key != KEYS.created("photos")


@given(TEXT, TEXT)
def test_containers_of_different_names_have_different_places(one: str, other: str) -> None:
    if one != other:
        assert container_folder(one) != container_folder(other)
        assert KEYS.folder(one) != KEYS.folder(other)
    assert "/" not in container_folder(one)


@given(TEXT)
def test_what_is_escaped_is_read_again(text: str) -> None:
    escape = Escape("A-Za-z0-9-", "_")
    assert re.fullmatch(r"[A-Za-z0-9_-]+", escape.encode(text))
    assert escape.decode(escape.encode(text)) == text


@pytest.mark.parametrize("name", ["2024/cat.jpg", "with space", "ключ", "a+b&c", "UPPER.case"])
def test_a_key_that_s3_can_carry_is_the_name(name: str) -> None:
    assert KEYS.key("photos", name) == f"team/photos/{name}"
