"""What an operation of the control interface is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

from pydantic import BaseModel

from lath.errors import InvalidArgument, NotFound
from lath.model import CtlReply, parse
from lath_host.services import Services

M = TypeVar("M", bound=BaseModel)

Audience: TypeAlias = Literal["host", "all", "one"]
"""Who answers: the host that the subject names last, every host that hears it, or one host of the lattice."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        argument: What the subject names after the operation: a host or a config; empty for none.
        data: The payload.
    """

    argument: str
    data: bytes

    def read(self, model: type[M], what: str) -> M:
        """The payload as a record.

        Raises:
            InvalidArgument: It is not valid; the message names each field.
        """
        return parse(model, self.data or b"{}", what)


Handler: TypeAlias = Callable[[Services, Request], Awaitable[CtlReply | None]]
"""Answers a request; None means silence (an auction that this host does not win)."""


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation and the subject that it stands on.

    Attributes:
        noun: The first token after the lattice: `component`.
        verb: The second: `scale`.
        audience: Who answers.
        handler: What answers.
        takes_argument: Whether the subject has a third token.
    """

    noun: str
    verb: str
    audience: Audience
    handler: Handler
    takes_argument: bool = False


def done(message: str = "", response: object = None) -> CtlReply:
    """The reply to what was done, or accepted."""
    return CtlReply(success=True, message=message, response=response)


async def check_configs(names: tuple[str, ...], host: Services) -> None:
    """Refuses a request that names config which does not exist.

    Raises:
        NotFound: It does; the message names the config.
    """
    for name in names:
        if await host.configs.get(name) is None:
            raise NotFound(f"config {name} does not exist: put it first")


def check_host(named: str, host: Services) -> None:
    """Refuses a request whose body names another host than its subject.

    Raises:
        InvalidArgument: It does.
    """
    if named != host.identity.id:
        raise InvalidArgument(
            f"host_id {named} in the request is not the host {host.identity.id} of its subject"
        )
