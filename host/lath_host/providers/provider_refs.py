"""References to providers: what they look like, and which command starts one."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from lath.errors import InvalidArgument
from lath.names import check_name, shown

REF_CHARS_MAX: Final = 4096
_MODULE: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\Z", re.ASCII)
_BUILTIN: Final = "builtin:"
_PYTHON: Final = "python:"
_FORMS: Final = "use python:some.module, file:///absolute/path.py or builtin:{name}"


def builtin_name(ref: str) -> str | None:
    """The name in `builtin:{name}`; None for a reference of another form."""
    return check_name(ref.removeprefix(_BUILTIN), "built-in provider") if ref.startswith(_BUILTIN) else None


def command_of(ref: str) -> tuple[str, ...]:
    """The command that runs a provider as a process of its own.

    Raises:
        InvalidArgument: The reference is of no known form, naming those that are.
    """
    if len(ref) <= REF_CHARS_MAX:
        module = ref.removeprefix(_PYTHON)
        if module != ref and _MODULE.match(module):
            return (sys.executable, "-m", module)
        path = _script(ref)
        if path:
            return (sys.executable, str(path))
    raise InvalidArgument(f"provider reference {shown(ref)} is not valid: {_FORMS}")


def check_provider_ref(ref: str) -> str:
    """Returns `ref` when it is of a known form.

    Raises:
        InvalidArgument: It is not.
    """
    if builtin_name(ref) is None:
        command_of(ref)
    return ref


def _script(ref: str) -> Path | None:
    if not ref.startswith("file://") or "\0" in ref:
        return None
    parts = urlsplit(ref)
    path = Path(unquote(parts.path))
    local = parts.netloc in ("", "localhost") and path.is_absolute() and path.suffix == ".py"
    return path if local else None
