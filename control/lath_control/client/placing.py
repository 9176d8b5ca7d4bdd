"""Chooses the host for a start: the one that is named, or the winner of an auction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from lath.errors import Unavailable
from lath.model import AuctionRequest, Ctl, HostInventory, parse
from lath_control.client.ctl import NoLattice, opened

if TYPE_CHECKING:
    from lath_control.client import Client

AUCTION_MS: Final = 2_000
"""How long bids are waited for when fewer come than hosts have the labels."""


class _Bid(BaseModel):
    model_config = ConfigDict(extra="ignore")

    host_id: str


async def place_component(
    client: Client, *, ref: str, component_id: str, constraints: Mapping[str, str]
) -> str:
    """The id of the host that an auction for a component gives it to: of the bidders, the least busy one."""
    request = AuctionRequest(component_ref=ref, component_id=component_id, constraints=dict(constraints))
    return await _auction(client, "component", component_id, constraints, request)


async def place_provider(
    client: Client, *, ref: str, provider_id: str, constraints: Mapping[str, str]
) -> str:
    """Likewise for a provider."""
    request = AuctionRequest(provider_ref=ref, provider_id=provider_id, constraints=dict(constraints))
    return await _auction(client, "provider", provider_id, constraints, request)


async def _auction(
    client: Client, kind: str, wanted: str, constraints: Mapping[str, str], request: Ctl
) -> str:
    hosts = {inventory.host_id: inventory for inventory in await client.hosts.inventories()}
    if not hosts:
        raise NoLattice(
            f"no host is in lattice {client.lattice}: start one with 'lath host run' or 'lath up'"
        )
    able = [inventory for inventory in hosts.values() if _may_bid(inventory, wanted, constraints)]
    bids = await client.control.every_host(
        kind,
        "auction",
        body=request,
        expected=len(able),
        accept=lambda data: parse(_Bid, _as_dict(opened(data)), "bid"),
        timeout_ms=AUCTION_MS if able else 1,
    )
    if not bids:
        raise Unavailable(_no_bid(kind, wanted, constraints, hosts))
    return min((bid.host_id for bid in bids), key=lambda host_id: (_load(hosts.get(host_id)), host_id))


def _as_dict(response: object) -> dict[str, object]:
    return response if isinstance(response, dict) else {}


def _runs(inventory: HostInventory, wanted: str) -> bool:
    ids = [component.id for component in inventory.components]
    return wanted in ids + [provider.id for provider in inventory.providers]


def _may_bid(inventory: HostInventory, wanted: str, constraints: Mapping[str, str]) -> bool:
    labelled = all(inventory.labels.get(key) == value for key, value in constraints.items())
    return labelled and not _runs(inventory, wanted)


def _load(inventory: HostInventory | None) -> int:
    return len(inventory.components) + len(inventory.providers) if inventory else 0


def _no_bid(
    kind: str, wanted: str, constraints: Mapping[str, str], hosts: Mapping[str, HostInventory]
) -> str:
    running = [inventory.friendly_name for inventory in hosts.values() if _runs(inventory, wanted)]
    labels = ", ".join(f"{key}={value}" for key, value in constraints.items())
    reasons = []
    if running:
        reasons.append(f"already running on {', '.join(sorted(running))}")
    if labels:
        reasons.append(f"the labels asked for are {labels}")
    why = f" ({'; '.join(reasons)})" if reasons else ""
    return f"no host bids for {kind} {wanted}{why}: name one with --host, or see 'lath get hosts'"
