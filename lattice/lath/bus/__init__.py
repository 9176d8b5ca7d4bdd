"""The bus: a connection to NATS, credentials, permissions, and the lattice's buckets."""

from __future__ import annotations

from lath.bus.buckets import BucketStore, ensure_buckets, ensure_stream, stream_config, wait_for_buckets
from lath.bus.client import BusClient
from lath.bus.connection import Bus
from lath.bus.credentials import Credentials
from lath.bus.entry import Entry
from lath.bus.keeper import BucketKeeper
from lath.bus.subscription import Handler, Subscription

__all__ = [
    "BucketKeeper",
    "BucketStore",
    "Bus",
    "BusClient",
    "Credentials",
    "Entry",
    "Handler",
    "Subscription",
    "ensure_buckets",
    "ensure_stream",
    "stream_config",
    "wait_for_buckets",
]
