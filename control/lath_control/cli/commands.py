"""Which commands there are, and where: the module of one is imported once the command is asked for.

All of them together take a second to import, which is most of what a command takes.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, cast

import typer
from typer.core import TyperGroup

COMMANDS_GROUP: Final = "lath.commands"
"""Other packages add commands through this entry-point group: a typer app each."""

_HERE: Final = "On this machine"
_PLACES: Final = {
    "up": "local:root",
    "down": "local:root",
    "build": "tools:root",
    "doctor": "tools:root",
    "completion": "tools:root",
    "demo": "tools:root",
    "new": "new:app",
    "get": "get:app",
    "inspect": "inspecting:app",
    "provider": "provider:app",
    "wit": "wit:app",
    "events": "streams:root",
    "spy": "streams:root",
    "start": "lifecycle:start",
    "stop": "lifecycle:stop",
    "scale": "lifecycle:root",
    "update": "lifecycle:root",
    "link": "link:app",
    "config": "config:app",
    "secret": "secret:app",
    "label": "label:app",
    "call": "call:root",
    "http": "http:root",
    "ctx": "ctx:app",
}
"""Module and app of each, in the order of the help. An app named `root` has single commands, another is one
group of them."""
_PANELS: Final = {
    "new": "Use",
    "get": "Look",
    "inspect": "Look",
    "provider": "Look",
    "wit": "Look",
    "start": "Change",
    "stop": "Change",
    "link": "Change",
    "config": "Change",
    "secret": "Change",
    "label": "Change",
    "ctx": _HERE,
}
"""Where the help has each group. A single command says it itself."""


class Commands(Mapping[str, Any]):
    """Commands by name; each is made when it is first asked for, and a look at the names makes none."""

    def __init__(self) -> None:
        points = importlib.metadata.entry_points(group=COMMANDS_GROUP)
        others = {point.name: point for point in sorted(points, key=lambda each: each.name)}
        self._make: dict[str, Callable[[], Any]] = {
            **{name: partial(_own, name) for name in _PLACES},
            **{name: partial(_of_another, point) for name, point in others.items()},
        }
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = self._make[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._make)

    def __len__(self) -> int:
        return len(self._make)


class Root(TyperGroup):
    """`lath` itself, as typer makes it of its app."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = cast(Any, Commands())

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names: what typer's own does makes the commands too."""
        return list(self.commands)


def _own(name: str) -> Any:
    module, _, attribute = _PLACES[name].partition(":")
    app = getattr(importlib.import_module(f"lath_control.cli.{module}"), attribute)
    return _made(name, app, _PANELS.get(name))


def _of_another(point: importlib.metadata.EntryPoint) -> Any:
    return _made(point.name, point.load(), _HERE)


def _made(name: str, app: typer.Typer, panel: str | None) -> Any:
    """A command as typer makes it of an app's; with a panel: of the whole app, which is a group then."""
    whole = typer.Typer()
    if panel is None:
        whole.add_typer(app)
    else:
        whole.add_typer(app, name=name, rich_help_panel=panel)
    return cast(Any, typer.main.get_command(whole)).commands[name]
