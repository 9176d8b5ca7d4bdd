"""Keys of participants, derived from a lattice's seed; the files that they are kept in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lath.errors import Conflict, InvalidArgument, NotFound, Unavailable
from lath.provider import Provider
from lath.provider.runner import start_of_flags
from lath.secrets import LatticeKeys, ParticipantKeys, new_seed, seal, unseal
from lath.secrets.keyfile import (
    add_seed,
    ensure_seed,
    participant_text,
    read_lattice_keys,
    read_participant_keys,
    write_private,
)
from lath.secrets.keys import key_text

SEED = bytes(range(32))


def test_keys_follow_from_seed_lattice_and_participant_alone() -> None:
    """The bytes are part of the protocol: every host derives the same, in every version."""
    key = LatticeKeys("default", [SEED]).of("pg").public_key
    assert key == "GDQWEOsaVX8o9ptDljqgBvzY9HjgultQN1S6XfagSy8="
    others = [
        LatticeKeys("default", [SEED]).of("pg2"),
        LatticeKeys("other", [SEED]).of("pg"),
        LatticeKeys("default", [new_seed()]).of("pg"),
    ]
    assert len({key, *(each.public_key for each in others)}) == 4


def test_a_participants_key_opens_its_own_secrets_and_no_others() -> None:
    lattice = LatticeKeys("default", [SEED])
    secret = seal(lattice.of("pg").public_key, "pg", "password", "open sesame")
    assert unseal(lattice.of("pg"), "password", secret) == "open sesame"
    with pytest.raises(Unavailable, match="another key of web"):
        unseal(lattice.of("web"), "password", secret)


def test_an_older_seed_opens_what_was_sealed_by_it_and_the_current_one_seals() -> None:
    old, new = LatticeKeys("default", [SEED]), LatticeKeys("default", [new_seed(), SEED])
    secret = seal(old.of("pg").public_key, "pg", "password", "open sesame")
    assert unseal(new.of("pg"), "password", secret) == "open sesame"
    assert new.of("pg").public_key != old.of("pg").public_key


def test_private_keys_are_in_no_repr() -> None:
    lattice = LatticeKeys("default", [SEED])
    keys = lattice.of("pg")
    for text in (repr(lattice), repr(keys), str(keys)):
        assert keys.public_key in text or "seeds" in text
        assert all(repr(private)[2:-1] not in text for private in (SEED, *keys.private))


# --- files -------------------------------------------------------------------------------------------


def test_a_new_key_file_is_its_owners_alone_and_gets_newer_keys_in_front(tmp_path: Path) -> None:
    path = tmp_path / "made" / "secrets.key"
    assert add_seed(path) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    first = read_lattice_keys(path, "default")
    ensure_seed(path)
    assert read_lattice_keys(path, "default") == first
    secret = seal(first.of("pg").public_key, "pg", "password", "open sesame")
    assert add_seed(path) == 2
    both = read_lattice_keys(path, "default")
    assert both.of("pg").public_key != first.of("pg").public_key
    assert unseal(both.of("pg"), "password", secret) == "open sesame"
    assert [each.name for each in path.parent.iterdir()] == ["secrets.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secrets.key"
    add_seed(path)
    path.chmod(mode)
    with pytest.raises(InvalidArgument, match=r"can be read by others .*chmod 600"):
        read_lattice_keys(path, "default")
    path.chmod(0o400)
    read_lattice_keys(path, "default")


def test_a_key_file_that_is_a_link_a_folder_or_a_pipe_is_refused(tmp_path: Path) -> None:
    add_seed(tmp_path / "secrets.key")
    link, pipe = tmp_path / "link.key", tmp_path / "pipe.key"
    link.symlink_to(tmp_path / "secrets.key")
    os.mkfifo(pipe, 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    for path, said in ((link, "symbolic link"), (pipe, "no regular file"), (tmp_path / "folder", "regular")):
        with pytest.raises(InvalidArgument, match=said):
            read_lattice_keys(path, "default")
    with pytest.raises(NotFound, match="lath secret new-key"):
        read_lattice_keys(tmp_path / "none.key", "default")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no seed in it"),
        ("# only words\n\n", "no seed in it"),
        ("hunter2-hunter2\n", "line 1 is not a lattice's seed"),
        ("lath-lattice-seed-v1:hunter2-hunter2\n", "not base64"),
        ("lath-lattice-seed-v1:aHVudGVyMg==\n", "has 7 bytes, not 32"),
        ("\udcff", "not text"),
    ],
)
def test_what_is_no_key_file_is_refused_without_showing_it(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "secrets.key"
    path.touch(mode=0o600)
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InvalidArgument, match=said) as caught:
        read_lattice_keys(path, "default")
    assert "hunter2" not in str(caught.value) and "aHVudGVyMg" not in str(caught.value)


def test_a_provider_that_stands_alone_has_its_own_keys_in_a_file(tmp_path: Path) -> None:
    keys = LatticeKeys("default", [new_seed(), SEED]).of("pg")
    path = tmp_path / "pg.key"
    write_private(path, participant_text(keys), replace=False)
    read = read_participant_keys(path, "pg")
    assert isinstance(read, ParticipantKeys) and read.private == keys.private
    with pytest.raises(InvalidArgument, match="has the key of pg, and web was started with it"):
        read_participant_keys(path, "web")
    with pytest.raises(InvalidArgument, match="not a lattice's seed"):
        read_lattice_keys(path, "default")
    with pytest.raises(Conflict, match="is there already"):
        write_private(path, "other", replace=False)
    assert read_participant_keys(path, "pg").private == keys.private


def test_a_provider_that_stands_alone_is_started_with_its_key_file(tmp_path: Path) -> None:
    keys = LatticeKeys("default", [SEED]).of("pg")
    path = tmp_path / "pg.key"
    write_private(path, participant_text(keys))
    for flags, environ in (
        (["--id", "pg", "--secrets-key", str(path)], {}),
        (["--id", "pg"], {"LATH_SECRETS_KEY": str(path)}),
    ):
        start = start_of_flags(Provider, flags, environ)
        given = start.keys()
        assert given is not None and given.private == keys.private
        assert key_text(keys.private[0]) not in repr(start)
    assert start_of_flags(Provider, ["--id", "pg"], {}).keys() is None
    for wrong in (["--id", "web", "--secrets-key", str(path)], ["--secrets-key", str(tmp_path / "none")]):
        with pytest.raises(InvalidArgument, match=r"has the key of pg|no key file"):
            start_of_flags(Provider, wrong, {})
