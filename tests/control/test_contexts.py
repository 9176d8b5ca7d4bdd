"""Contexts: which lattice a command means, and how secrets are kept."""

from __future__ import annotations

import stat

import pytest

from lath.errors import Conflict, InvalidArgument, NotFound
from lath_control.context import Contexts, LatticeContext, resolve


def add(name: str, *, select: bool = False, **fields: str) -> None:
    Contexts().add(LatticeContext(name=name, **fields), select=select)


def test_without_anything_the_defaults_are_meant() -> None:
    where = resolve()
    assert (where.nats_url, where.lattice) == ("nats://127.0.0.1:4222", "default")
    assert (where.nats_url_from, where.lattice_from) == ("default", "default")


def test_a_flag_wins_over_the_environment_which_wins_over_the_context(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add("there", nats_url="nats://context:1", lattice="context")
    assert resolve().nats_url == "nats://context:1"
    monkeypatch.setenv("LATH_NATS_URL", "nats://environment:1")
    assert resolve().nats_url == "nats://environment:1"
    assert resolve().lattice == "context"
    where = resolve(nats_url="nats://flag:1", lattice="flag")
    assert (where.nats_url, where.lattice, where.nats_url_from) == ("nats://flag:1", "flag", "flag")


def test_a_context_named_by_a_flag_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    add("there", nats_url="nats://context:1")
    monkeypatch.setenv("LATH_NATS_URL", "nats://environment:1")
    assert resolve(context="there").nats_url == "nats://context:1"


def test_the_environment_may_name_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    add("first", nats_url="nats://first:1")
    add("second", nats_url="nats://second:1")
    assert resolve().nats_url == "nats://first:1"
    monkeypatch.setenv("LATH_CONTEXT", "second")
    assert resolve().nats_url == "nats://second:1"


def test_the_first_context_is_selected_and_others_on_demand() -> None:
    add("first")
    add("second")
    assert Contexts().read().selected == "first"
    Contexts().select("second")
    assert Contexts().read().selected == "second"


def test_a_selected_context_that_is_removed_leaves_none_selected() -> None:
    add("only")
    Contexts().remove("only")
    assert Contexts().read().selected is None
    assert resolve().nats_url_from == "default"


def test_an_unknown_context_is_named_with_those_that_there_are() -> None:
    add("there")
    with pytest.raises(NotFound, match="'missing'; there are: there"):
        resolve(context="missing")


def test_a_context_is_not_replaced_by_accident() -> None:
    add("there")
    with pytest.raises(Conflict, match="there is a context there"):
        add("there")


def test_names_from_the_environment_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATH_LATTICE", "a.b")
    with pytest.raises(InvalidArgument, match=r"lattice 'a.b' is"):
        resolve()


def test_secrets_are_kept_by_reference_and_read_when_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    add("guarded", user="me", password_env="MY_PASSWORD")
    file = Contexts()
    assert "hunter2" not in file.path.read_text()
    with pytest.raises(InvalidArgument, match="MY_PASSWORD: set"):
        resolve(context="guarded").credentials()
    monkeypatch.setenv("MY_PASSWORD", "hunter2")
    credentials = resolve(context="guarded").credentials()
    assert credentials is not None and credentials.password == "hunter2"


def test_the_file_is_for_its_owner_only() -> None:
    add("there")
    assert stat.S_IMODE(Contexts().path.stat().st_mode) == 0o600


def test_a_damaged_file_is_named() -> None:
    add("there")
    Contexts().path.write_text("{")
    with pytest.raises(InvalidArgument, match=r"contexts\.json"):
        resolve()
