"""What every command shares: where the lattice is, how to print, exit codes; and how a command is declared.

Exit codes: 0 done; 1 the answer is no (a link is not live, a wait failed); 2 usage, invalid names included;
3 no lattice is reachable.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar, get_type_hints

import typer
from rich.text import Text

from lath import telemetry
from lath.errors import InvalidArgument, LathError, NotConnected
from lath.names import check_name
from lath_control.cli.output import Color, Format, Output
from lath_control.client import Client
from lath_control.context import DEFAULT_LATTICE, ENV_LATTICE, Where, resolve

DONE: Final = 0
NO: Final = 1
USAGE: Final = 2
NO_LATTICE: Final = 3
INTERRUPTED: Final = 130

_PANEL: Final = "Where and how"

OutputOption = Annotated[
    Format,
    typer.Option("--output", "-o", help="How to print.", rich_help_panel=_PANEL, show_choices=True),
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--nats-url",
        metavar="URL",
        help="The bus. Else LATH_NATS_URL, the context, nats://127.0.0.1:4222.",
        rich_help_panel=_PANEL,
    ),
]
LatticeOption = Annotated[
    str | None,
    typer.Option(
        "--lattice",
        metavar="NAME",
        help="The lattice. Else LATH_LATTICE, the context, 'default'.",
        rich_help_panel=_PANEL,
    ),
]
ContextOption = Annotated[
    str | None,
    typer.Option(
        "--context",
        metavar="NAME",
        help="A context (lath ctx ls). Else LATH_CONTEXT, the selected one.",
        rich_help_panel=_PANEL,
    ),
]
ColorOption = Annotated[
    Color,
    typer.Option("--color", help="Colours; NO_COLOR counts too.", rich_help_panel=_PANEL),
]

_COMMON: Final[dict[str, tuple[Any, Any]]] = {
    "output": (OutputOption, Format.text),
    "nats_url": (UrlOption, None),
    "lattice": (LatticeOption, None),
    "context": (ContextOption, None),
    "color": (ColorOption, Color.auto),
}

Command = TypeVar("Command", bound=Callable[..., Any])


class Session:
    """One run of a command.

    Attributes:
        out: Where it prints.
    """

    def __init__(
        self,
        *,
        output: Format,
        nats_url: str | None,
        lattice: str | None,
        context: str | None,
        color: Color,
    ) -> None:
        self.out = Output(output, color)
        self._on_interrupt = INTERRUPTED
        self._asked = {"nats_url": nats_url, "lattice": lattice, "context": context}

    @functools.cached_property
    def where(self) -> Where:
        """The lattice that is meant.

        Raises:
            InvalidArgument, NotFound: A name is malformed, or names no context.
        """
        return resolve(**self._asked)

    def asked(self, option: str) -> str | None:
        """What a flag of "Where and how" was given; None when it was not."""
        return self._asked[option]

    def lattice_name(self) -> str:
        """The lattice by flag or environment; contexts do not count: for what makes a lattice."""
        return check_name(self._asked["lattice"] or os.environ.get(ENV_LATTICE) or DEFAULT_LATTICE, "lattice")

    def client(self, *, timeout_ms: int | None = None) -> Client:
        """A client of that lattice, to be entered."""
        options = {} if timeout_ms is None else {"timeout_ms": timeout_ms}
        return Client(
            self.where.nats_url,
            lattice=self.where.lattice,
            credentials=self.where.credentials(),
            **options,
        )

    def until_interrupted(self) -> None:
        """Says that Ctrl-C is how this command is meant to end: its exit code is then 0."""
        self._on_interrupt = DONE

    def must_ask(self, question: str, yes: bool) -> bool:
        """Whether something is destroyed only after a question: unless `--yes` was given.

        Raises:
            InvalidArgument: Nobody can be asked: this is no terminal.
        """
        if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise InvalidArgument(f"{question} Nobody is there to answer: give --yes")
        return not yes

    def confirm(self, question: str, yes: bool) -> None:
        """Asks before something is destroyed, unless `--yes` was given.

        Raises:
            InvalidArgument: Nobody can be asked: this is no terminal.
            Abort: The answer was no.
        """
        if self.must_ask(question, yes):
            typer.confirm(question, abort=True, err=True)

    def run(self, function: Callable[..., Any], values: dict[str, Any]) -> int:
        """Runs a command's function; returns the exit code."""
        try:
            answer = function(self, **values)
            if inspect.isawaitable(answer):
                answer = asyncio.run(_awaited(answer))
        except LathError as e:
            self.out.note(error_text(e))
            return exit_code(e)
        except KeyboardInterrupt:
            return self._on_interrupt
        if isinstance(answer, bool):
            return DONE if answer else NO
        return answer if isinstance(answer, int) else DONE


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer


def exit_code(error: LathError) -> int:
    """Which exit code an error ends a command with."""
    if isinstance(error, NotConnected):
        return NO_LATTICE
    return USAGE if isinstance(error, InvalidArgument) else NO


def error_text(error: LathError) -> Text:
    """An error for people: its kind, what went wrong, and whether a call may have run."""
    text = Text.assemble((f"{error.kind}: ", "bold red"), error.message)
    cause = error.__cause__
    if isinstance(cause, LathError):
        text.append(f"\n  because {cause}", style="dim")
    return text


def command(app: typer.Typer, name: str, **settings: Any) -> Callable[[Command], Command]:
    """Declares a command: a function of a `Session` and its own parameters, plain or async.

    The options that every command has are added. It returns False to say that the answer is no, or an exit
    code.
    """

    def register(function: Command) -> Command:
        hints = get_type_hints(function, include_extras=True)
        parameters = list(inspect.signature(function).parameters.values())[1:]
        own = [p.replace(annotation=hints[p.name]) for p in parameters]
        common = [
            inspect.Parameter(each, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for each, (annotation, default) in _COMMON.items()
        ]

        def run(**values: Any) -> None:
            # A command's stderr is for people, so it is quiet unless LATH_LOG_LEVEL asks for more.
            telemetry.configure_logging(os.environ.get("LATH_LOG_LEVEL") or "error", "console")
            session = Session(**{each: values.pop(each) for each in _COMMON})
            raise typer.Exit(session.run(function, values))

        run.__doc__ = function.__doc__
        run.__name__ = function.__name__
        keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        run.__signature__ = inspect.Signature([*keyword, *common])  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in (*keyword, *common)}
        app.command(name, **settings)(run)
        return function

    return register
