"""The pages of docs/holds say which tests hold each promise: all of them are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMISES = {"lattice": 14, "engine": 14, "http": 12, "providers": 26}
"""How many each page has: those of issues 2, 3, 4 and 5."""
NAMED = re.compile(r"`(tests/[\w/]+\.py|lattice/[\w/]+\.py)::(\w+)`")


@cache
def names_in(path: Path) -> frozenset[str]:
    """The names of all functions of a module, methods included, and of its classes."""
    return frozenset(
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    )


def text_of(page: str) -> str:
    """A page of docs/holds."""
    return (ROOT / f"docs/holds/{page}.md").read_text()


def sections(page: str) -> dict[int, str]:
    """The text of each promise, by its number."""
    parts = re.split(r"^## (\d+)\. .*$", text_of(page), flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.mark.parametrize("page", PROMISES)
def test_every_test_that_a_page_names_exists(page: str) -> None:
    named = NAMED.findall(text_of(page))
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).is_file() or name not in names_in(ROOT / path)
    ]
    assert named
    assert missing == []


@pytest.mark.parametrize(("page", "promises"), PROMISES.items())
def test_every_promise_is_on_its_page_and_each_of_its_clauses_names_a_test(page: str, promises: int) -> None:
    found = sections(page)
    assert sorted(found) == list(range(1, promises + 1))
    for number, text in found.items():
        clauses = re.split(r"^- ", text, flags=re.MULTILINE)[1:]
        assert clauses, number
        for clause in clauses:
            assert NAMED.search(clause), (number, clause)


def test_every_test_of_the_folder_for_promises_is_on_the_page() -> None:
    named = set(NAMED.findall(text_of("lattice")))
    folder = ROOT / "tests/holds"
    there = {
        (str(path.relative_to(ROOT)), name)
        for path in folder.glob("test_*.py")
        for name in names_in(path)
        if name.startswith("test_")
    }
    assert there - named == set()


# --- the matrix of providers and clauses --------------------------------------------------------------

SUITE = "lattice/lath/testing/backend_contract.py"
SUITES = {"BackendContract", "BlobstoreBackendContract"}
"""The suite, and what of it blobstores have in common (tests/support/blob_backends.py)."""
CELLS = {"suite", "own", "none", "open"}


def matrix() -> tuple[list[str], dict[int, list[str]]]:
    """Of the page of providers: who they are, and for each clause how each of them is held to it."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text_of("providers").splitlines()
        if line.startswith("| ")
    ]
    providers = next(row[1:] for row in rows if row[0] == "clause")
    clauses = {
        int(found[1]): row[1:] for row in rows if len(row) > 2 and (found := re.match(r"(\d+)\.", row[0]))
    }
    return providers, clauses


def test_the_matrix_has_a_cell_for_every_provider_and_clause() -> None:
    providers, clauses = matrix()
    found = sections("providers")
    assert list(clauses) == list(range(16, 27))
    for number, cells in clauses.items():
        assert len(cells) == len(providers)
        assert set(cells) <= CELLS, number
        assert ("suite" in cells) == (SUITE in found[number]), number
        assert ("open" in cells) == ("**Open**" in found[number]), number
        for provider, cell in zip(providers, cells, strict=True):
            if cell != "suite":
                assert provider.lower() in found[number].lower(), (number, provider)


def test_who_is_held_by_the_suite_passes_it_and_all_of_its_tests_are_on_the_page() -> None:
    providers, clauses = matrix()
    page = text_of("providers")
    cells = [each for row in clauses.values() for each in zip(providers, row, strict=True)]
    by_suite = {provider for provider, cell in cells if cell == "suite"}
    assert by_suite
    for provider in by_suite:
        row = re.search(rf"^\| {provider} \| `([\w/.]+)::(\w+)` \|$", page, flags=re.MULTILINE)
        assert row, provider
        tree = ast.parse((ROOT / row[1]).read_text())
        bases = {
            base.id
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and node.name == row[2]
            for base in node.bases
            if isinstance(base, ast.Name)
        }
        assert len(bases & SUITES) == 1, provider
    named = {name for path, name in NAMED.findall(page) if path == SUITE}
    assert {name for name in names_in(ROOT / SUITE) if name.startswith("test_")} == named
