"""How the demo looks: a numbered step at a time, on a terminal and in a pipe."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from pydantic import BaseModel, ConfigDict
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from lath.errors import LathError
from lath_control.cli.output import Output, fields

_INDENT = 5


class StepResult(BaseModel):
    """One step: what was expected, what came, and whether that is the same."""

    model_config = ConfigDict(frozen=True)

    step: int
    title: str
    expected: str
    got: str
    ok: bool
    seconds: float


class Step:
    """A step that is being taken: `saw` is called once with what came."""

    def __init__(self, title: str, expected: str) -> None:
        self.title = title
        self.expected = expected
        self.got = "nothing"
        self.ok = False
        self.detail: RenderableType | None = None

    def saw(self, got: str, *, ok: bool, detail: RenderableType | None = None) -> None:
        """Says what came, whether it is what was expected, and what more there is to look at."""
        self.got = got
        self.ok = ok
        self.detail = detail


class Show:
    """The steps taken so far, and how each is told."""

    def __init__(self, out: Output) -> None:
        self.out = out
        self.results: list[StepResult] = []

    @property
    def all_ok(self) -> bool:
        return bool(self.results) and all(result.ok for result in self.results)

    @asynccontextmanager
    async def step(self, title: str, *, expected: str) -> AsyncGenerator[Step]:
        """Takes a step: with a spinner meanwhile, and its result afterwards.

        An error of lath inside is what came, and ends the demo.
        """
        step = Step(title, expected)
        number = len(self.results) + 1
        started = time.perf_counter()
        try:
            with self.out.errors.status(f"{number}. {title} …"):
                yield step
        except LathError as e:
            step.saw(str(e), ok=False)
            raise
        finally:
            seconds = round(time.perf_counter() - started, 2)
            result = StepResult(
                step=number, title=title, expected=step.expected, got=step.got, ok=step.ok, seconds=seconds
            )
            self.results.append(result)
            if self.out.is_text:
                self.out.show(_text(result, step.detail))

    def finish(self, seconds: float) -> None:
        """Tells how it went altogether: as text, or everything as JSON."""
        wrong = [result.title for result in self.results if not result.ok]
        if not self.out.is_text:
            self.out.many(self.results, "")
        elif wrong:
            self.out.show(Text(f"Not as expected: {'; '.join(wrong)}", style="bold red"))
        else:
            self.out.show(
                Text(f"All {len(self.results)} steps were as expected ({seconds:.0f} s).", style="bold green")
            )


def _text(result: StepResult, detail: RenderableType | None) -> RenderableType:
    mark = ("✓", "bold green") if result.ok else ("✗", "bold red")
    title = Text.assemble(
        mark, (f" {result.step:>2}. {result.title}", "bold"), (f"  {result.seconds:.1f} s", "dim")
    )
    body: list[RenderableType] = [
        fields([("expected", Text(result.expected, style="dim")), ("got", Text(result.got))])
    ]
    if detail is not None:
        body += [Text(), detail]
    return Group(title, Padding(Group(*body), (0, 0, 1, _INDENT), expand=False))
