"""Builds components from source: Python through componentize-py, component text through wasmtime.

A folder with one `.wat` file is component text; one with `app.py` and `wit/` is a Python component. The WIT
that lath ships (`wasi:keyvalue`, …) is there without a copy: `wit/deps` is for other packages. What
`app.py` imports is taken from where lath is installed; `requirements.txt` beside it says what that takes.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import wasmtime
from pydantic import BaseModel, ConfigDict

from lath import wit
from lath.errors import Internal, InvalidArgument, NotFound
from lath_control.paths import cache_dir

BUILD_SECONDS_MAX: Final = 300
"""componentize-py takes 5 s; a machine on which it takes 60 times as long has another problem."""
SHIPPED_WIT: Final = Path(wit.__file__).parent
_PACKAGE: Final = re.compile(r"^\s*package\s+([a-z][\w-]*:[\w-]+)(?:@[^;\s]+)?\s*;", re.MULTILINE)
_USED: Final = re.compile(r"\b([a-z][\w-]*:[a-z][\w-]*)/")
_WORLD: Final = re.compile(r"^\s*world\s+([a-z][\w-]*)\s*\{", re.MULTILINE)
_REQUIREMENTS: Final = "requirements.txt"
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*")
"""Of a distribution, as the lines of that file begin with."""
_ERROR_LINES_MAX: Final = 30


class Built(BaseModel):
    """A component that was built.

    Attributes:
        path: Where it is.
        digest: The sha256 of its bytes.
        cached: Whether an earlier build of the same source was used.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["python", "text"]
    source: str
    path: str
    size_bytes: int
    digest: str
    cached: bool = False


class Source(BaseModel):
    """What is to be built."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["python", "text"]
    path: Path
    module: str = ""

    @property
    def name(self) -> str:
        return self.path.stem if self.kind == "text" else self.path.name

    @property
    def default_output(self) -> Path:
        folder = self.path.parent if self.kind == "text" else self.path
        return folder / f"{self.name}.wasm"


def find_source(path: Path) -> Source:
    """What there is to build in a folder, or at a `.wat` or `.py` file.

    Raises:
        NotFound: Nothing is there.
        InvalidArgument: What is there is of no known kind.
    """
    path = path.expanduser().resolve()
    if not path.exists():
        raise NotFound(f"there is no {path}: give a component's folder or its .wat file")
    if path.is_file():
        if path.suffix == ".wat":
            return Source(kind="text", path=path)
        if path.suffix == ".py":
            return _python(path)
        raise InvalidArgument(f"{path} is neither component text (.wat) nor Python (.py)")
    texts = sorted(path.glob("*.wat"))
    if (path / "app.py").is_file():
        return _python(path / "app.py")
    if len(texts) == 1:
        return Source(kind="text", path=texts[0])
    raise InvalidArgument(f"{path} has neither an app.py nor exactly one .wat file: name the file to build")


def _python(module: Path) -> Source:
    if not (module.parent / "wit").is_dir():
        raise InvalidArgument(f"{module} has no folder wit beside it: put its world there")
    return Source(kind="python", path=module.parent, module=module.stem)


async def build(
    path: Path, *, output: Path | None = None, world: str | None = None, use_cache: bool = True
) -> Built:
    """Builds one component.

    Args:
        path: A folder, or a `.wat` or `.py` file.
        output: Where to; by default `{name}.wasm` beside the source.
        world: The world of a Python component; needed where its WIT has several.
        use_cache: Take an earlier build of exactly this source, where there is one.

    Raises:
        NotFound, InvalidArgument: Nothing is there, or it does not build, for the reason given.
        Internal: The compiler itself failed to run.
    """
    source = await asyncio.to_thread(find_source, path)
    output = await asyncio.to_thread((output or source.default_output).resolve)
    fingerprint = await asyncio.to_thread(_fingerprint, source, world)
    kept = cache_dir() / "built" / f"{fingerprint}.wasm"
    cached = use_cache and await asyncio.to_thread(kept.is_file)
    if not cached:
        data = await (_build_text(source) if source.kind == "text" else _build_python(source, world))
        await asyncio.to_thread(_write, kept, data)
    data = await asyncio.to_thread(kept.read_bytes)
    await asyncio.to_thread(_write, output, data)
    return Built(
        kind=source.kind,
        source=str(source.path),
        path=str(output),
        size_bytes=len(data),
        digest=hashlib.sha256(data).hexdigest(),
        cached=cached,
    )


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


def _fingerprint(source: Source, world: str | None) -> str:
    """Of everything that the result depends on: sources, WIT, and the compilers' versions."""
    digest = hashlib.sha256(f"{source.kind} {source.module} {world} {sys.version_info[:2]}".encode())
    digest.update(f"wasmtime {_version('wasmtime')} componentize-py {_version('componentize-py')}".encode())
    for name in _required(source):
        digest.update(f"\0{name} {_version(name)}".encode())
    for file in _source_files(source):
        data = file.read_bytes()
        digest.update(f"\0{file.name}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()


def _source_files(source: Source) -> list[Path]:
    if source.kind == "text":
        return [source.path]
    own = [p for p in sorted(source.path.rglob("*")) if p.suffix in (".py", ".wit") and p.is_file()]
    return own + shipped_wit_for(source.path / "wit")


def _required(source: Source) -> list[str]:
    """The distributions that a Python component needs, by its requirements.txt."""
    file = source.path / _REQUIREMENTS
    if source.kind == "text" or not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8").splitlines()
    return [match[0] for line in lines if (match := _NAME.match(line))]


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "none"


async def _build_text(source: Source) -> bytes:
    text = await asyncio.to_thread(source.path.read_text, encoding="utf-8")
    try:
        data = bytes(await asyncio.to_thread(wasmtime.wat2wasm, text))
    except wasmtime.WasmtimeError as e:
        raise InvalidArgument(f"{source.path} is no component text: {e}") from None
    if data[4:8] == b"\x01\0\0\0":
        raise InvalidArgument(f"{source.path} is a core module: wrap it into (component …)")
    return data


async def _build_python(source: Source, world: str | None) -> bytes:
    if await asyncio.to_thread(importlib.util.find_spec, "componentize_py") is None:
        raise NotFound("componentize-py is not installed: pip install 'lath[build]'")
    wit_folder = source.path / "wit"
    chosen = await asyncio.to_thread(only_world, wit_folder) if world is None else world
    shipped = await asyncio.to_thread(shipped_wit_for, wit_folder)
    output = cache_dir() / "built" / f".{source.name}.{os.getpid()}.{id(source)}.wasm"
    await asyncio.to_thread(output.parent.mkdir, parents=True, exist_ok=True)
    arguments = [argument for file in shipped for argument in ("-d", str(file))]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import sys; from componentize_py import script; sys.exit(script())",
        *arguments, "-d", str(wit_folder), "-w", chosen,
        "componentize", "-p", str(source.path), "-o", str(output), source.module,
        cwd=source.path,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=_environment(),
    )  # fmt: skip
    try:
        async with asyncio.timeout(BUILD_SECONDS_MAX):
            said, _ = await process.communicate()
    except TimeoutError:
        raise Internal(f"componentize-py did not end within {BUILD_SECONDS_MAX} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        reason = _reason(said.decode(errors="replace"))
        required: list[str] = await asyncio.to_thread(_required, source)
        if required and "ModuleNotFoundError" in reason:
            reason += f"\nwhat is missing: pip install -r {source.path / _REQUIREMENTS}"
        raise InvalidArgument(f"{source.path} does not build: {reason}")
    data = await asyncio.to_thread(output.read_bytes)
    await asyncio.to_thread(output.unlink)
    return data


def _environment() -> dict[str, str]:
    # Bytecode beside the author's sources is not wanted. componentize-py takes packages from the environment
    # that is active: that shall be the one that it runs in itself.
    ours = {"VIRTUAL_ENV": sys.prefix} if sys.prefix != sys.base_prefix else {}
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **ours}


