"""Operations about hosts: ping, inventory, stop, labels."""

from __future__ import annotations

from lath.model import CtlReply, Label, StopHost
from lath_host.control.operation import Operation, Request, check_host, done
from lath_host.services import Services


async def ping(host: Services, _request: Request) -> CtlReply:
    return done(response=host.info())


async def get(host: Services, _request: Request) -> CtlReply:
    return done(response=host.inventory())


async def stop(host: Services, request: Request) -> CtlReply:
    """Accepts; `host_stopped` tells when it is through."""
    drain_ms = host.options.drain_ms
    if request.data:
        wanted = request.read(StopHost, "host stop request")
        check_host(wanted.host_id, host)
        drain_ms = drain_ms if wanted.timeout is None else wanted.timeout
    host.request_stop(drain_ms)
    return done("stopping")


async def put_label(host: Services, request: Request) -> CtlReply:
    label = request.read(Label, "label")
    host.labels.put(label.key, label.value)
    return await _labels_changed(host)


async def delete_label(host: Services, request: Request) -> CtlReply:
    host.labels.delete(request.read(Label, "label").key)
    return await _labels_changed(host)


async def _labels_changed(host: Services) -> CtlReply:
    data = {"host_id": host.identity.id, "labels": host.labels.all()}
    await host.events.publish("labels_changed", data)
    return done()


OPERATIONS = (
    Operation("host", "ping", "all", ping),
    Operation("host", "get", "host", get, takes_argument=True),
    Operation("host", "stop", "host", stop, takes_argument=True),
    Operation("label", "put", "host", put_label, takes_argument=True),
    Operation("label", "del", "host", delete_label, takes_argument=True),
)
