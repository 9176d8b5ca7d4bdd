"""Parameters that several commands take, and how their text is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Final, TypeVar

import typer
from pydantic import BaseModel, ValidationError

from lath.errors import InvalidArgument
from lath.model import ComponentSettings, LinkSelector, RunAs
from lath.names import check_name, check_wit_id, shown
from lath_control.cli import completion

Read = TypeVar("Read", bound=BaseModel)

_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)?\Z")
_MILLISECONDS: Final = {"ms": 1.0, "s": 1_000.0, "m": 60_000.0, "h": 3_600_000.0}
_SIZE: Final = re.compile(r"([0-9]+)([KMG]i?)?B?\Z")
_BYTES: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def duration_ms(text: str, option: str) -> int:
    """Reads `500ms`, `10s`, `2m`, `1h`; a bare number is seconds.

    Raises:
        InvalidArgument: Anything else, and 0; the message names the option.
    """
    match = _DURATION.match(text)
    milliseconds = round(float(match[1]) * _MILLISECONDS[match[2] or "s"]) if match else 0
    if milliseconds < 1:
        raise InvalidArgument(f"{option} {shown(text)} is not a duration: write 500ms, 10s or 2m")
    return milliseconds


def size_bytes(text: str, option: str) -> int:
    """Reads `64MiB`, `1GB`, `1000`.

    Raises:
        InvalidArgument: Anything else; the message names the option.
    """
    match = _SIZE.match(text)
    if not match:
        raise InvalidArgument(f"{option} {shown(text)} is not a size: write 64MiB or a number of bytes")
    return int(match[1]) * _BYTES[match[2] or ""]


def pairs(texts: Iterable[str], what: str) -> dict[str, str]:
    """Reads `KEY=VALUE` texts; a later key wins.

    Raises:
        InvalidArgument: One has no `=` or no key.
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InvalidArgument(f"{what} {shown(text)} is not of the form KEY=VALUE")
        found[key] = value
    return found


def settings(
    env: list[str] | None,
    allow_host: list[str] | None,
    allow_socket: list[str] | None,
    *,
    no_env: bool = False,
    no_allow_host: bool = False,
    no_allow_socket: bool = False,
    run_as: RunAs | None = None,
) -> ComponentSettings:
    """A component's settings: what is not given stays, what its `--no-` form takes away is empty.

    Raises:
        InvalidArgument: One is malformed, or given and taken away at once; the message names it.
    """
    variables = _mentioned(env, no_env, "env")
    for text in variables or ():
        if "=" not in text:
            raise InvalidArgument(f"--env {shown(text)} is not of the form NAME=VALUE")
    given: dict[str, Any] = {
        "env": None if variables is None else dict(text.split("=", 1) for text in variables),
        "allowed_hosts": _mentioned(allow_host, no_allow_host, "allow-host"),
        "allowed_sockets": _mentioned(allow_socket, no_allow_socket, "allow-socket"),
        "run_as": run_as,
    }
    options = {"env": "--env", "allowed_hosts": "--allow-host", "allowed_sockets": "--allow-socket"}
    return from_options(ComponentSettings, given, options)


def _mentioned(given: list[str] | None, clear: bool, option: str) -> list[str] | None:
    """What an option that may be repeated and its `--no-` form say together: None where neither was given."""
    if clear and given:
        raise InvalidArgument(f"--{option} gives some and --no-{option} takes all away: give one of them")
    return [] if clear else given or None


def from_options(model: type[Read], given: dict[str, Any], options: Mapping[str, str]) -> Read:
    """A record whose fields were given as options.

    Args:
        model: Its type.
        given: The values, by field.
        options: By field, how its option is called, and in what unit it is counted there: `--memory (bytes)`.

    Raises:
        InvalidArgument: A value is not valid; the message names the options.
    """
    try:
        return model.model_validate(given)
    except ValidationError as e:
        problems = (f"{options[str(detail['loc'][0])]}: {detail['msg']}" for detail in e.errors())
        raise InvalidArgument("; ".join(problems)) from None


def package(text: str) -> tuple[str, str]:
    """Reads `wasi:keyvalue`.

    Raises:
        InvalidArgument: It is not of that form.
    """
    namespace, colon, name = text.partition(":")
    if not colon:
        raise InvalidArgument(f"package {shown(text)} is not of the form namespace:package")
    return check_wit_id(namespace, "namespace"), check_wit_id(name, "package")


def selector(
    source: str | None,
    target: str | None,
    package_text: str | None,
    *,
    name: str | None,
    participant: str | None,
) -> LinkSelector:
    """Which links a verb is about.

    Raises:
        InvalidArgument: A name is malformed.
    """
    namespace, wit_package = package(package_text) if package_text else (None, None)
    return LinkSelector(
        source_id=check_name(source, "source") if source else None,
        target=check_name(target, "target") if target else None,
        name=check_name(name, "link name") if name else None,
        participant=check_name(participant, "participant") if participant else None,
        wit_namespace=namespace,
        wit_package=wit_package,
    )


