"""The typed records that travel on the bus or stand in a bucket, and the reports made of them."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from lath.errors import InvalidArgument
from lath.model.events import EVENT_TYPE_PREFIX, CloudEvent, LinkEvent
from lath.model.inventory import (
    AuctionRequest,
    ComponentDescription,
    ComponentLimits,
    ComponentSettings,
    Ctl,
    CtlReply,
    DeleteLink,
    FuseMode,
    HostInfo,
    HostInventory,
    Label,
    ProviderDescription,
    ProviderStatus,
    RunAs,
    ScaleComponent,
    ServiceDescription,
    ServiceStatus,
    StartProvider,
    StopHost,
    StopProvider,
    UpdateComponent,
)
from lath.model.link import Link, LinkSelector, LinkSpec, LinkState, StoredLink
from lath.model.presence import (
    PRESENCE_TTL_MS,
    ParticipantKind,
    Presence,
    PresenceTtl,
    check_presence_ttl,
)
from lath.model.reports import LinkReport, Orphan, ParticipantView, PingReport, VerbReport, Verdict
from lath.model.revision import Revision, RevisionText
from lath.model.secret import Rekeyed, RekeySecrets, SealedSecret, SecretKey
from lath.model.verbs import (
    DETAILS_MAX,
    PAGE_BYTES_MAX,
    HeldLink,
    LostParticipant,
    PingReply,
    PingRequest,
    PullRequest,
    PurgeRequest,
    VerbAck,
)

M = TypeVar("M", bound=BaseModel)

_PROBLEMS_SHOWN_MAX = 3


def parse(model: type[M], data: bytes | str | dict[str, object], what: str) -> M:
    """Reads a record that came from outside.

    Args:
        model: Its type.
        data: JSON text, or an already decoded object.
        what: What it is, for the message: "link", "scale request".

    Raises:
        InvalidArgument: Malformed; the message names each field and what is wrong with it.
    """
    try:
        return model.model_validate(data) if isinstance(data, dict) else model.model_validate_json(data)
    except ValidationError as e:
        raise InvalidArgument(f"{what} is not valid: {describe(e)}") from None


def describe(error: ValidationError) -> str:
    """One line for people: each field with what is wrong with it."""
    problems = []
    for detail in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in detail["loc"])
        message = detail["msg"].removeprefix("Value error, ").removeprefix("invalid_argument: ")
        if detail["type"] == "extra_forbidden":
            message = "there is no such field"
        problems.append(f"{where}: {message}" if where else message)
    rest = len(problems) - _PROBLEMS_SHOWN_MAX
    return "; ".join(problems[:_PROBLEMS_SHOWN_MAX]) + (f"; and {rest} more" if rest > 0 else "")


__all__ = [
    "DETAILS_MAX",
    "EVENT_TYPE_PREFIX",
    "PAGE_BYTES_MAX",
    "PRESENCE_TTL_MS",
    "AuctionRequest",
    "CloudEvent",
    "ComponentDescription",
    "ComponentLimits",
    "ComponentSettings",
    "Ctl",
    "CtlReply",
    "DeleteLink",
    "FuseMode",
    "HeldLink",
    "HostInfo",
    "HostInventory",
    "Label",
    "Link",
    "LinkEvent",
    "LinkReport",
    "LinkSelector",
    "LinkSpec",
    "LinkState",
    "LostParticipant",
    "Orphan",
    "ParticipantKind",
    "ParticipantView",
    "PingReply",
    "PingReport",
    "PingRequest",
    "Presence",
    "PresenceTtl",
    "ProviderDescription",
    "ProviderStatus",
    "PullRequest",
    "PurgeRequest",
    "RekeySecrets",
    "Rekeyed",
    "Revision",
    "RevisionText",
    "RunAs",
    "ScaleComponent",
    "SealedSecret",
    "SecretKey",
    "ServiceDescription",
    "ServiceStatus",
    "StartProvider",
    "StopHost",
    "StopProvider",
    "StoredLink",
    "UpdateComponent",
    "VerbAck",
    "VerbReport",
    "Verdict",
    "check_presence_ttl",
    "describe",
    "parse",
]
