"""The pages of docs/holds say which tests hold each promise: all of them are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMISES = {"lattice": 14, "engine": 14, "http": 12}
"""How many each page has: those of issues 2, 3 and 4."""
NAMED = re.compile(r"`(tests/[\w/]+\.py|lattice/[\w/]+\.py)::(\w+)`")


@cache
def functions(path: Path) -> frozenset[str]:
    """The names of all functions of a module, methods included."""
    return frozenset(
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
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
        if not (ROOT / path).is_file() or name not in functions(ROOT / path)
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
        for name in functions(path)
        if name.startswith("test_")
    }
    assert there - named == set()
