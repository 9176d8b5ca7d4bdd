"""One instance holds a thousand links, also of the providers that have no server behind them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lath.bus import Bus
from lath.errors import LinkFailed
from lath.model import LinkSelector
from lath.provider import Provider
from lath.server import Server
from lath.testing import eventually
from lath.testing.blobstore import create
from lath.testing.keyvalue_contract import STORE, Opened
from lath.testing.messaging import Sends
from lath.testing.provider import Linked, ProviderTest
from lath_providers.blobstore_fs import BlobstoreFs
from lath_providers.blobstore_memory import BlobstoreMemory
from lath_providers.keyvalue_memory import KeyValueMemory
from lath_providers.messaging_memory import MessagingMemory

LINKS = 1_000
MANY_S = 90.0
ALL = LinkSelector()


async def use_keyvalue(linked: Linked) -> None:
    bucket = Opened(linked, await linked.call(STORE, "open", ""))
    assert await bucket.get("key") is None  # nobody else's
    await bucket.set("key", b"1")


async def use_blobstore(linked: Linked) -> None:
    container = await create(linked, "things")
    assert await container.names() == []
    await container.write("object", b"1")


async def use_messaging(linked: Linked) -> None:
    await Sends(linked).publish("orders")


@pytest.mark.parametrize(
    ("provider", "use"),
    [
        (KeyValueMemory, use_keyvalue),
        (BlobstoreMemory, use_blobstore),
        (BlobstoreFs, use_blobstore),
        (MessagingMemory, use_messaging),
    ],
)
async def test_an_instance_holds_a_thousand_links_and_lets_them_all_go(
    bus: Bus, nats_server: Server, tmp_path: Path, provider: type[Provider], use
) -> None:
    config = {"root": str(tmp_path)} if provider is BlobstoreFs else {}
    async with ProviderTest(bus, provider(), nats_url=nats_server.url) as test:
        links = await test.put_many(LINKS, config)

        def all_are(state: str) -> bool:
            assert Counter(each.state for each in test.instance.held(ALL)) == {state: LINKS}
            return True

        await eventually(lambda: all_are("active"), MANY_S)
        some = [test.by(link) for link in links[:: LINKS // 20]]
        for linked in some:
            await use(linked)
        await test.instance.purge(ALL, hold=True)
        await eventually(lambda: all_are("purged"), MANY_S)
        with pytest.raises(LinkFailed, match="purged"):
            await use(some[0])
