"""Compiling: what a component says about itself, the cache on disk, and what cannot be run."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from pathlib import Path

import pytest
from engine_guests import MISCHIEF, no_imports

from lath.codec import ComponentHandle
from lath.errors import InvalidArgument
from lath.testing import eventually
from lath.wit.types import Func, Primitive
from lath_host.engine import Engine
from lath_host.engine.digests import digest_of, digest_of_file
from lath_host.engine.limits import Limits
from lath_host.engine.linkage import CallContext, Import
from lath_host.engine.pool import InstancePool

CONTEXT = CallContext()
TINY = b"(component)"
LABELLED = b"""
(component
  (import "other-cache" (implements "lath:test/cache@0.3.0") (instance $cache
    (export "size" (func (result u32)))))
  (core func $size (canon lower (func $cache "size")))
  (core module $guest (import "" "size" (func $size (result i32))) (export "size" (func $size)))
  (core instance $guest (instantiate $guest (with "" (instance (export "size" (func $size))))))
  (func (export "size") (result u32) (canon lift (core func $guest "size"))))
"""
OWN_RESOURCE = b"""
(component
  (type $thing (resource (rep i32)))
  (export $thing-out "thing" (type $thing))
  (core func $new (canon resource.new $thing))
  (core module $guest
    (import "" "new" (func $new (param i32) (result i32)))
    (func (export "make") (result i32) (call $new (i32.const 7)))
    (func (export "seven") (result i32) (i32.const 7)))
  (core instance $guest (instantiate $guest (with "" (instance (export "new" (func $new))))))
  (func (export "make") (result (own $thing-out)) (canon lift (core func $guest "make")))
  (func (export "seven") (result u32) (canon lift (core func $guest "seven"))))
"""


async def test_a_component_says_what_it_imports_and_exports(engine: Engine) -> None:
    compiled = await engine.compile(MISCHIEF)
    assert compiled.digest == hashlib.sha256(MISCHIEF).hexdigest()
    assert compiled.size_bytes == len(MISCHIEF)
    assert list(compiled.world.imports) == ["lath:test/far@1.0.0"]
    exported = compiled.world.exports["lath:test/mischief@1.2.0"]
    assert exported.functions["count"] == Func((), Primitive("u32"))


async def test_a_label_chooses_the_link_and_names_what_it_implements(engine: Engine) -> None:
    seen: list[Import] = []

    async def answer(import_: Import, context: CallContext, params: list[object]) -> int:
        seen.append(import_)
        return 5

    compiled = await engine.compile(LABELLED)
    assert compiled.world.imports["other-cache"].label == "other-cache"
    async with InstancePool(engine, compiled, Limits(), answer, name="labelled") as pool:
        assert await pool.call("", "size", [], context=CONTEXT) == 5
    (import_,) = seen
    assert (import_.name, import_.link_name) == ("other-cache", "other-cache")
    assert import_.interface.name == "lath:test/cache@0.3.0"


async def test_a_resource_of_the_world_itself_goes_with_its_instance(engine: Engine) -> None:
    compiled = await engine.compile(OWN_RESOURCE)
    async with InstancePool(engine, compiled, Limits(), no_imports, name="things") as pool:
        thing = ComponentHandle.parse((await pool.call("", "make", [], context=CONTEXT)).data)
        assert await pool.call("", "seven", [], context=CONTEXT) == 7
        pool.release([thing.token])
        await eventually(lambda: pool.stats.pinned == 0)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"nonsense", "not a component"),
        (b"", "not a component"),
        (b"\0asm\x0d\0\x01\0cut off", "not a component"),
        (b"(module)", "exports no function '_start'"),
        (b"\xff\xfe", "not a component"),
    ],
)
async def test_what_is_no_component_is_refused_with_the_reason(
    engine: Engine, source: bytes, reason: str
) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        await engine.compile(source)


USES_STREAM = b"""
(component
  (import "wasi:io/streams@0.2.0" (instance $streams (export "input-stream" (type (sub resource)))))
  (alias export $streams "input-stream" (type $stream))
  (import "lath:test/bodies@1.0.0" (instance
    (alias outer 1 $stream (type $s)) (export "input-stream" (type $t (eq $s)))
    (export "send" (func (param "body" (own $t)))))))
