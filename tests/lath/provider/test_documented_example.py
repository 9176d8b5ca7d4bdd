"""Every block of docs/writing-a-provider.md does what the page says.

The blocks of Python are run here in the order in which they stand, as one module; the tests among them become
tests of this one.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main

from lath.errors import InvalidArgument
from lath.provider import Provider
from lath.provider.runner import start_of_flags
from lath_control.cli import make_app

PAGE = Path(__file__).parents[3] / "docs/writing-a-provider.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = [
    (match[1], match[2], TEXT.count("\n", 0, match.start(2)))
    for match in re.finditer(r"^```(\w+)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
]


def of_kind(kind: str) -> list[str]:
    return [text for each, text, _ in BLOCKS if each == kind]


for _kind, _text, _line in BLOCKS:
    if _kind == "python":  # annotations stay text, as in this module: some name what only the reader has
        exec(compile("\n" * _line + _text, str(PAGE), "exec"), globals())
Shelf: type[Provider] = globals()["Shelf"]
globals()["TestShelfBackend"].__test__ = False  # its server is the reader's


def test_every_block_of_the_page_is_of_a_kind_that_is_tried() -> None:
    assert {kind for kind, _, _ in BLOCKS} == {"python", "sh", "toml", "text"}
    assert TEXT.count("```") == 2 * len(BLOCKS)


def test_the_tests_of_the_page_are_tests_of_this_module() -> None:
    named = re.findall(r"^async def (test_\w+)", "".join(of_kind("python")), re.MULTILINE)
    assert len(named) >= 7
    assert set(named) <= set(globals())


def test_the_error_that_the_page_shows_is_the_one_that_is_raised() -> None:
    (shown,) = of_kind("text")
    wrong = of_kind("python")[0].replace("], item: str)", "], item: int)")
    with pytest.raises(InvalidArgument) as caught:
        exec(compile(wrong, "wrong", "exec"), {"__name__": "acme.shelf"})
    assert caught.value.message == shown.rstrip()


def test_the_entry_point_of_the_page_is_in_the_group_that_hosts_look_in() -> None:
    (project,) = of_kind("toml")
    points = tomllib.loads(project)["project"]["entry-points"]
    assert points == {"lath.providers": {"shelf": f"acme.shelf:{Shelf.__name__}"}}


def test_every_command_of_the_page_is_one_that_there_is() -> None:
    commands = [line for block in of_kind("sh") for line in block.splitlines()]
    commands += re.findall(r"`((?:LATH_\S+ )?(?:lath|python -m) [^`]+)`", TEXT)
    assert len(commands) > 12
    app = typer.main.get_command(make_app())
    for command in commands:
        words = shlex.split(command.partition(" > ")[0], comments=True)
        if words[0].startswith("LATH_"):
            words = words[1:]
        if words[:2] == ["python", "-m"]:
            assert start_of_flags(Shelf, words[3:]).provider_id == "shelf"
        else:
            assert words[0] == "lath"
            parse(app, words)


def parse(command: Any, words: list[str]) -> None:
    """Reads a command line as `lath` does, without running it."""
    if hasattr(command, "commands"):
        assert words[1] in command.commands, f"{words[0]} has no {words[1]}"
        parse(command.commands[words[1]], words[1:])
    else:
        command.make_context(words[0], words[1:])
