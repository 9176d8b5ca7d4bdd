"""An operation gets records as the classes that its annotations name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import pytest
from pydantic import BaseModel, Field

from lath.codec import Record, Some
from lath.errors import InvalidArgument
from lath.provider import Call, Provider, operation
from lath.testing.environment import ProviderEnvironment

ORDERS = "test:orders/orders"


@dataclass(frozen=True)
class Item:
    sort: str
    how_many: int

    def __post_init__(self) -> None:
        if self.how_many > 100:
            raise ValueError(f"{self.how_many} are more than there are")


class Order(BaseModel):
    customer: str = Field(max_length=10)
    items: list[Item]
    gift: Item | None


class Pair(NamedTuple):
    sort: str
    how_many: int


class HasSort(Protocol):
    sort: str


class Orders(Provider):
    wit = """
        package test:orders@1.0.0;
        interface orders {
            record item { sort: string, how-many: u32 }
            record order { customer: string, items: list<item>, gift: option<item> }
            take: func(order: order) -> item;
            take-parts: func(
                maybe: option<item>, nested: option<option<item>>, pair: tuple<item, u32>, named: item
            ) -> list<item>;
            take-plain: func(plain: item, anything: item, like: item) -> string;
        }
    """
    interface = ORDERS

    def __init__(self) -> None:
        self.taken: list[Any] = []

    @operation
    async def take(self, call: Call[None], order: Order) -> Item:
        self.taken.append(order)
        return order.items[0]

    @operation
    async def take_parts(
        self,
        call: Call[None],
        maybe: Item | None,
        nested: Some[Item | None] | None,
        pair: tuple[Item, int],
        named: Pair,
    ) -> list[Item]:
        self.taken += [maybe, nested, pair, named]
        return [pair[0]] * pair[1]

    @operation
    async def take_plain(self, call: Call[None], plain: Record, anything: Any, like: HasSort) -> str:
        return f"{type(plain).__name__} {type(anything).__name__} {like.sort}"


ROPE = {"sort": "rope", "how-many": 2}


async def test_records_arrive_as_dataclasses_and_models_those_within_them_too() -> None:
    async with ProviderEnvironment(Orders()) as env:
        linked = await env.link()
        got = await linked.call(ORDERS, "take", {"customer": "Ada", "items": [ROPE], "gift": None})
        assert got == {"sort": "rope", "how_many": 2}
    assert env.provider.taken == [Order(customer="Ada", items=[Item("rope", 2)], gift=None)]


async def test_records_in_options_lists_and_tuples_are_made_into_their_classes() -> None:
    rope = Item("rope", 2)
    async with ProviderEnvironment(Orders()) as env:
        linked = await env.link()
        got = await linked.call(ORDERS, "take-parts", ROPE, Some(ROPE), (ROPE, 3), ROPE)
        assert len(got) == 3
        await linked.call(ORDERS, "take-parts", None, Some(None), (ROPE, 0), ROPE)
        await linked.call(ORDERS, "take-parts", None, None, (ROPE, 0), ROPE)
    assert env.provider.taken == [
        rope, Some(rope), (rope, 3), Pair("rope", 2),
        None, Some(None), (rope, 0), Pair("rope", 2),
        None, None, (rope, 0), Pair("rope", 2),
    ]  # fmt: skip
    assert isinstance(env.provider.taken[3], Pair)


async def test_what_a_class_refuses_is_an_invalid_argument_with_its_reason() -> None:
    async with ProviderEnvironment(Orders()) as env:
        linked = await env.link()
        with pytest.raises(InvalidArgument, match="Order: customer"):
            await linked.call(ORDERS, "take", {"customer": "A" * 11, "items": [ROPE], "gift": None})
        many = {**ROPE, "how-many": 101}
        with pytest.raises(InvalidArgument, match="Item: 101 are more than there are"):
            await linked.call(ORDERS, "take", {"customer": "Ada", "items": [many], "gift": None})
    assert env.provider.taken == []


async def test_what_is_annotated_with_no_class_stays_a_record() -> None:
    async with ProviderEnvironment(Orders()) as env:
        linked = await env.link()
        assert await linked.call(ORDERS, "take-plain", ROPE, ROPE, ROPE) == "Record Record rope"
