"""Resources in fused components: a callee's own are one for all parts, and never leave them."""

from __future__ import annotations

from typing import Any

import pytest
from engine_guests import BUCKETS
from fuse_calls import JOINED_ATOMICS, JOINED_STORE, Answers, call, fused
from fuse_components import ATOMICS, GIVER, KEEPER, MEASURER, SIZER, STORE, USER
from msgpack import ExtType

from lath_host.engine import Engine
from lath_host.engine.compose.fuse import CannotFuse
from lath_host.engine.linkage import Import


async def test_a_resource_of_the_callee_is_opened_lent_given_away_and_dropped(either: Engine) -> None:
    counting = USER.replace(
        b'(export "open"', b'(export "dropped" (func (result u32))) (export "open"', 1
    ).replace(b"(core func $drop", b'(export "dropped" (func $store "dropped")) (core func $drop', 1)
    outcome = fused({"user": counting, "keeper": KEEPER}, JOINED_STORE, JOINED_ATOMICS)
    assert not outcome.imports
    calls: list[tuple[str, str, list[Any]]] = [
        ("", "read", ["täg"]), ("", "give-away", ["b"]), ("", "measure", ["four"]), ("", "hoard", ["kept"]),
        ("", "dropped", []),
    ]  # fmt: skip
    assert await call(either, outcome, calls * 2) == ["täg", None, 4, None, 3, "täg", None, 4, None, 6]


@pytest.mark.parametrize("alone", [JOINED_STORE, JOINED_ATOMICS])
def test_a_resource_that_two_sides_would_know_differently_is_refused(
    alone: tuple[str, str, str, str],
) -> None:
    with pytest.raises(CannotFuse, match=r"user: the import lath:test/atomics@1.0.0.*resource"):
        fused({"user": USER, "keeper": KEEPER}, alone)


PASSED_ON = [
    BUCKETS,
    GIVER.replace(b"<exported>", b'(export "bucket" (type $bucket)) (export "take" (func $take))'),
    GIVER.replace(b"<exported>", b'(export "take" (func $take))'),
    GIVER.replace(b"<exported>", b'(export "judge" (func $judge))'),
    GIVER.replace(b"<exported>", b'(export "state" (type $state))'),
]


@pytest.mark.parametrize("source", PASSED_ON, ids=["world", "type", "function", "within", "named"])
def test_a_caller_that_passes_the_callees_resources_on_to_its_own_callers_is_refused(source: bytes) -> None:
    joins = [JOINED_STORE, JOINED_ATOMICS] if source is BUCKETS else [JOINED_STORE]
    with pytest.raises(CannotFuse, match=r"user: the export .* passes on resources of lath:test/store@1.0.0"):
        fused({"user": source, "keeper": KEEPER}, *joins)


async def test_types_beside_a_callees_resources_may_be_passed_on(either: Engine) -> None:
    giver = GIVER.replace(b"<exported>", b"")
    outcome = fused({"user": giver, "keeper": KEEPER}, JOINED_STORE)
    compiled, alone = await either.compile(outcome.source), await either.compile(giver)
    assert compiled.world.exports == alone.world.exports
    assert not any(each.functions or each.resources for each in compiled.world.imports.values())
    assert await call(either, outcome, [("", "sigh", ["calm"])]) == ["cross"]


async def test_a_resource_is_one_for_all_parts_that_have_it_from_one_callee(either: Engine) -> None:
    parts = {"user": USER, "sizer": SIZER, "keeper": KEEPER}
    outcome = fused(
        parts, JOINED_STORE, ("user", ATOMICS, "sizer", ATOMICS), ("sizer", STORE, "keeper", STORE)
    )
    assert await call(either, outcome, [("", "measure", ["four"])]) == [4]


async def test_imports_of_a_callee_that_use_each_others_resources_still_do(either: Engine) -> None:
    outcome = fused({"a": MEASURER, "b": USER}, ("a", "measure", "b", "measure"))
    assert sorted(outcome.imports.values()) == [("a", STORE), ("b", ATOMICS), ("b", STORE)]

    def answer(import_: Import, params: list[Any]) -> Any:
        if import_.function == "open":
            return {"ok": ExtType(1, params[0].encode())}
        return len(params[0].data)

    answers = Answers(answer)
    assert await call(either, outcome, [("", "measure", ["four"])], answers) == [4]
    assert [outcome.imports[name] for name, _ in answers.asked] == [("b", STORE), ("b", ATOMICS)]
