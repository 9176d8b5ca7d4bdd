"""What a provider author writes, checked when the class is defined."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from lath.codec import Ok, Record, Resource, Some, Variant
from lath.errors import InvalidArgument, NotFound
from lath.model import Link as StoredLink
from lath.model import Revision
from lath.provider import Call, Link, Provider, operation, resource
from lath.provider.resource import lifter, lower, mentions_handle
from lath.redact import HIDDEN, redacted
from lath.testing.memory_keyvalue import MemoryKeyValue
from lath.wit.types import Handle, ListOf, OptionOf, Primitive, ResultOf

WIT = """
    package test:sdk@0.1.0;
    interface things {
        make-thing: func(name: string, how-many: u32) -> result<u32, string>;
        lambda: func(class: string) -> string;
        resource thing { poke: func(force: u32) -> string; }
    }
"""


class Things(Provider):
    wit = WIT
    interface = "test:sdk/things"

    @operation
    async def make_thing(self, call: Call[None], name: str, how_many: int) -> int:
        return how_many

    @operation(name="lambda")
    async def lambda_(self, call: Call[None], class_: str) -> str:
        return class_

    @operation("test:sdk/things", "[method]thing.poke")
    async def poke(self, call: Call[None], it: Any, force: int) -> str:
        return "ouch"


def test_operations_serve_functions_by_the_methods_names_or_by_those_given() -> None:
    served = {key[3]: operation.attribute for key, operation in Things.operations.items()}
    assert served == {"make-thing": "make_thing", "lambda": "lambda_", "[method]thing.poke": "poke"}
    assert Things.interfaces() == ("test:sdk/things@0.1.0",)


async def test_a_decorated_method_is_still_a_plain_method() -> None:
    call: Any = None
    assert await Things().make_thing(call, "n", 3) == 3


def test_a_subclass_serves_what_its_base_serves_by_its_own_methods() -> None:
    class Louder(Things):
        async def make_thing(self, call: Call[None], name: str, how_many: int) -> int:
            return 2 * how_many

    assert Louder.operations.keys() == Things.operations.keys()


def test_wrong_parameters_are_refused_with_the_wit_beside_them() -> None:
    with pytest.raises(InvalidArgument) as caught:

        class _Wrong(Provider):
            @operation("test:sdk/things")
            async def make_thing(self, call: Call[None], name: str, count: int) -> int:
                return count

    assert "(self, call, name, how_many)" in caught.value.message
    assert "make-thing: func(name: string, how-many: u32)" in caught.value.message


def test_a_missing_parameter_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="make_thing takes"):

        class _Wrong(Provider):
            @operation("test:sdk/things")
            async def make_thing(self, call: Call[None], name: str) -> int:
                return 1


def test_an_unknown_function_is_refused_with_those_that_exist() -> None:
    with pytest.raises(InvalidArgument, match="only make-thing, lambda"):

        class _Wrong(Provider):
            @operation("test:sdk/things")
            async def break_thing(self, call: Call[None]) -> None: ...


def test_an_unknown_interface_is_refused() -> None:
    with pytest.raises(NotFound, match="register its text first"):

        class _Wrong(Provider):
            @operation("test:nowhere/things")
            async def anything(self, call: Call[None]) -> None: ...


def test_an_operation_without_an_interface_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="name the interface"):

        class _Wrong(Provider):
            @operation
            async def anything(self, call: Call[None]) -> None: ...


def test_an_operation_that_is_not_async_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="async def"):

        class _Wrong(Provider):
            @operation("test:sdk/things", "lambda")  # type: ignore[type-var]
            def lambda_(self, call: Call[None], class_: str) -> str:
                return ""


def test_two_methods_for_one_function_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="both serve"):

        class _Wrong(Provider):
            @operation("test:sdk/things", "lambda")
            async def one(self, call: Call[None], class_: str) -> str:
                return ""

            @operation("test:sdk/things", "lambda")
            async def two(self, call: Call[None], class_: str) -> str:
                return ""


def test_a_class_that_is_no_resource_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="no resource"):

        class _Wrong(Provider):
            resources = (int,)


@resource("bucket")
class Bucket:
    identifier: str
    shard: int = 0


BUCKET = Handle("own", "bucket")


def test_a_resource_is_frozen_and_travels_as_bytes() -> None:
    bucket = Bucket("a", 7)
    lift = lifter(BUCKET, {"bucket": Bucket})
    assert lift is not None
    assert lift(lower(bucket)) == bucket
    with pytest.raises(dataclasses.FrozenInstanceError):
        bucket.shard = 1  # type: ignore[misc]


@pytest.mark.parametrize("forged", [b"", b"\xc1", b"\x01", b"\x93\xa1a\x01\x02", b"\x92\xa1a"])
def test_a_handle_that_was_not_minted_here_is_refused(forged: bytes) -> None:
    lift = lifter(BUCKET, {"bucket": Bucket})
    assert lift is not None
    with pytest.raises(InvalidArgument, match="minted"):
        lift(Resource(forged))


def test_resources_are_found_inside_other_values() -> None:
    one, two = Bucket("1"), Bucket("2")
    for value in ([one, two], Ok([one]), Some(one), {"a": one}, Record(a=one, b=[two]), Variant("v", one)):
        lowered = lower(value)
        assert "Bucket(" not in repr(lowered)
        assert "Resource(" in repr(lowered)
    lift = lifter(ListOf(OptionOf(BUCKET)), {"bucket": Bucket})
    assert lift is not None
    assert lift([lower(one), None]) == [one, None]
    assert mentions_handle(ResultOf(ListOf(BUCKET), None))
    assert not mentions_handle(ResultOf(ListOf(Primitive("u8")), Primitive("string")))


def stored(**changes: Any) -> StoredLink:
    record = {
        "source_id": "app", "target": "kv", "wit_namespace": "wasi", "wit_package": "keyvalue",
        "interfaces": ("store",), "incarnation": 1, "revision": Revision(incarnation=1, sequence=1),
        "source_config_values": {"side": "source"}, "target_config_values": {"side": "target"},
    }  # fmt: skip
    return StoredLink.model_validate({**record, **changes})


def test_a_link_shows_the_providers_own_end() -> None:
    as_target, as_source = Link.of(stored(), "kv"), Link.of(stored(), "app")
    assert (as_target.role, as_target.peer, dict(as_target.config)) == ("target", "app", {"side": "target"})
    assert (as_source.role, as_source.peer, dict(as_source.config)) == ("source", "kv", {"side": "source"})


def test_secrets_in_values_are_hidden() -> None:
    values = {
        "url": "nats://user:pass@host:4222,nats://other",
        "password": "x",
        "API_KEY": "x",
        "auth_token": "x",
        "nkey_seed": "x",
        "bucket": "plain",
        "keyspace": "plain",
    }
    assert redacted(values) == {
        "url": f"nats://{HIDDEN}@host:4222,nats://other",
        "password": HIDDEN,
        "API_KEY": HIDDEN,
        "auth_token": HIDDEN,
        "nkey_seed": HIDDEN,
        "bucket": "plain",
        "keyspace": "plain",
    }


def test_the_memory_provider_serves_all_of_keyvalue() -> None:
    assert MemoryKeyValue.interfaces() == (
        "wasi:keyvalue/atomics@0.2.0-draft",
        "wasi:keyvalue/batch@0.2.0-draft",
        "wasi:keyvalue/store@0.2.0-draft",
    )
