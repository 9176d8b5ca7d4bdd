"""Hosts: who is there, what they run, their labels; stopping one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lath.errors import InvalidArgument, LathError, NotFound
from lath.model import HostInfo, HostInventory, Label, StopHost, parse
from lath.names import check_name, shown
from lath_control.client.ctl import Control, NoLattice, opened, read_response
from lath_control.client.models import HostStatus
from lath_control.client.outcome import Outcome

if TYPE_CHECKING:
    from lath_control.client import Client


class Hosts:
    """`client.hosts`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def _control(self) -> Control:
        return self._client.control

    async def ping(self) -> list[HostInfo]:
        """What every host says of itself that answers; those that stay silent are left out."""
        expected = len(self._client.presence.hosts())
        if not expected:
            return []
        return await self._control.every_host(
            "host",
            "ping",
            expected=expected,
            accept=lambda data: parse(HostInfo, _host_info(data), "reply to host.ping"),
            timeout_ms=self._control.timeout_ms,
        )

    async def get(self, host: str) -> HostInventory:
        """The inventory of one host.

        Args:
            host: Its id, its friendly name, or the beginning of either.

        Raises:
            NotFound: There is no such host.
            Unavailable: It is known and does not answer.
        """
        host_id = await self.resolve(host)
        response = await self._control.host(host_id, "host", "get")
        return read_response(HostInventory, response, "inventory")

    async def inventories(self) -> list[HostInventory]:
        """The inventory of every host that answers, by friendly name."""
        return [found for found in (await self._ask_all()).values() if isinstance(found, HostInventory)]

    async def list(self) -> list[HostStatus]:
        """Every host whose presence stands, also those that do not answer."""
        answers = await self._ask_all()
        statuses = []
        for host_id, found in answers.items():
            if isinstance(found, HostInventory):
                statuses.append(_status(found))
            else:
                presence = next(p for p in self._client.presence.hosts() if p.target == host_id)
                statuses.append(
                    HostStatus(
                        id=host_id, friendly_name=presence.name, state="silent", version=presence.version
                    )
                )
        return statuses

    async def _ask_all(self) -> dict[str, HostInventory | LathError]:
        known = sorted(self._client.presence.hosts(), key=lambda p: (p.name, p.target))

        async def one(host_id: str) -> HostInventory | LathError:
            try:
                response = await self._control.host(host_id, "host", "get")
                return read_response(HostInventory, response, "inventory")
            except LathError as e:
                return e

        answers = await asyncio.gather(*(one(p.target) for p in known))
        present = {p.target for p in self._client.presence.hosts()}  # one may have left meanwhile
        return {p.target: a for p, a in zip(known, answers, strict=True) if p.target in present}

    async def resolve(self, host: str) -> str:
        """The id of a host that is named by id, friendly name, or the beginning of either.

        Raises:
            NoLattice: No host is there at all.
            NotFound: None is called so.
            InvalidArgument: Several are.
        """
        check_name(host, "host")
        known = {p.target: p.name for p in self._client.presence.hosts()}
        if host in known:
            return host
        if not known:
            raise NoLattice(
                f"no host is in lattice {self._client.lattice}: start one with 'lath host run' or 'lath up'"
            )
        exact = [host_id for host_id, name in known.items() if name == host]
        found = exact or [i for i, name in known.items() if i.startswith(host) or name.startswith(host)]
        if len(found) == 1:
            return found[0]
        names = ", ".join(sorted(f"{name} ({host_id[:8]}…)" for host_id, name in known.items()))
        if not found:
            raise NotFound(f"there is no host {shown(host)}; there are: {names}")
        raise InvalidArgument(f"host {shown(host)} could be several of: {names}; give more of its name")

    def name_of(self, host_id: str) -> str:
        """A host's friendly name, or its id where it is not known."""
        return next(
            (p.name for p in self._client.presence.hosts() if p.target == host_id and p.name), host_id
        )

    async def stop(self, host: str, *, drain_ms: int | None = None, wait_ms: int | None = None) -> HostStatus:
        """Stops a host: it takes no new calls, finishes what runs, and leaves.

        Args:
            host: Its id or name.
            drain_ms: How long running calls may take; absent: the host's own.
            wait_ms: Wait until it has left; None returns once it has accepted.

        Raises:
            DeadlineExceeded: It did not leave in time.
        """
        host_id = await self.resolve(host)
        status = HostStatus(id=host_id, friendly_name=self.name_of(host_id), state="up", version="")
        async with Outcome(
            self._client.bus, good={"host_stopped"}, bad=(), about=lambda event: event.source == host_id
        ) as outcome:
            await self._control.host(
                host_id, "host", "stop", body=StopHost(host_id=host_id, timeout=drain_ms)
            )
            if wait_ms is not None:
                await outcome.wait(wait_ms)
        return status


class Labels:
    """`client.labels`: the labels of hosts, which auctions and spreads go by."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def get(self, host: str) -> dict[str, str]:
        """The labels of a host, those of its machine (`hostcore.*`) included."""
        return (await self._client.hosts.get(host)).labels

    async def put(self, host: str, key: str, value: str) -> None:
        """Sets a label. `hostcore.*` are the host's own and refused."""
        host_id = await self._client.hosts.resolve(host)
        await self._client.control.host(host_id, "label", "put", body=Label(key=key, value=value))

    async def delete(self, host: str, key: str) -> None:
        """Removes a label; one that is not there is no error."""
        host_id = await self._client.hosts.resolve(host)
        await self._client.control.host(host_id, "label", "del", body=Label(key=key))


def _host_info(data: bytes) -> dict[str, object]:
    response = opened(data)
    return response if isinstance(response, dict) else {}


def _status(inventory: HostInventory) -> HostStatus:
    return HostStatus(
        id=inventory.host_id,
        friendly_name=inventory.friendly_name,
        state="up",
        version=inventory.version,
        uptime_seconds=inventory.uptime_seconds,
        labels=inventory.labels,
        components=tuple(c.id for c in inventory.components),
        providers=tuple(p.id for p in inventory.providers),
    )