def in_words(wanted: LinkSelector, count: int | None = None) -> str:
    """The links that a verb is about, for a question: `2 links of source front for wasi:keyvalue`."""
    package_text = f"{wanted.wit_namespace}:{wanted.wit_package}" if wanted.wit_package else None
    narrowed = [
        ("of source {}", wanted.source_id),
        ("to target {}", wanted.target),
        ("for {}", package_text),
        ("named {}", wanted.name),
        ("with {} at either end", wanted.participant),
    ]
    which = " ".join(text.format(value) for text, value in narrowed if value) or "of the whole lattice"
    links = "links" if count is None else "1 link" if count == 1 else f"{count} links"
    return f"{links} {which}"


def _argument(help_: str, complete: Callable[..., Any], metavar: str) -> Any:
    return typer.Argument(help=help_, autocompletion=complete, metavar=metavar, show_default=False)


HostArgument = Annotated[str, _argument("A host's id or friendly name.", completion.hosts, "HOST")]
ComponentArgument = Annotated[str, _argument("A component's id.", completion.components, "COMPONENT")]
ProviderArgument = Annotated[str, _argument("A provider's id.", completion.providers, "PROVIDER")]
ConfigArgument = Annotated[str, _argument("A config's name.", completion.configs, "NAME")]
SourceArgument = Annotated[str, _argument("The id that calls.", completion.participants, "SOURCE")]
TargetArgument = Annotated[str, _argument("The id that is called.", completion.participants, "TARGET")]
PackageArgument = Annotated[
    str, typer.Argument(help="The WIT package.", metavar="NAMESPACE:PACKAGE", show_default=False)
]

SourceFilter = Annotated[
    str | None, _argument("Only links of this source.", completion.participants, "[SOURCE]")
]
TargetFilter = Annotated[
    str | None, _argument("Only links to this target.", completion.participants, "[TARGET]")
]
PackageFilter = Annotated[
    str | None,
    typer.Argument(help="Only of this WIT package.", metavar="[NAMESPACE:PACKAGE]", show_default=False),
]
NameFilter = Annotated[str | None, typer.Option("--name", help="Only links of this name.")]
ParticipantFilter = Annotated[
    str | None,
    typer.Option(
        "--participant", help="Only links with this id at either end.", autocompletion=completion.participants
    ),
]

HostOption = Annotated[
    str | None,
    typer.Option("--host", help="A host's id or friendly name.", autocompletion=completion.hosts),
]
LabelOption = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="KEY=VALUE", help="Only hosts with this label may bid; may be repeated."),
]
ConfigOption = Annotated[
    list[str] | None,
    typer.Option(
        "--config", help="A config for it, by name; may be repeated.", autocompletion=completion.configs
    ),
]
_SETTINGS = "Settings"
EnvOption = Annotated[
    list[str] | None,
    typer.Option(
        "--env",
        metavar="NAME=VALUE",
        help="An environment variable for it; may be repeated.",
        rich_help_panel=_SETTINGS,
    ),
]
AllowHostOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        metavar="PATTERN",
        help="Whom it may send HTTP requests to; may be repeated.",
        rich_help_panel=_SETTINGS,
    ),
]
AllowSocketOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-socket",
        metavar="PATTERN",
        help="Whom it may open connections to; may be repeated.",
        rich_help_panel=_SETTINGS,
    ),
]
NoEnvOption = Annotated[
    bool, typer.Option("--no-env", help="Take its environment away.", rich_help_panel=_SETTINGS)
]
NoAllowHostOption = Annotated[
    bool, typer.Option("--no-allow-host", help="It may send requests to nobody.", rich_help_panel=_SETTINGS)
]
NoAllowSocketOption = Annotated[
    bool,
    typer.Option("--no-allow-socket", help="It may open connections to nobody.", rich_help_panel=_SETTINGS),
]
RunAsOption = Annotated[
    RunAs | None,
    typer.Option(
        "--run-as",
        help="How its wasi:cli/run runs: for ever, or once for each HTTP request.",
        rich_help_panel=_SETTINGS,
    ),
]
AnnotationOption = Annotated[
    list[str] | None,
    typer.Option("--annotation", metavar="KEY=VALUE", help="Kept with it; may be repeated."),
]
WaitOption = Annotated[
    bool,
    typer.Option("--wait/--no-wait", help="Wait for the outcome, or only until a host has accepted."),
]
TimeoutOption = Annotated[
    str | None, typer.Option("--timeout", metavar="DURATION", help="How long to wait: 500ms, 10s, 2m.")
]
WatchOption = Annotated[bool, typer.Option("--watch", "-w", help="Show again at every change, until Ctrl-C.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether this is meant.")]
