"""The state file of a local lattice: what `lath up` started, so that `lath down` ends exactly that."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from lath.model import parse
from lath.names import Name, check_name
from lath_control.local.processes import ProcessRecord
from lath_control.paths import state_dir, write_private


class LocalState(BaseModel):
    """What runs, and whether all of it is ready.

    Attributes:
        keeper: The process that holds the others.
        others: nats-server and hosts.
        context: The context that was written for it; removed with it.
        context_before: The context that was selected before.
    """

    model_config = ConfigDict(frozen=True)

    type: Literal["lath.local.v1"] = "lath.local.v1"
    lattice: Name
    nats_url: str = ""
    ready: bool = False
    keeper: ProcessRecord
    others: tuple[ProcessRecord, ...] = ()
    hosts: tuple[str, ...] = ()
    context: str | None = None
    context_before: str | None = None

    @property
    def alive(self) -> list[ProcessRecord]:
        """Those of its processes that still run."""
        return [process for process in (self.keeper, *self.others) if process.alive]


class StateFile:
    """Where the state of one lattice is kept; its folder also holds the store and the logs."""

    def __init__(self, lattice: str, root: Path | None = None) -> None:
        self.folder = (root or state_dir() / "local") / check_name(lattice, "lattice")
        self.path = self.folder / "state.json"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def secrets_key(self) -> Path:
        """The key of the lattice's secrets: kept beside the store, since they stand there."""
        return self.folder / "secrets.key"

    def read(self) -> LocalState | None:
        """The state; None when nothing was started.

        Raises:
            InvalidArgument: The file was damaged.
        """
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        return parse(LocalState, text, f"state file {self.path}")

    def write(self, state: LocalState) -> None:
        write_private(self.path, state.model_dump_json(indent=2) + "\n")

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def local_lattices() -> list[str]:
    """The lattices of this machine that have a state file."""
    return sorted(path.parent.name for path in (state_dir() / "local").glob("*/state.json"))
