"""What `lath wit python` writes is what the interface says, and a provider of it is checked by types."""

from __future__ import annotations

import re
import sys
from types import ModuleType
from typing import Any

import pytest

from lath import wit
from lath.errors import InvalidArgument
from lath.provider import Provider
from lath.provider.stubs import abstract_class

INTERFACES = [each.name for package in wit.packages() for each in package.interfaces.values()]
HOSTILE = """
    package test:hostile@1.0.0;
    // a "quote" and a \\ backslash
    interface words {
        enum colour { red, dark-blue }
        flags rights { read, write }
        variant call { none, some(u32) }
        record %record { %list: list<u8>, nested: option<option<u32>>, of: colour }
        resource call-record { constructor(call: u32); get: func() -> call; stop: static func(); }
        resource other { get: func(other: string) -> result<%record>; }
        start: func(call: rights) -> tuple<colour, call>;
        %list: func(class: map<string, u8>) -> result<_, string>;
    }
"""


def written(interface: str, own_wit: str = "") -> dict[str, Any]:
    module = sys.modules["written_by_lath"] = ModuleType("written_by_lath")  # dataclasses look for it there
    exec(compile(abstract_class(wit.load(interface), own_wit), interface, "exec"), vars(module))
    return vars(module)


@pytest.mark.parametrize("interface", INTERFACES)
def test_each_interface_that_ships_with_lath_is_written_as_a_class_that_serves_it(interface: str) -> None:
    """Defining the class compares each of its methods with the WIT."""
    classes = [each for each in written(interface).values() if isinstance(each, type)]
    (cls,) = [each for each in classes if issubclass(each, Provider) and each is not Provider]
    assert {key[3] for key in cls.operations} == set(wit.load(interface).functions)


def test_a_provider_that_forgets_an_operation_cannot_be_made() -> None:
    store = written("wasi:keyvalue/store")["StoreProvider"]
    with pytest.raises(TypeError, match=r"abstract.*list_keys"):
        type("Forgetful", (store,), {})()


def test_a_provider_with_another_signature_is_refused() -> None:
    store = written("wasi:keyvalue/store")["StoreProvider"]

    async def get(self: Any, call: Any, bucket: Any, key: bytes) -> Any: ...

    with pytest.raises(InvalidArgument, match="'key' is annotated"):
        type("Wrong", (store,), {"get": get})


def test_names_that_mean_something_else_in_python_get_out_of_the_way() -> None:
    wit.register(HOSTILE)
    text = abstract_class(wit.load("test:hostile/words"), HOSTILE)
    cls = written("test:hostile/words", HOSTILE)["WordsProvider"]
    assert {key[3]: each.attribute for key, each in cls.operations.items()} == {
        "[constructor]call-record": "new_call_record",
        "[method]call-record.get": "call_record_get",
        "[static]call-record.stop": "stop_",
        "[method]other.get": "other_get",
        "start": "start_",
        "list": "list_",
    }
    assert 'Colour: TypeAlias = Literal["red", "dark-blue"]' in text
    assert "async def other_get(self, call: Call[Held], other_: OtherT, other: str) -> Record:" in text
    assert "async def start_(self, call_: Call[Held], call: Rights) -> tuple[Colour, Call_]:" in text
    assert "async def list_(self, call: Call[Held], class_: dict[str, int]) -> None:" in text
    assert re.search(r"nested: Some\[int \| None\] \| None", text)
