"""The tree of errors. Each says, by its class, whether the call may have run.

    LathError                   kind, message; every error that lath raises on purpose
    ├── DidNotRun               the call, or the operation, certainly did not run
    │   ├── NotFound            target, interface, function or interface version does not exist
    │   ├── LinkNotFound        no link allows the call
    │   ├── LinkFailed          the link exists and is not active: its provider's reason is in the message
    │   ├── InvalidArgument     malformed input; the message names it and what would be right
    │   ├── PayloadTooLarge     above `payload_bytes_max`
    │   ├── PermissionDenied    refused by NATS permissions or by a policy
    │   ├── Conflict            someone else holds what was asked for; the message names them
    │   ├── Unavailable         nobody could be reached who serves the target
    │   ├── NotConnected        this process has no connection to the bus; nothing was sent
    │   ├── Overloaded          past `max_instances` and its queue
    │   └── Draining            the instance is stopping and takes no new calls
    └── MayHaveRun              the call may have run, once, wholly or in part
        ├── DeadlineExceeded    the time-out passed
        ├── CallCancelled       the caller gave up, or the instance was stopped hard
        ├── Trap                the guest trapped
        ├── LimitExceeded       the guest went past a limit (memory, fuel, time)
        ├── ConnectionLost      a connection, to the bus or to a provider's backend, broke during the call
        ├── InstanceLost        the presence of the instance that held the call ended
        └── Internal            a defect on the other side

`kind` is what travels in the `Lath-Error` header; `error_of_kind` makes the exception again.
"""

from __future__ import annotations

from typing import ClassVar

from lath.redact import scrubbed


class LathError(Exception):
    """Base of all errors of lath.

    Attributes:
        kind: The stable name that travels on the wire.
        may_have_run: Whether the call may have taken effect.
        message: What went wrong, naming the input and, where there is one, the fix. No secret that this
            process has opened stands in it.
    """

    kind: ClassVar[str] = "internal"
    may_have_run: ClassVar[bool] = True

    def __init__(self, message: str) -> None:
        self.message = scrubbed(message)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


class DidNotRun(LathError):
    """The call certainly did not run: it is safe to try again."""

    may_have_run: ClassVar[bool] = False


class MayHaveRun(LathError):
    """The call may have run: trying again may run it twice."""

    may_have_run: ClassVar[bool] = True


class NotFound(DidNotRun):
    """The target, interface, function or interface version does not exist."""

    kind: ClassVar[str] = "not_found"


class LinkNotFound(DidNotRun):
    """No link allows this call."""

    kind: ClassVar[str] = "link_not_found"


class LinkFailed(DidNotRun):
    """The link exists but is not active; the message carries the provider's reason."""

    kind: ClassVar[str] = "link_failed"


class InvalidArgument(DidNotRun, ValueError):
    """Malformed input. The message names the input and says what would be right."""

    kind: ClassVar[str] = "invalid_argument"


class PayloadTooLarge(DidNotRun):
    """A message above the payload limit."""

    kind: ClassVar[str] = "payload_too_large"


class PermissionDenied(DidNotRun):
    """Refused by the bus's permissions or by a policy."""

    kind: ClassVar[str] = "permission_denied"


class Conflict(DidNotRun):
    """Somebody else holds what was asked for; the message names them."""

    kind: ClassVar[str] = "conflict"


class Unavailable(DidNotRun):
    """Nobody who serves the target could be reached."""

    kind: ClassVar[str] = "unavailable"


class NotConnected(DidNotRun):
    """This process has no connection to the bus, and nothing was sent."""

    kind: ClassVar[str] = "not_connected"


class Overloaded(DidNotRun):
    """The target has no room: past `max_instances` and its queue."""

    kind: ClassVar[str] = "overloaded"


class Draining(DidNotRun):
    """The instance is stopping and takes no new calls."""

    kind: ClassVar[str] = "draining"


class DeadlineExceeded(MayHaveRun):
    """The time-out passed before an answer came."""

    kind: ClassVar[str] = "deadline_exceeded"


class CallCancelled(MayHaveRun):
    """The call was cancelled. (Not `asyncio.CancelledError`, which is never turned into this one)."""

    kind: ClassVar[str] = "cancelled"


class Trap(MayHaveRun):
    """The guest trapped."""

    kind: ClassVar[str] = "trap"


class LimitExceeded(MayHaveRun):
    """The guest went past one of its limits."""

    kind: ClassVar[str] = "limit_exceeded"


class ConnectionLost(MayHaveRun):
    """The connection to the bus, or a provider's to its backend, broke while an answer was awaited."""

    kind: ClassVar[str] = "connection_lost"


class InstanceLost(MayHaveRun):
    """The presence of the instance that held the call ended."""

    kind: ClassVar[str] = "instance_lost"


class Internal(MayHaveRun):
    """A defect on the other side."""

    kind: ClassVar[str] = "internal"


KINDS: dict[str, type[LathError]] = {
    cls.kind: cls
    for cls in (
        NotFound, LinkNotFound, LinkFailed, InvalidArgument, PayloadTooLarge, PermissionDenied, Conflict,
        Unavailable, NotConnected, Overloaded, Draining,
        DeadlineExceeded, CallCancelled, Trap, LimitExceeded, ConnectionLost, InstanceLost, Internal,
    )
}  # fmt: skip
"""Every kind that travels, with its class."""


def error_of_kind(kind: str, message: str) -> LathError:
    """Makes the error that a `Lath-Error` header names. An unknown kind becomes `Internal`, kind included."""
    cls = KINDS.get(kind)
    return cls(message) if cls else Internal(f"{kind}: {message}")