def _reason(said: str) -> str:
    lines = said.partition("Stack backtrace:")[0].rstrip().splitlines()
    return "\n".join(lines[-_ERROR_LINES_MAX:]) or "componentize-py gave no reason"


def only_world(wit_folder: Path) -> str:
    """The one world of a folder's own package.

    Raises:
        InvalidArgument: There is none, or several.
    """
    texts = [file.read_text(encoding="utf-8") for file in sorted(wit_folder.glob("*.wit"))]
    worlds = [world for text in texts for world in _WORLD.findall(text)]
    package = next((match for text in texts for match in _PACKAGE.findall(text)), None)
    if len(worlds) != 1 or package is None:
        listed = ", ".join(worlds) or "none"
        raise InvalidArgument(f"{wit_folder} has these worlds: {listed}; name one with --world")
    return f"{package}/{worlds[0]}"


def shipped_wit_for(wit_folder: Path) -> list[Path]:
    """The files of lath's own WIT that a folder's WIT uses and does not carry itself, the used ones first."""
    shipped: dict[str, list[Path]] = {}
    for file in sorted(SHIPPED_WIT.rglob("*.wit")):
        for package in _packages([file]):
            shipped.setdefault(package, []).append(file)
    own = sorted(wit_folder.rglob("*.wit"))
    seen = _packages(own)
    order: list[Path] = []

    def need(file: Path) -> None:
        for package in sorted(set(_USED.findall(file.read_text(encoding="utf-8")))):
            if package not in seen:
                seen.add(package)
                for found in shipped.get(package, []):
                    need(found)
                    order.append(found)

    for file in own:
        need(file)
    return order


def _packages(files: Iterable[Path]) -> set[str]:
    return {match for file in files for match in _PACKAGE.findall(file.read_text(encoding="utf-8"))}
