"""Digests of large content, hashed in pieces."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from lath_host.engine.digests import PIECE_BYTES, digest_of, digest_of_file

SIZES = [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 7]


def content(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@pytest.mark.parametrize("size", SIZES)
def test_the_digest_is_that_of_the_digests_of_the_pieces(size: int) -> None:
    data = content(size)
    pieces = [data[at : at + PIECE_BYTES] for at in range(0, size, PIECE_BYTES)]
    expected = hashlib.sha256(b"".join(hashlib.sha256(piece).digest() for piece in pieces)).hexdigest()
    assert digest_of(data) == expected


@pytest.mark.parametrize("size", SIZES)
def test_a_file_has_the_digest_of_its_content(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(content(size))
    assert digest_of_file(path) == digest_of(content(size))


def test_a_file_that_is_cut_off_while_it_is_read_ends_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content(4 * PIECE_BYTES))
    sha256 = hashlib.sha256

    def cut_off(data: memoryview) -> Any:
        os.truncate(path, 1)
        return sha256(data)

    with monkeypatch.context() as while_it_is_read:
        while_it_is_read.setattr(hashlib, "sha256", cut_off)
        found = digest_of_file(path)
    assert found != digest_of(content(4 * PIECE_BYTES))


@pytest.mark.parametrize("at", [0, PIECE_BYTES - 1, PIECE_BYTES, 2 * PIECE_BYTES, 3 * PIECE_BYTES + 6])
def test_a_byte_that_is_changed_in_any_piece_changes_the_digest(at: int) -> None:
    data = bytearray(content(3 * PIECE_BYTES + 7))
    before = digest_of(bytes(data))
    data[at] ^= 1
    assert digest_of(bytes(data)) != before


def test_pieces_that_change_places_change_the_digest() -> None:
    one, other = b"a" * PIECE_BYTES, b"b" * PIECE_BYTES
    assert digest_of(one + other) != digest_of(other + one)
