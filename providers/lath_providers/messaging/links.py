"""Which links a provider of wasmcloud:messaging can be the source of."""

from __future__ import annotations

from lath.errors import InvalidArgument
from lath.provider import Link
from lath_providers.messaging.message import PACKAGE

_INTERFACE = "handler"


def check_takes_messages(link: Link) -> None:
    """Checks that a link leads to a component that handles messages.

    Raises:
        InvalidArgument: It is for another interface.
    """
    record = link.record
    if (record.wit_namespace, record.wit_package) != PACKAGE or _INTERFACE not in link.interfaces:
        raise InvalidArgument(
            f"a messaging provider calls wasmcloud:messaging/{_INTERFACE}: link it by that interface"
        )
