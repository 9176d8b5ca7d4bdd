"""`lath new provider` makes a project that works as it is; `lath wit` shows what a provider can serve."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import get_type_hints

import pytest
from typer.testing import CliRunner

import lath as lath_package
from lath import wit
from lath.bus import Bus
from lath.errors import InvalidArgument, LathError
from lath.links import LinkStore
from lath.model import LinkSpec
from lath.provider import Link
from lath.provider.outgoing import OutgoingCalls
from lath.server import Server
from lath.testing import eventually
from lath_control.cli import make_app
from lath_control.scaffold import new_provider

OWN_WIT = """
package acme:colours@1.0.0;
interface colours {
    enum shade { light, dark }
    record colour { red: u8, shade: shade }
    resource palette { find: func(name: string) -> result<option<colour>, string>; }
    open: func(name: string) -> palette;
}
"""
SHELF_WIT = """
package example:acme-shelf@0.1.0;
interface acme-shelf { greet: func(name: string) -> result<string, string>; }
"""
"""As a guest has it that was built against the provider."""
CHECKED = Path(tempfile.gettempdir()) / "lath-test-types"
"""What the type checker knows of lath and what it imports: it takes half a minute to find out, and checks
again what has changed since."""


def lath(*arguments: str) -> tuple[int, str, str]:
    ran = CliRunner().invoke(make_app(), arguments)
    return ran.exit_code, ran.stdout, ran.stderr


def environment(project: Path) -> dict[str, str]:
    """As where the project and lath are installed."""
    joined = os.pathsep.join([str(project / "src"), str(Path(lath_package.__file__).parents[1])])
    return {**os.environ, "PYTHONPATH": joined, "MYPYPATH": joined}


def run_in(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=project, env=environment(project), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=200, check=False,
    )  # fmt: skip


def passes_its_own_tests(project: Path) -> None:
    tests = run_in(project, "pytest", "-q", "-p", "no:cacheprovider")
    assert tests.returncode == 0, tests.stdout
    assert "passed" in tests.stdout


@pytest.mark.timeout(300)
def test_new_projects_pass_their_tests_and_strict_type_checks_which_find_a_wrong_operation(
    tmp_path: Path,
) -> None:
    """One test, since the type checker takes long over lath itself the first time."""
    code, out, _ = lath("new", "provider", "acme-shelf", "--into", str(tmp_path))
    assert (code, "AcmeShelf serves example:acme-shelf/acme-shelf" in out) == (0, True)
    passes_its_own_tests(tmp_path / "acme-shelf")

    file = tmp_path / "colours.wit"
    file.write_text(OWN_WIT)
    options = (
        "--interface",
        "acme:colours/colours",
        "--wit",
        str(file),
        "--into",
        str(tmp_path),
        "-o",
        "json",
    )
    code, out, err = lath("new", "provider", "rainbow", *options)
    assert code == 0, err
    made = json.loads(out)
    assert (made["provider"], made["interface"]) == ("Rainbow", "acme:colours/colours@1.0.0")
    assert "src/rainbow/colours_operations.py" in made["files"]
    passes_its_own_tests(tmp_path / "rainbow")

    check_types = ("mypy", "--cache-dir", str(CHECKED))
    for project in ("acme-shelf", "rainbow"):
        types = run_in(tmp_path / project, *check_types)
        assert types.returncode == 0, types.stdout
    provider = tmp_path / "rainbow/src/rainbow/provider.py"
    provider.write_text(provider.read_text().replace("name: str) -> Colour", "name: int) -> Colour"))
    types = run_in(tmp_path / "rainbow", *check_types)
    assert types.returncode == 1
    assert re.search(
        r'Argument 3 of "find" is incompatible with supertype "\S*ColoursProvider"', types.stdout
    )


def test_each_interface_that_ships_with_lath_has_a_project_with_all_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Importing the class compares it with the WIT; every name in its annotations must be there."""
    interfaces = [each for package in wit.packages() for each in package.interfaces.values()]
    shipped = [each for each in interfaces if each.name.startswith(("wasi:", "wasmcloud:", "lath:"))]
    assert len(shipped) > 20
    for number, interface in enumerate(shipped):
        name = "probe-" + "".join(chr(ord("a") + int(digit)) for digit in str(number))
        if not interface.functions:
            with pytest.raises(InvalidArgument, match="no function that a provider could serve"):
                new_provider(name, tmp_path, interface.name)
            continue
        made = new_provider(name, tmp_path, interface.name)
        monkeypatch.syspath_prepend(str(tmp_path / name / "src"))
        provider = getattr(importlib.import_module(made.module), made.provider)
        assert {key[3] for key in provider.operations} == set(interface.functions)
        for operation in provider.operations.values():
            get_type_hints(getattr(provider, operation.attribute))


