"""Named contexts: where a lattice is, and how to log in, so that commands need no flags.

For each of the two, address and lattice: a flag wins over the environment (`LATH_NATS_URL`, `LATH_LATTICE`),
which wins over the selected context, which wins over the defaults. Secrets are kept by reference: the path
of a credentials file, or the name of an environment variable; never the secret itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from lath.bus import Credentials
from lath.errors import Conflict, InvalidArgument, NotFound
from lath.model import parse
from lath.names import Name, check_name, shown
from lath_control.paths import config_dir, write_private

DEFAULT_NATS_URL: Final = "nats://127.0.0.1:4222"
DEFAULT_LATTICE: Final = "default"
ENV_NATS_URL: Final = "LATH_NATS_URL"
ENV_LATTICE: Final = "LATH_LATTICE"
ENV_CONTEXT: Final = "LATH_CONTEXT"


class LatticeContext(BaseModel):
    """Where one lattice is.

    Attributes:
        name: What it is called on this machine.
        nats_url: One address, or several with commas.
        lattice: The lattice's name.
        creds_path: A NATS credentials file.
        user: A user name, with `password_env`.
        password_env: The environment variable that holds the password.
        token_env: The environment variable that holds a token.
        inbox_prefix: Where replies go, for a user whose permissions name a prefix.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    nats_url: Annotated[str, Field(min_length=1, max_length=4096)] = DEFAULT_NATS_URL
    lattice: Name = DEFAULT_LATTICE
    creds_path: str | None = None
    user: str | None = None
    password_env: str | None = None
    token_env: str | None = None
    inbox_prefix: str | None = None

    def credentials(self) -> Credentials | None:
        """What to log in with; None for a bus that asks for nothing.

        Raises:
            InvalidArgument: A variable or file that the context refers to is not there.
        """
        if self.creds_path is not None:
            path = Path(self.creds_path).expanduser()
            if not path.is_file():
                raise InvalidArgument(f"context {self.name} names the credentials file {path}: there is none")
            return Credentials(creds_path=str(path), inbox_prefix=self.inbox_prefix)
        if self.token_env is not None:
            return Credentials(token=self._secret(self.token_env), inbox_prefix=self.inbox_prefix)
        if self.user is not None:
            password = self._secret(self.password_env) if self.password_env else ""
            return Credentials(user=self.user, password=password, inbox_prefix=self.inbox_prefix)
        return None

    def _secret(self, variable: str) -> str:
        value = os.environ.get(variable)
        if value is None:
            raise InvalidArgument(
                f"context {self.name} reads its secret from the environment variable {variable}: set it"
            )
        return value


class ContextFile(BaseModel):
    """The file that holds them all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str = "lath.contexts.v1"
    selected: str | None = None
    contexts: dict[str, LatticeContext] = {}


class Contexts:
    """The contexts of this user."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or config_dir() / "contexts.json"

    def read(self) -> ContextFile:
        """All contexts.

        Raises:
            InvalidArgument: The file was damaged.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ContextFile()
        return parse(ContextFile, text, f"the file of contexts {self.path}")

    def add(self, context: LatticeContext, *, select: bool, replace: bool = False) -> None:
        """Adds a context; the first one is selected.

        Raises:
            Conflict: There is one of that name, and `replace` is not set.
        """
        file = self.read()
        if context.name in file.contexts and not replace:
            raise Conflict(f"there is a context {context.name}: choose another name, or --force")
        selected = context.name if select or file.selected is None else file.selected
        self._write(file.model_copy(
            update={"selected": selected, "contexts": {**file.contexts, context.name: context}}
        ))  # fmt: skip

    def select(self, name: str) -> None:
        """Makes a context the one that commands use.

        Raises:
            NotFound: There is none of that name.
        """
        file = self.read()
        self._find(file, name)
        self._write(file.model_copy(update={"selected": name}))

    def remove(self, name: str) -> None:
        """Forgets a context.

        Raises:
            NotFound: There is none of that name.
        """
        file = self.read()
        self._find(file, name)
        rest = {key: value for key, value in file.contexts.items() if key != name}
        selected = None if file.selected == name else file.selected
        self._write(file.model_copy(update={"selected": selected, "contexts": rest}))

    def get(self, name: str) -> LatticeContext:
        return self._find(self.read(), name)

    def selected(self) -> LatticeContext | None:
        file = self.read()
        return file.contexts.get(file.selected) if file.selected else None

    def _find(self, file: ContextFile, name: str) -> LatticeContext:
        try:
            return file.contexts[name]
        except KeyError:
            known = ", ".join(sorted(file.contexts)) or "none yet: lath ctx add"
            raise NotFound(f"there is no context {shown(name)}; there are: {known}") from None

    def _write(self, file: ContextFile) -> None:
        write_private(self.path, file.model_dump_json(indent=2, exclude_none=True) + "\n")


class Where(BaseModel):
    """A lattice as a command addresses it, and where each part was said."""

    model_config = ConfigDict(frozen=True)

    nats_url: str
    lattice: Name
    nats_url_from: str
    lattice_from: str
    context: LatticeContext | None = None

    def credentials(self) -> Credentials | None:
        """The context's login, else what the environment names, else None."""
        own = self.context.credentials() if self.context else None
        return own or Credentials.from_env()


def resolve(*, nats_url: str | None = None, lattice: str | None = None, context: str | None = None) -> Where:
    """Which lattice is meant: flag, environment, context, default, in this order.

    Args:
        nats_url: The flag, where it was given.
        lattice: The flag, where it was given.
        context: The name of a context, where a flag gave one; it then counts as a flag itself.

    Raises:
        InvalidArgument: A name is malformed.
        NotFound: There is no such context.
    """
    contexts = Contexts()
    if context is not None:
        chosen: LatticeContext | None = contexts.get(check_name(context, "context"))
        order: tuple[str, ...] = ("flag", "context", "environment", "default")
    else:
        named = os.environ.get(ENV_CONTEXT)
        chosen = contexts.get(check_name(named, ENV_CONTEXT)) if named else contexts.selected()
        order = ("flag", "environment", "context", "default")
    url, url_from = _first(
        order, nats_url, ENV_NATS_URL, chosen.nats_url if chosen else None, DEFAULT_NATS_URL
    )
    name, name_from = _first(order, lattice, ENV_LATTICE, chosen.lattice if chosen else None, DEFAULT_LATTICE)
    return Where(
        nats_url=url,
        lattice=check_name(name, "lattice"),
        nats_url_from=url_from,
        lattice_from=name_from,
        context=chosen if "context" in (url_from, name_from) else None,
    )


def _first(
    order: tuple[str, ...], flag: str | None, variable: str, context: str | None, default: str
) -> tuple[str, str]:
    values = {"flag": flag, "environment": os.environ.get(variable), "context": context, "default": default}
    for origin in order:
        value = values[origin]
        if value:
            return value, origin
    return default, "default"
