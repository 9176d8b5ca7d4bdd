"""A new project with a provider: what is in it, and where it must not be written."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template
from typing import Final

from pydantic import BaseModel, ConfigDict

from lath import wit
from lath.errors import Conflict, InvalidArgument
from lath.names import InterfaceName
from lath.provider.stubs import (
    abstract_class,
    abstract_name,
    class_name,
    resources_of,
    signature,
)
from lath.wit.grammar import KEYWORDS

NAME_CHARS_MAX: Final = 50
"""It becomes a distribution, a module, a provider's id and a WIT package; ids end at 64."""
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z][a-z0-9]*)*")
_OWN_NAMESPACE: Final = "example"
_CODEC_NAMES: Final = ("Err", "Ok", "Resource", "Some", "Variant")
_OCCUPIED: Final = frozenset({"lath", "lath_host", "lath_control", "lath_providers", "test", "tests", "src"})


class MadeProject(BaseModel):
    """A project that was written.

    Attributes:
        name: Of the distribution, and of the entry point.
        module: What `python -m` runs.
        provider: The class.
        interface: What it serves.
        path: The folder.
        files: What was written there.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    module: str
    provider: str
    interface: str
    path: str
    files: tuple[str, ...]


def new_provider(name: str, into: Path, interface: str | None = None, own_wit: str = "") -> MadeProject:
    """Writes a project whose provider runs, and whose tests pass, as they are.

    Args:
        name: Of the distribution, the entry point and the folder: `acme-shelf`.
        into: The folder that the project's folder is made in.
        interface: An interface that `lath.wit` knows, which the provider is to serve, with its operations to
            be written; None: one of its own, with an operation.
        own_wit: The WIT of its package, where that does not ship with lath.

    Raises:
        InvalidArgument: The name, or the interface's, cannot be one; or the interface has no functions.
        NotFound: The interface is not known.
        Conflict: The folder is there already.
    """
    module = _check_name(name)
    served = None if interface is None else wit.load(interface)
    if served is not None and not served.functions:
        raise InvalidArgument(f"{served.name} has no function that a provider could serve: choose another")
    folder = into / name
    if folder.exists():
        raise Conflict(f"{folder} is there already: choose another name, or another folder with --into")
    files = _own_interface(name, module) if served is None else _implementing(name, module, served, own_wit)
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return MadeProject(
        name=name, module=module, provider=class_name(name), path=str(folder), files=tuple(sorted(files)),
        interface=f"{_OWN_NAMESPACE}:{name}/{name}" if served is None else served.name,
    )  # fmt: skip


def _check_name(name: str) -> str:
    """The module of a project of that name."""
    if len(name) > NAME_CHARS_MAX or not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"project name {name[:80]!r} is not valid: use words of a-z and 0-9 that begin with a letter,"
            f" joined by '-', {NAME_CHARS_MAX} characters at most"
        )
    module = name.replace("-", "_")
    if keyword.iskeyword(module) or name in KEYWORDS:
        raise InvalidArgument(f"project name {name!r} is a keyword of Python or of WIT: choose another")
    if module in _OCCUPIED or module in sys.stdlib_module_names:
        raise InvalidArgument(f"project name {name!r} would hide the module {module}: choose another")
    return module


def _own_interface(name: str, module: str) -> dict[str, str]:
    values = {
        "name": name, "module": module, "cls": class_name(name),
        "interface": f"{_OWN_NAMESPACE}:{name}/{name}", "interface_name": name,
        "package": f"{_OWN_NAMESPACE}:{name}", "config_example": "greeting=Hello",
    }  # fmt: skip
    return _common(values) | {
        f"src/{module}/provider.py": _filled("provider.py", values),
        f"tests/test_{module}.py": _filled("test.py", values),
    }


def _implementing(name: str, module: str, interface: wit.Interface, own_wit: str) -> dict[str, str]:
    parsed = InterfaceName.parse(interface.name)
    cls, base = class_name(name), abstract_name(interface)
    abstract = abstract_class(interface, own_wit)
    stubs = f"{parsed.interface.replace('-', '_')}_operations"
    classes = {each: class_name(each) for each in resources_of(interface)}
    held = f"{cls}Config"
    text = "\n".join(
        line for function in interface.functions for line in _operation(interface, function, classes, held)
    )
    types = re.findall(r"^(?:class (\w+):|(\w+): TypeAlias)", abstract, re.MULTILINE)
    used = [each for pair in types for each in pair if re.search(rf"\b{each}\b", text) and each]
    codec = [each for each in _CODEC_NAMES if re.search(rf"\b{each}\b", text)]
    streams = ["ByteStream"] if "ByteStream" in text else []
    standard = "from collections.abc import AsyncIterator\n\n" if "AsyncIterator[" in text else ""
    values = {
        "name": name, "module": module, "cls": cls,
        "interface": parsed.unversioned, "interface_name": parsed.interface, "full_interface": interface.name,
        "package": f"{parsed.namespace}:{parsed.package}", "config_example": "url=somewhere",
        "imports": f"{module}.{stubs} import {', '.join(sorted([base, *used]))}"
        + (f"\nfrom lath.codec import {', '.join(codec)}" if codec else ""),
        "provider_names": ", ".join([*streams, "Call", "Link", *(["resource"] if classes else [])]),
        "standard": standard,
        "base": base, "arguments": ", ".join([held, *classes.values()]),
        "resources": "".join(_resource(each, of) for each, of in classes.items()),
        "resources_line": f"\n    resources = ({', '.join(classes.values())},)\n" if classes else "",
        "operations": text,
    }  # fmt: skip
    return _common(values) | {
        f"src/{module}/{stubs}.py": abstract,
        f"src/{module}/provider.py": _filled("implementation.py", values),
        f"tests/test_{module}.py": _filled("implementation_test.py", values),
    }


def _resource(name: str, cls: str) -> str:
    lines = [
        "", f'@resource("{name}")', f"class {cls}:",
        '    """What a component holds: the fields travel in its handle."""', "", "    name: str", "", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _operation(interface: wit.Interface, function: str, classes: Mapping[str, str], held: str) -> list[str]:
    return [
        "",
        *signature(interface, function, classes, held),
        f'        raise NotImplementedError("{function}")',
    ]


def _common(values: Mapping[str, str]) -> dict[str, str]:
    module = values["module"]
    return {
        "pyproject.toml": _filled("pyproject.toml", values),
        "README.md": _filled("README.md", values),
        ".gitignore": _filled("gitignore", values),
        f"src/{module}/__init__.py": _filled("init.py", values),
        f"src/{module}/__main__.py": _filled("main.py", values),
        f"src/{module}/py.typed": "",
    }


def _filled(template: str, values: Mapping[str, str]) -> str:
    text = resources.files("lath_control.scaffold").joinpath(f"templates/{template}.tmpl").read_text("utf-8")
    return Template(text).substitute(values)
