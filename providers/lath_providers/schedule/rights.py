"""What the provider may do on the bus, where it has credentials of its own."""

from __future__ import annotations

from lath import subjects
from lath.bus.jetstream import API
from lath.bus.permissions import Permissions, provider_permissions


def schedule_permissions(lattice: str, provider: str) -> Permissions:
    """Those of any provider, and the records of its own schedules.

    Args:
        lattice: The one lattice that it may join.
        provider: Its id.

    Raises:
        InvalidArgument: A name is not valid.
    """
    permissions = provider_permissions(lattice, provider)
    stream = subjects.schedule_stream(lattice)
    permissions["publish"]["allow"] += [
        f"{API}STREAM.CREATE.{stream}",
        f"{API}STREAM.MSG.GET.{stream}",
        subjects.schedule_record(lattice, provider, "*"),
    ]
    return permissions
