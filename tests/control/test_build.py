"""Building components: what is found, what is refused, what the build depends on."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from lath_command import EXAMPLES, run

from lath.errors import InvalidArgument, NotFound
from lath_control.build import build, find_source, only_world, shipped_wit_for


async def test_component_text_becomes_a_component_and_is_kept(tmp_path: Path) -> None:
    first = await build(EXAMPLES / "textstats", output=tmp_path / "one.wasm")
    second = await build(EXAMPLES / "textstats/textstats.wat", output=tmp_path / "two.wasm")
    assert (first.kind, first.cached, second.cached) == ("text", False, True)
    assert first.digest == second.digest
    assert (tmp_path / "one.wasm").read_bytes()[:4] == b"\0asm"


async def test_a_changed_source_is_built_anew(tmp_path: Path) -> None:
    text = tmp_path / "a.wat"
    text.write_text("(component)")
    assert not (await build(text)).cached
    text.write_text("(component (core module))")
    assert not (await build(text)).cached
    assert (await build(text)).cached
    assert not (await build(text, use_cache=False)).cached
    assert (tmp_path / "a.wasm").is_file()


async def test_what_does_not_build_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.wat"
    broken.write_text("(component (nonsense))")
    ran = await run("build", str(broken), "-o", "json")
    assert (ran.code, ran.out) == (2, "")
    assert "nonsense" in ran.err and str(broken) in ran.err
    module = tmp_path / "module.wat"
    module.write_text("(module)")
    with pytest.raises(InvalidArgument, match="core module"):
        await build(module)


@pytest.mark.parametrize("name", ["empty", "two"])
def test_a_folder_with_nothing_to_build_is_refused(tmp_path: Path, name: str) -> None:
    if name == "two":
        (tmp_path / "a.wat").touch()
        (tmp_path / "b.wat").touch()
    with pytest.raises(InvalidArgument, match="nor exactly one"):
        find_source(tmp_path)
    with pytest.raises(NotFound):
        find_source(tmp_path / "missing")


def test_python_needs_its_wit_beside_it(tmp_path: Path) -> None:
    (tmp_path / "app.py").touch()
    with pytest.raises(InvalidArgument, match="no folder wit"):
        find_source(tmp_path)


def test_the_one_world_is_found_and_several_must_be_chosen_from(tmp_path: Path) -> None:
    assert only_world(EXAMPLES / "greeter/wit") == "demo:greeter/greeter"
    (tmp_path / "a.wit").write_text("package a:b;\nworld one {\n}\nworld two {\n}\n")
    with pytest.raises(InvalidArgument, match="one, two; name one with --world"):
        only_world(tmp_path)


def test_the_wit_that_lath_ships_is_found_for_what_is_used(tmp_path: Path) -> None:
    assert [file.name for file in shipped_wit_for(EXAMPLES / "greeter/wit")] == [
        "wasi-keyvalue-0.2.0-draft.wit"
    ]
    assert shipped_wit_for(EXAMPLES / "textstats/wit") == []


def test_the_examples_agree_on_the_interface_between_them() -> None:
    copy = EXAMPLES / "greeter/wit/deps/text/text.wit"
    assert copy.read_text() == (EXAMPLES / "textstats/wit/text.wit").read_text()


@pytest.mark.timeout(300)
async def test_a_package_that_is_not_there_is_named_with_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "wit").mkdir()
    (tmp_path / "wit/a.wit").write_text("package a:b;\nworld w { export f: func(); }\n")
    (tmp_path / "app.py").write_text("import a_package_that_nobody_has\n")
    (tmp_path / "requirements.txt").write_text("a-package-that-nobody-has>=1  # for the test\n")
    with pytest.raises(InvalidArgument, match="a_package_that_nobody_has") as caught:
        await build(tmp_path)
    assert f"pip install -r {tmp_path / 'requirements.txt'}" in caught.value.message


async def test_a_python_component_without_the_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "componentize_py", None)
    (tmp_path / "wit").mkdir()
    (tmp_path / "wit/a.wit").write_text("package a:b;\nworld w {\n}\n")
    (tmp_path / "app.py").touch()
    with pytest.raises(NotFound, match=r"lath\[build\]"):
        async with asyncio.timeout(30):
            await build(tmp_path)
