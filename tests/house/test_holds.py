"""docs/holds.md says which tests hold each promise of issue 2: all of them are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/holds.md"
HOLDS = 14
NAMED = re.compile(r"`(tests/[\w/]+\.py|lattice/[\w/]+\.py)::(\w+)`")


@cache
def functions(path: Path) -> frozenset[str]:
    """The names of all functions of a module, methods included."""
    return frozenset(
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def sections() -> dict[int, str]:
    """The text of each promise, by its number."""
    parts = re.split(r"^## (\d+)\. .*$", PAGE.read_text(), flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


def test_every_test_that_the_page_names_exists() -> None:
    named = NAMED.findall(PAGE.read_text())
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).is_file() or name not in functions(ROOT / path)
    ]
    assert named
    assert missing == []


def test_every_promise_is_on_the_page_and_each_of_its_clauses_names_a_test() -> None:
    found = sections()
    assert sorted(found) == list(range(1, HOLDS + 1))
    for number, text in found.items():
        clauses = re.split(r"^- ", text, flags=re.MULTILINE)[1:]
        assert clauses, number
        for clause in clauses:
            assert NAMED.search(clause), (number, clause)


def test_every_test_of_the_folder_for_promises_is_on_the_page() -> None:
    named = set(NAMED.findall(PAGE.read_text()))
    folder = ROOT / "tests/holds"
    there = {
        (str(path.relative_to(ROOT)), name)
        for path in folder.glob("test_*.py")
        for name in functions(path)
        if name.startswith("test_")
    }
    assert there - named == set()
