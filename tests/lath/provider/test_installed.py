"""Providers are found by entry points; what is missing is named, with what to install."""

from __future__ import annotations

from pathlib import Path

import pytest

from lath.errors import InvalidArgument, NotFound
from lath.provider.installed import find_provider, installed_providers
from lath.testing.memory_keyvalue import MemoryKeyValue

METADATA = """
Metadata-Version: 2.1
Name: acme-shelf
Version: 1.0
Provides-Extra: shelving
Requires-Dist: lath
Requires-Dist: no_such.driver>=3,<4; extra == "shelving"
""".lstrip()
ENTRY_POINTS = """
[lath.providers]
acme-kv = lath.testing.memory_keyvalue:MemoryKeyValue
acme-driver = acme_shelf_driver:Shelf
acme-alone = acme_shelf_alone:Shelf
acme-wrong = json:dumps
acme-wit = acme_shelf_wit:Shelf
"""
WRONG = """
from lath.provider import Call, Provider, operation

class Shelf(Provider):
    @operation("wasi:keyvalue/store")
    async def open(self, call: Call[None], identifier: int) -> None: ...
"""


@pytest.fixture(autouse=True)
def _a_distribution_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = tmp_path / "acme_shelf-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(METADATA)
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "acme_shelf_driver.py").write_text("import no_such_driver.pool")
    (tmp_path / "acme_shelf_alone.py").write_text("import nobody_has_this")
    (tmp_path / "acme_shelf_wit.py").write_text(WRONG)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_a_provider_is_found_by_the_name_of_its_entry_point() -> None:
    assert find_provider("acme-kv") is MemoryKeyValue


def test_a_name_that_nobody_offers_is_told_with_those_that_there_are() -> None:
    with pytest.raises(NotFound, match=r"'acme-cv'; installed are: acme-alone, .*acme-kv, .*keyvalue-nats"):
        find_provider("acme-cv")


def test_a_missing_module_is_told_with_the_extra_that_brings_it() -> None:
    with pytest.raises(InvalidArgument, match=r"no_such_driver.*: pip install 'acme-shelf\[shelving\]'"):
        find_provider("acme-driver")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("acme-alone", "No module named 'nobody_has_this'$"),
        ("acme-wrong", "no subclass of lath's Provider"),
        ("acme-wit", "'identifier' is annotated `int`, but the WIT says `string`"),
    ],
)
def test_what_is_offered_and_cannot_be_used_says_why(name: str, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        find_provider(name)


def test_all_are_listed_those_that_cannot_be_imported_too() -> None:
    found = {each.name: each for each in installed_providers()}
    assert found["acme-kv"].interfaces == MemoryKeyValue.interfaces()
    assert (found["acme-kv"].distribution, found["acme-kv"].problem) == ("acme-shelf", None)
    assert "acme-shelf[shelving]" in (found["acme-driver"].problem or "")
    assert found["keyvalue-nats"].distribution == "lath"
