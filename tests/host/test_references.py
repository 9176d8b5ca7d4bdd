"""References to components and providers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lath.errors import InvalidArgument
from lath_host import artifacts
from lath_host.providers.provider_refs import builtin_name, check_provider_ref, command_of

SHA = "a" * 64


@pytest.mark.parametrize("ref", ["file:///opt/echo.wasm", "file:///a%20b.wat", f"bus:sha256:{SHA}"])
def test_references_to_components_of_the_known_forms_are_taken(ref: str) -> None:
    assert artifacts.check_ref(ref) == ref


@pytest.mark.parametrize(
    "ref",
    [
        "", "file://relative.wasm", "file://elsewhere/x.wasm", "file:///a\0b", "bus:sha256:abc",
        f"bus:md5:{SHA}", "ghcr.io/app/echo:1", "http://x/y.wasm", "/etc/passwd", "x" * 1_000_000,
    ],
)  # fmt: skip
def test_other_references_to_components_are_refused_naming_the_forms(ref: str) -> None:
    with pytest.raises(InvalidArgument, match=r"file:///absolute/path\.wasm") as caught:
        artifacts.check_ref(ref)
    assert len(caught.value.message) < 500


def test_a_provider_reference_becomes_a_command() -> None:
    assert command_of("python:my.kv") == (sys.executable, "-m", "my.kv")
    assert command_of("file:///opt/kv.py") == (sys.executable, "/opt/kv.py")
    assert builtin_name("builtin:keyvalue-nats") == "keyvalue-nats"
    assert builtin_name("python:my.kv") is None


@pytest.mark.parametrize(
    "ref",
    ["", "python:", "python:os; rm", "python:-c", "python:a..b", "file:///x.sh", "file://h/x.py",
     "builtin:", "builtin:a b", "kv", "python:" + "a" * 100_000],
)  # fmt: skip
def test_other_references_to_providers_are_refused(ref: str) -> None:
    with pytest.raises(InvalidArgument):
        check_provider_ref(ref)


def test_a_path_with_spaces_is_read_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a b.wat"
    path.write_text("(component)")
    assert artifacts._file_path(path.as_uri()) == path
