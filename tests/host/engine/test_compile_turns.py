"""Who compiles what several need at once: one of them, also where they are processes of their own."""

from __future__ import annotations

import fcntl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from wasmtime import Config
from wasmtime import Engine as WasmEngine
from wasmtime import component as stock

from lath_host.engine import compile_cache
from lath_host.engine.compile_cache import CompileCache

SETTINGS = "plain"


class Compiler:
    """Compiles the same component for whoever asks, and counts."""

    def __init__(self, cache: Path) -> None:
        self.engine = WasmEngine(Config())
        self.cache = cache
        self.times = 0
        self.began, self.go_on, self.another = threading.Event(), threading.Event(), threading.Event()

    def component(self, source: str = "digest") -> stock.Component:
        # a cache for each: they share the folder alone, as processes do
        return CompileCache(self.cache).component(self.engine, source, SETTINGS, self._compile)

    def _compile(self) -> stock.Component:
        self.times += 1
        (self.another if self.began.is_set() else self.began).set()
        assert self.go_on.wait(60)
        return stock.Component(self.engine, b"(component)")


@pytest.fixture
def compiler(tmp_path: Path) -> Compiler:
    return Compiler(tmp_path / "cache")


def test_of_those_that_need_a_component_at_once_one_compiles_it(compiler: Compiler) -> None:
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(compiler.component)
        assert compiler.began.wait(60)
        others = [threads.submit(compiler.component) for _ in range(2)]
        assert not compiler.another.wait(0.3)
        compiler.go_on.set()
        assert all(each.result(60) for each in (first, *others))
    assert compiler.times == 1
    assert not list(compiler.cache.glob("*.lock"))


def test_another_component_waits_for_nobody(compiler: Compiler) -> None:
    with ThreadPoolExecutor(2) as threads:
        threads.submit(compiler.component)
        assert compiler.began.wait(60)
        other = threads.submit(compiler.component, "another")
        assert compiler.another.wait(60)
        compiler.go_on.set()
        assert other.result(60)


def test_one_that_stands_still_holds_nobody_up_for_ever(
    compiler: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compile_cache, "WAIT_SECONDS_MAX", 0.2)
    compiler.go_on.set()
    compiler.cache.mkdir()
    lock = compiler.cache / f"digest-{compile_cache._WASMTIME_VERSION}-{SETTINGS}.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert compiler.component()
    assert compiler.times == 1


def test_a_compilation_that_fails_leaves_the_turn_to_the_next(compiler: Compiler) -> None:
    def fail() -> stock.Component:
        raise ValueError("not a component")

    with pytest.raises(ValueError, match="not a component"):
        CompileCache(compiler.cache).component(compiler.engine, "digest", SETTINGS, fail)
    compiler.go_on.set()
    assert compiler.component()