"""
WORLD_RESOURCE = b'(component (import "thing" (type (sub resource))))'
MODULE_IMPORT = b'(component (import "code" (core module)))'
STREAM_IMPORT = (
    b'(component (import "lath:test/far@1.0.0" (instance (export "f" (func (param "s" (stream u8)))))))'
)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (USES_STREAM, r"lath:test/bodies@1\.0\.0 send cannot be linked: it uses input-stream"),
        (WORLD_RESOURCE, "thing cannot be linked: it is a resource of the world"),
        (MODULE_IMPORT, "code cannot be linked: it is a component or core module"),
        (STREAM_IMPORT, "a stream"),
    ],
)
async def test_an_import_that_cannot_be_carried_keeps_a_component_from_starting(
    engine: Engine, source: bytes, reason: str
) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        InstancePool(engine, await engine.compile(source), Limits(), no_imports, name="x")


async def compile_in(cache: Path) -> None:
    # without slots, which are had only while there is address space: another engine names other files
    async with Engine(cache_dir=cache, threads=1, instances_max=None) as engine:
        compiled = await engine.compile(MISCHIEF)
        async with InstancePool(engine, compiled, Limits(), no_imports, name="mischief") as pool:
            assert await pool.call("lath:test/mischief@1.2.0", "hello", ["x"], context=CONTEXT) == "x"


def kept(cache: Path, kind: str) -> Path:
    (path,) = cache.glob(f"*.{kind}")
    return path


def has_mark(cache: Path) -> bool:
    return any(cache.glob("*.mark"))


async def test_a_compiled_component_is_kept_on_disk_with_its_description_and_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    await compile_in(cache)
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert set(before) == {kept(cache, "cwasm"), kept(cache, "json"), kept(cache, "mark")}
    with monkeypatch.context() as patched:
        patched.setattr("lath_host.engine.engine.reflect", never)
        patched.setattr("lath_host.engine.engine.components_around", never)
        await compile_in(cache)
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == before


def never(*_: object) -> None:
    raise AssertionError("it is kept on disk")


async def test_a_compiled_file_that_was_not_written_since_is_not_hashed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await compile_in(tmp_path)
    monkeypatch.setattr("lath_host.engine.compile_cache.digest_of_file", never)
    await compile_in(tmp_path)


@pytest.mark.parametrize("change", ["another boot", "no mark", "damaged mark", "touched", "a copy"])
async def test_a_compiled_file_is_hashed_where_its_mark_does_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    await compile_in(tmp_path)
    path, mark = kept(tmp_path, "cwasm"), kept(tmp_path, "mark")
    if change == "another boot":
        monkeypatch.setattr("lath_host.engine.marks._boot", lambda: "started anew")
    elif change == "no mark":
        mark.unlink()
    elif change == "damaged mark":
        mark.write_bytes(b"\xff")
    elif change == "touched":
        path.touch()
    else:
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)
    hashed: list[Path] = []

    def hash_it(file: Path) -> str:
        hashed.append(file)
        return digest_of_file(file)

    monkeypatch.setattr("lath_host.engine.compile_cache.digest_of_file", hash_it)
    await compile_in(tmp_path)
    await compile_in(tmp_path)
    assert hashed == [path], "once: then it has a mark again"


async def test_a_file_changed_under_its_old_time_and_size_is_made_anew(tmp_path: Path) -> None:
    await compile_in(tmp_path)
    path = kept(tmp_path, "cwasm")
    good, times = path.read_bytes(), path.stat()
    path.write_bytes(damaged(good, "byte in the middle"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    await compile_in(tmp_path)
    assert digest_of_file(kept(tmp_path, "cwasm")) in kept(tmp_path, "cwasm").name


async def test_where_the_machines_start_has_no_name_no_file_has_a_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lath_host.engine.marks._boot", lambda: "")
    await compile_in(tmp_path)
    await compile_in(tmp_path)
    assert not has_mark(tmp_path)


async def test_only_its_own_user_may_look_into_the_cache(tmp_path: Path) -> None:
    await compile_in(tmp_path / "cache")
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["cwasm", "json"])
@pytest.mark.parametrize("damage", ["cut", "emptied", "first byte", "byte in the middle", "last byte"])
async def test_a_damaged_file_is_made_anew_and_named_in_the_log(
    tmp_path: Path, kind: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    await compile_in(tmp_path)
    path = kept(tmp_path, kind)
    good = path.read_bytes()
    path.write_bytes(damaged(good, damage))
    await compile_in(tmp_path)
    assert any("damaged" in each.getMessage() and path.name in each.getMessage() for each in caplog.records)
    replaced = kept(tmp_path, kind)
    assert digest_of_file(replaced) in replaced.name
    assert len(replaced.read_bytes()) == len(good)


def damaged(data: bytes, damage: str) -> bytes:
    if damage == "cut":
        return data[: len(data) // 2]
    if damage == "emptied":
        return b""
    changed = bytearray(data)
    at = {"first byte": 0, "byte in the middle": len(data) // 2, "last byte": -1}[damage]
    changed[at] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    ("kind", "foreign"),
    [
        ("cwasm", b"another program's file"),
        ("json", b"another program's file"),
        ("json", b"[1, 2]"),
        ("json", b'{"sha256": "0", "types": {"types": [["stranger"]]}}'),
    ],
)
async def test_a_foreign_file_with_a_right_name_is_made_anew(
    tmp_path: Path, kind: str, foreign: bytes
) -> None:
    await compile_in(tmp_path)
    path = kept(tmp_path, kind)
    good = path.read_bytes()
    path.unlink()
    name = path.name.removesuffix(path.suffixes[-2] + path.suffixes[-1])
    (tmp_path / f"{name}.{digest_of(foreign)}.{kind}").write_bytes(foreign)
    await compile_in(tmp_path)
    assert len(kept(tmp_path, kind).read_bytes()) == len(good)


async def test_what_is_kept_is_for_the_hosts_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    await compile_in(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


async def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    await compile_in(tmp_path / "file")


async def test_engines_side_by_side_share_a_cache(tmp_path: Path) -> None:
    await asyncio.gather(*(compile_in(tmp_path) for _ in range(3)))


WORLD_LEVEL = b"""
(component
  (import "double" (func $double (param "n" u32) (result u32)))
  (core func $double (canon lower (func $double)))
  (core module $guest
    (import "" "double" (func $double (param i32) (result i32)))
    (export "twice" (func $double)))
  (core instance $guest (instantiate $guest (with "" (instance (export "double" (func $double))))))
  (func (export "twice") (param "n" u32) (result u32) (canon lift (core func $guest "twice"))))
"""


async def test_functions_of_the_world_itself_are_imported_and_exported(engine: Engine) -> None:
    async def answer(import_: Import, context: CallContext, params: list[int]) -> int:
        assert (import_.name, import_.function) == ("", "double")
        return 2 * params[0]

    compiled = await engine.compile(WORLD_LEVEL)
    async with InstancePool(engine, compiled, Limits(), answer, name="world") as pool:
        assert await pool.call("", "twice", [21], context=CONTEXT) == 42


async def test_what_wasmtime_refuses_is_refused_at_the_start_with_its_reason(engine: Engine) -> None:
    source = b'(component (import "wasi:random/random@0.2.0" (instance (export "dice" (func (result u32))))))'
    compiled = await engine.compile(source)
    async with InstancePool(engine, compiled, Limits(), no_imports, name="dice") as pool:
        with pytest.raises(InvalidArgument, match=r"dice does not start: .*wasi:random/random@0\.2\.0"):
            await pool.start()
