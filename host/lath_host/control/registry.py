"""Credentials of OCI registries: heard by every host, and refused until lath reads OCI artifacts."""

from __future__ import annotations

from lath.model import CtlReply
from lath_host.control.operation import Operation, Request
from lath_host.services import Services


async def put(_host: Services, _request: Request) -> CtlReply:
    message = "OCI artifacts are not supported yet: use file:// or bus:sha256: references"
    return CtlReply(success=False, message=message)


OPERATIONS = (Operation("registry", "put", "all", put),)
