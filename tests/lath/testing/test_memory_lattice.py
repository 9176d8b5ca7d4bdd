"""Several providers, and Python in the place of components, joined in memory."""

from __future__ import annotations

import pytest

from lath.errors import Conflict, LinkNotFound, NotFound
from lath.http import HttpRequest, HttpResponse, WholeBody
from lath.provider import Call, Link, Provider, operation
from lath.testing.memory_keyvalue import STORE, MemoryKeyValue
from lath.testing.memory_lattice import MemoryLattice


class Front(Provider):
    """Asks a component over HTTP, and says what it answered."""

    wit = "package test:front@1.0.0; interface front { ask: func(path: string) -> string; }"
    app: Link

    async def open_source_link(self, link: Link) -> None:
        self.app = link

    @operation("test:front/front")
    async def ask(self, call: Call[None], path: str) -> str:
        response = await self.context.http(self.app, HttpRequest(path_with_query=path))
        body = b"".join([chunk async for chunk in response.body])
        return f"{response.status} {body.decode()}"


async def test_two_providers_of_one_interface_are_reached_by_link_name(memory_lattice: MemoryLattice) -> None:
    cache, store = MemoryKeyValue(), MemoryKeyValue()
    await memory_lattice.start_provider(cache, "cache")
    await memory_lattice.start_provider(store, "store")
    fast = await memory_lattice.link("app", "cache", name="cache")
    slow = await memory_lattice.link("app", "store", "wasi:keyvalue", name="default")
    for linked, value in ((fast, b"1"), (slow, b"2")):
        bucket = await linked.call(STORE, "open", "")
        await linked.call(STORE, "[method]bucket.set", bucket, "key", value)
        assert await linked.call(STORE, "[method]bucket.get", bucket, "key") == value
    assert len(cache.connections) == len(store.connections) == 1


async def test_a_component_that_serves_http_is_a_function(memory_lattice: MemoryLattice) -> None:
    async def app(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, [], WholeBody(f"you asked {request.path_with_query}".encode()))

    await memory_lattice.start_provider(Front(), "front")
    memory_lattice.add_component("app", http=app)
    await memory_lattice.link("front", "app", "wasi:http", interfaces=("incoming-handler",))
    asked = await memory_lattice.link("user", "front")
    assert await asked.call("test:front/front", "ask", "/a?b") == "200 you asked /a?b"


async def test_what_is_not_there_is_named(memory_lattice: MemoryLattice) -> None:
    await memory_lattice.start_provider(MemoryKeyValue(), "kv")
    with pytest.raises(Conflict, match="kv takes part already"):
        memory_lattice.add_component("kv")
    with pytest.raises(NotFound, match="nothing of wasi:blobstore"):
        memory_lattice.put("app", "kv", "wasi:blobstore")
    with pytest.raises(NotFound, match="say which package"):
        memory_lattice.put("app", "nobody")
    lost = await memory_lattice.link("app", "nobody", "wasi:keyvalue", interfaces=("store",))
    with pytest.raises(NotFound, match="start the provider, or add the component"):
        await lost.call(STORE, "open", "")
    memory_lattice.delete(lost.link)
    with pytest.raises(LinkNotFound):
        await lost.call(STORE, "open", "")


async def test_a_component_whose_method_is_not_async_is_refused(memory_lattice: MemoryLattice) -> None:
    class Blocking:
        def open(self, identifier: str) -> None: ...

    with pytest.raises(Exception, match="open of wasi:keyvalue/store is not `async def`"):
        memory_lattice.add_component("app", {"wasi:keyvalue/store": Blocking()})
