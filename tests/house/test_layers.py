"""The layers: `lath` imports none of the other packages, and the others import only `lath`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "lath": ROOT / "lattice/lath",
    "lath_host": ROOT / "host/lath_host",
    "lath_providers": ROOT / "providers/lath_providers",
    "lath_control": ROOT / "control/lath_control",
}
PROTOCOL_STRINGS = (
    "lath.rpc.", "lath.rpci.", "lath.link.", "lath.evt.", "wasmbus.",
    "$KV.", "KV_", "$JS.ACK", "Nats-Expected",
)  # fmt: skip
RECORD_TYPE = re.compile(r"lath\.[a-z.]+\.v\d+\Z")
"""The `type` of a record, such as lath.link.ping.v1, stands at the record."""
MODULE_LINES_MAX = 450
PAUSE_SECONDS_MAX = 0.005
VAGUE_MODULES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}


def modules(package: str) -> list[Path]:
    return sorted(PACKAGES[package].rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_no_other_package_than_lath(package: str) -> None:
    forbidden = set(PACKAGES) - {"lath", package}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(package)
        for name in imported(path)
        if name.split(".")[0] in forbidden
    ]
    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES)
def test_subjects_and_headers_are_written_only_in_lath_subjects(package: str) -> None:
    wrong = []
    for path in modules(package):
        if path == PACKAGES["lath"] / "subjects.py":
            continue
        tree = ast.parse(path.read_text())
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) and id(node) not in docstrings else None
            if isinstance(text, str) and text.startswith(PROTOCOL_STRINGS) and not RECORD_TYPE.match(text):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {text!r}")
    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_say_what_they_do_and_stay_readable(package: str) -> None:
    wrong = []
    for path in modules(package):
        text = path.read_text()
        where = path.relative_to(ROOT)
        if text.strip() and ast.get_docstring(ast.parse(text)) is None:
            wrong.append(f"{where} has no docstring")
        if (lines := text.count("\n")) > MODULE_LINES_MAX:
            wrong.append(f"{where} has {lines} lines")
        if path.stem in VAGUE_MODULES:
            wrong.append(f"{where} has a vague name")
    assert wrong == []


def _graph(package: str) -> dict[str, set[str]]:
    """Imports at module level (not inside functions, not for type checking) within one package."""
    base = PACKAGES[package]
    names = {}
    for path in modules(package):
        parts = (package, *path.relative_to(base).with_suffix("").parts)
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    graph: dict[str, set[str]] = {}
    for name, path in names.items():
        edges = set()
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    edges.add(full if full in names else node.module)
            elif isinstance(node, ast.Import):
                edges.update(alias.name for alias in node.names)
        graph[name] = {edge for edge in edges if edge in names and edge != name}
    return graph


@pytest.mark.parametrize("package", PACKAGES)
def test_there_are_no_circular_imports(package: str) -> None:
    graph = _graph(package)
    done: set[str] = set()
    circles: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circles.append(" -> ".join((*path[path.index(name) :], name)))
            return
        if name in done:
            return
        for edge in sorted(graph[name]):
            visit(edge, (*path, name))
        done.add(name)

    for name in graph:
        visit(name, ())
    assert circles == []


def test_tests_never_sleep_to_wait() -> None:
    """They wait on conditions, by `lath.testing.eventually` say; a short pause is no waiting, but a turn."""
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "sleep"
        and not _is_short(node.args[0])
    ]
    assert wrong == []


def _is_short(argument: ast.expr) -> bool:
    return isinstance(argument, ast.Constant) and argument.value <= PAUSE_SECONDS_MAX