async def test_a_new_project_runs_beside_a_lattice(
    tmp_path: Path, bus: Bus, nats_server: Server, lattice: str
) -> None:
    await asyncio.to_thread(lath, "new", "provider", "acme-shelf", "--into", str(tmp_path))
    project = tmp_path / "acme-shelf"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "acme_shelf", "--nats-url", nats_server.url, "--lattice", lattice,
        env=environment(project),
    )  # fmt: skip
    wit.register(SHELF_WIT)
    calls = OutgoingCalls(bus, "app")
    try:
        link = await LinkStore(bus).put(
            LinkSpec(
                source_id="app", target="acme-shelf", wit_namespace="example", wit_package="acme-shelf",
                interfaces=("acme-shelf",),
            )
        )  # fmt: skip

        async def greeted() -> bool:
            try:
                seen = Link.of(link, "app")
                answer = await calls.call(seen, "example:acme-shelf/acme-shelf", "greet", "Ada")
            except LathError as e:
                raise AssertionError(str(e)) from e
            return bool(answer == "Hello, Ada!")

        await eventually(greeted, 30)
    finally:
        await calls.close()
        process.terminate()
        assert await process.wait() == 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Shelf", "is not valid"),
        ("", "is not valid"),
        ("a_b", "is not valid"),
        ("../up", "is not valid"),
        ("x" * 51, "50 characters at most"),
        ("class", "a keyword"),
        ("record", "a keyword"),
        ("json", "would hide the module json"),
        ("lath-host", "would hide the module lath_host"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused_in_words(tmp_path: Path, name: str, reason: str) -> None:
    code, _, err = lath("new", "provider", name, "--into", str(tmp_path))
    assert (code, reason in err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "shelf").mkdir()
    code, _, err = lath("new", "provider", "shelf", "--into", str(tmp_path))
    assert (code, "is there already" in err) == (1, True)
    assert list((tmp_path / "shelf").iterdir()) == []


def test_an_interface_that_nobody_knows_is_named(tmp_path: Path) -> None:
    code, _, err = lath("new", "provider", "shelf", "-i", "acme:none/none", "--into", str(tmp_path))
    assert (code, "acme:none is not known" in err) == (1, True)
    code, _, err = lath("wit", "show", "wasi:keyvalue/store", "--wit", str(tmp_path / "no.wit"))
    assert (code, "cannot be read" in err) == (1, True)


def test_interfaces_are_listed_and_shown_as_wit_and_as_python() -> None:
    code, out, _ = lath("wit", "list", "-o", "json")
    assert code == 0 and "wasi:keyvalue/store@0.2.0-draft" in json.loads(out)
    code, out, _ = lath("wit", "show", "wasi:keyvalue/store")
    assert code == 0 and "increment" not in out and "list-keys: func(cursor: option<u64>)" in out
    code, out, _ = lath("wit", "python", "wasi:keyvalue/atomics")
    assert code == 0
    assert "class AtomicsProvider(Provider, ABC, Generic[Held, BucketT]):" in out
    compile(out, "written", "exec")
