"""The rules for names, checked at every entry: command line, control interface, KV and guest strings.

Ids (lattice, host, component, provider, instance, link, config) become tokens of NATS subjects and KV keys,
so their alphabet is small. WIT names follow the component model's grammar.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator

from lath.errors import InvalidArgument

NAME_CHARS_MAX: Final = 64
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_RESERVED: Final = frozenset({"host"})
"""Presence keys of hosts begin with `host.`; no component or provider may be called that."""
CLIENT_SOURCE: Final = "_client"
"""The source of a call made by an operator's client. Not a component or provider id."""
DEFAULT_LINK: Final = "default"
NO_LINK: Final = "_"
"""Stands for the link of a client that calls without one, and for the interface of a world's own function."""

_WORD: Final = r"[a-zA-Z][a-zA-Z0-9]*(?:-[a-zA-Z0-9]+)*"
_WIT_ID: Final = re.compile(rf"{_WORD}\Z")
_FUNCTION: Final = re.compile(
    rf"(?:\[(?:async )?(?:method|static)\]{_WORD}\.{_WORD}|\[constructor\]{_WORD}|(?:\[async\])?{_WORD})\Z"
)
_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(?:[-+][0-9A-Za-z.+-]+)?\Z")
WIT_NAME_CHARS_MAX: Final = 128
_SHOWN_CHARS_MAX: Final = 80


def shown(value: object) -> str:
    """`value` quoted for an error message, cut where it is long (a hostile name may be a megabyte)."""
    text = value if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= _SHOWN_CHARS_MAX else text[:_SHOWN_CHARS_MAX] + "…")


def check_name(value: object, what: str = "name") -> str:
    """Returns `value` when it may be an id.

    Args:
        value: What came in.
        what: What it names ("lattice", "component id", …), for the message.

    Raises:
        InvalidArgument: Anything but 1 to 64 of the characters A-Z, a-z, 0-9, `_` and `-`.
    """
    if isinstance(value, str) and _NAME.match(value):
        return value
    raise InvalidArgument(
        f"{what} {shown(value)} is not valid: use 1 to 64 of the characters A-Z a-z 0-9 _ -"
    )


def check_target(value: object, what: str = "id") -> str:
    """Like `check_name`, for the id of a component or provider, where some words are reserved."""
    name = check_name(value, what)
    if name in _RESERVED or name in (CLIENT_SOURCE, NO_LINK):
        raise InvalidArgument(f"{what} {shown(name)} is reserved: choose another")
    return name


def check_wit_id(value: object, what: str = "name") -> str:
    """Returns `value` when it is a WIT identifier (words of letters and digits, joined by `-`)."""
    if isinstance(value, str) and len(value) <= WIT_NAME_CHARS_MAX and _WIT_ID.match(value):
        return value
    raise InvalidArgument(
        f"{what} {shown(value)} is not a WIT name: use words of letters and digits joined by '-'"
    )


def check_function(value: object) -> str:
    """Returns `value` when it may name a WIT function: `get`, `[method]bucket.get`, `[constructor]bucket`."""
    if isinstance(value, str) and len(value) <= WIT_NAME_CHARS_MAX and _FUNCTION.match(value):
        return value
    raise InvalidArgument(
        f"function {shown(value)} is not a WIT function name, such as get or [method]bucket.get"
    )


def function_token(name: str) -> str:
    """The subject token of a function name: `.` becomes `~`."""
    return check_function(name).replace(".", "~")


def function_of_token(token: str) -> str:
    """The function name of a subject token."""
    return check_function(token.replace("~", "."))


@dataclass(frozen=True, slots=True)
class InterfaceName:
    """`namespace:package/interface@version`, taken apart. `version` is empty where none is given."""

    namespace: str
    package: str
    interface: str
    version: str = ""

    @staticmethod
    def parse(text: object) -> InterfaceName:
        """Reads `wasi:keyvalue/store@0.2.0-draft`.

        Raises:
            InvalidArgument: The text is not of that form.
        """
        if not isinstance(text, str) or len(text) > 4 * WIT_NAME_CHARS_MAX:
            raise InvalidArgument(f"interface {shown(text)} is not of the form namespace:package/interface")
        path, at, version = text.partition("@")
        namespace, colon, rest = path.partition(":")
        package, slash, interface = rest.partition("/")
        if not (colon and slash) or (at and not _VERSION.match(version)):
            raise InvalidArgument(
                f"interface {shown(text)} is not of the form namespace:package/interface or …@1.2.3"
            )
        return InterfaceName(
            check_wit_id(namespace, "namespace"),
            check_wit_id(package, "package"),
            check_wit_id(interface, "interface"),
            version,
        )

    @property
    def unversioned(self) -> str:
        return f"{self.namespace}:{self.package}/{self.interface}"

    def __str__(self) -> str:
        return f"{self.unversioned}@{self.version}" if self.version else self.unversioned


def parse_function_path(text: str) -> tuple[InterfaceName, str]:
    """Reads `namespace:package/interface.function`, also with a version (`…/store@0.2.0#open`).

    With a version, which has dots of its own, the function follows `#`; without one `.` or `#` may be used.

    Raises:
        InvalidArgument: The text is not of that form.
    """
    if "#" in text:
        interface, _, function = text.partition("#")
    else:
        head, bracket, tail = text.partition("[")
        interface, _, function = text.rpartition(".") if not bracket else (head[:-1], ".", bracket + tail)
    if not interface or not function:
        raise InvalidArgument(f"{shown(text)} names no function: write namespace:package/interface.function")
    return InterfaceName.parse(interface), check_function(function)


def versions_compatible(asked: str, offered: str) -> bool:
    """Whether an interface asked for at one version may be served by another (semver's caret rule).

    An empty version matches anything. Pre-releases match only themselves.
    """
    if not asked or not offered or asked == offered:
        return True
    if "-" in asked or "-" in offered:
        return False
    return _compatible_part(asked) == _compatible_part(offered)


def _compatible_part(version: str) -> tuple[str, ...]:
    major, minor, patch = version.partition("+")[0].split(".")
    if major != "0":
        return (major,)
    return ("0", minor) if minor != "0" else ("0", "0", patch)


def new_id(prefix: str = "") -> str:
    """An unguessable id of 22 characters after `prefix`, valid as a name."""
    return prefix + secrets.token_urlsafe(16)


Name = Annotated[str, AfterValidator(check_name)]
Target = Annotated[str, AfterValidator(check_target)]
WitId = Annotated[str, AfterValidator(check_wit_id)]
