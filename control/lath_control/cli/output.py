"""What a command prints: text for people, or JSON alone on stdout; everything else goes to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

WIDTH_PIPED: Final = 1_000
"""Columns of text that goes into a pipe: nothing is cut or folded there, so that grep and cut work."""


class Format(StrEnum):
    """`-o`."""

    text = "text"
    json = "json"
    jsonl = "jsonl"


class Color(StrEnum):
    """`--color`."""

    auto = "auto"
    always = "always"
    never = "never"


def make_console(color: Color, *, stderr: bool = False) -> Console:
    """A console that knows whether it is on a terminal; NO_COLOR counts unless `--color always` is given."""
    stream = sys.stderr if stderr else sys.stdout
    on_terminal = stream.isatty()
    force = True if color is Color.always else None
    plain = color is Color.never or (color is Color.auto and bool(os.environ.get("NO_COLOR")))
    return Console(
        stderr=stderr,
        force_terminal=force,
        no_color=plain,
        highlight=False,
        soft_wrap=not on_terminal,
        width=None if on_terminal else WIDTH_PIPED,
    )


class Output:
    """stdout and stderr of one command.

    Attributes:
        console: stdout, for text.
        errors: stderr, for progress and errors.
    """

    def __init__(self, format_: Format, color: Color) -> None:
        self.format = format_
        self.console = make_console(color)
        self.errors = make_console(color, stderr=True)

    @property
    def is_text(self) -> bool:
        return self.format is Format.text

    @property
    def on_terminal(self) -> bool:
        """Whether text goes to a terminal, so that it may be redrawn."""
        return self.is_text and self.console.is_terminal and sys.stdout.isatty()

    def show(self, text: RenderableType) -> None:
        """Prints text on stdout; into a pipe without the blanks that fill up a line."""
        if sys.stdout.isatty():
            self.console.print(text)
            return
        with self.console.capture() as capture:
            self.console.print(text)
        lines = (line.rstrip() for line in capture.get().rstrip("\n").split("\n"))
        sys.stdout.write("\n".join(lines) + "\n")

    def one(self, value: Any, text: RenderableType) -> None:
        """Prints one result: a JSON object, or its text."""
        if self.is_text:
            self.show(text)
        else:
            self._write(to_json(value))

    def many(self, values: Sequence[Any], text: RenderableType) -> None:
        """Prints a list: a JSON array, a line each (jsonl), or text."""
        if self.is_text:
            self.show(text)
        elif self.format is Format.jsonl:
            for value in values:
                self._write(to_json(value))
        else:
            self._write([to_json(value) for value in values])

    def event(self, value: Any, text: RenderableType) -> None:
        """Prints one thing of a stream that has no end: always a line."""
        if self.is_text:
            self.show(text)
        else:
            sys.stdout.write(json.dumps(to_json(value), ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def note(self, text: RenderableType) -> None:
        """Tells the person at the terminal something that is not the result: on stderr."""
        self.errors.print(text)

    def done(self, value: Any, text: str) -> None:
        """Prints that something was done: the result as JSON, or a line of text."""
        self.one(value, Text.assemble(("✓ ", "green"), text))

    def _write(self, value: Any) -> None:
        indent = 2 if self.format is Format.json else None
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=indent) + "\n")
        sys.stdout.flush()


def to_json(value: Any) -> Any:
    """What `json.dumps` takes; absent values of models are left out."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, dict):
        return {key: to_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(each) for each in value]
    return value


def table(columns: Sequence[str], rows: Iterable[Sequence[RenderableType]], *, empty: str) -> RenderableType:
    """A table with a header; `empty` stands for it where there are no rows."""
    style = box.SIMPLE_HEAD if sys.stdout.isatty() else None
    grid = Table(box=style, header_style="bold", pad_edge=False, show_edge=False)
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return grid if grid.row_count else Text(empty, style="dim")


def row(*cells: RenderableType) -> list[RenderableType]:
    """A row of a table."""
    return list(cells)


def fields(pairs: Iterable[tuple[str, RenderableType | None]]) -> RenderableType:
    """Names and values under each other; a None value is left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value is not None:
            grid.add_row(name, value)
    return grid


def human_duration(milliseconds: float | None) -> str:
    """`850 ms`, `12 s`, `3 min`, `2 h`, `4 d`."""
    if milliseconds is None:
        return "-"
    if milliseconds < 1_000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1_000
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def human_size(size_bytes: int) -> str:
    """`512 B`, `1.5 KiB`, `18 MiB`."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024 or unit == "MiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
