"""The link verbs under NATS permissions: providers serve them with their few, and values can be forbidden."""

from __future__ import annotations

import asyncio

import pytest
from link_lattice import spec
from link_participants import Member, MemoryHolder

from lath import subjects
from lath.bus import Bus, Credentials, ensure_buckets
from lath.bus.permissions import client_permissions, provider_permissions, user, without_vping
from lath.errors import PermissionDenied
from lath.links import LinkStore
from lath.presence import PresenceView
from lath.server import Server
from lath.testing import eventually
from lath.verbs import LinkOps


async def test_values_can_be_forbidden_while_pings_purges_and_waiting_puts_are_allowed(lattice: str) -> None:
    operator = without_vping(client_permissions(lattice, "operator"), lattice)
    users = [
        user("admin", "p"),
        user("kv", "p", provider_permissions(lattice, "kv")),
        user("operator", "p", operator),
    ]
    async with asyncio.timeout(30), Server(config={"authorization": {"users": users}}) as server:

        async def connect(name: str) -> Bus:
            credentials = Credentials(user=name, password="p", inbox_prefix=subjects.inbox_prefix(name))
            return await Bus.connect(server.url, lattice=lattice, name=name, credentials=credentials)

        async with (
            await connect("admin") as admin,
            await connect("kv") as kv,
            await connect("operator") as bus,
        ):
            await ensure_buckets(admin)
            holder = MemoryHolder("provider", "kv", instance_id="p1")
            async with Member(kv, holder, follow=False), PresenceView(bus) as view:
                ops = LinkOps(bus, view, LinkStore(bus))
                await eventually(lambda: view.get("kv", "p1"))
                async with asyncio.TaskGroup() as group:
                    put = group.create_task(ops.put_and_wait(spec("app", "kv")))
                    link = await eventually(lambda: LinkStore(bus).get("app.kv.wasi.keyvalue.default"))
                    assert link is not None
                    await holder.hold(link)
                assert put.result().verdict == "live"
                assert (await ops.ping(deep=True)).healthy
                assert (await ops.purge()).complete
                with pytest.raises(PermissionDenied, match="vping"):
                    await ops.vping()
                await ops.close()
