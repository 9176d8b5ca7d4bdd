"""`lath secret`: what components and providers may know and nobody else, and the keys of that."""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Annotated, Final

import typer

from lath.errors import InvalidArgument
from lath.names import check_name, check_target
from lath.secrets import SECRET_BYTES_MAX
from lath.secrets.keyfile import add_seed, participant_text, read_lattice_keys, write_private
from lath_control.cli import completion
from lath_control.cli.output import row, table
from lath_control.cli.params import YesOption
from lath_control.cli.session import Session, command

app = typer.Typer(
    help="Secrets, sealed to the component or provider that they are for.", no_args_is_help=True
)

ParticipantArgument = Annotated[
    str,
    typer.Argument(
        help="The component or provider that may open it.",
        metavar="PARTICIPANT",
        show_default=False,
        autocompletion=completion.participants,
    ),
]
SecretArgument = Annotated[str, typer.Argument(help="The secret's name.", metavar="NAME", show_default=False)]
KeyFileArgument = Annotated[
    Path, typer.Argument(help="The lattice's key file.", metavar="FILE", show_default=False)
]
_STDIN: Final = "-"


@command(app, "put")
def put(
    session: Session,
    participant: ParticipantArgument,
    name: SecretArgument,
    from_file: Annotated[
        str | None,
        typer.Option(
            "--from-file", "-f", metavar="FILE", help="Read the value from a file, or from stdin: '-'."
        ),
    ] = None,
    binary: Annotated[bool, typer.Option("--binary", help="The value is bytes, taken as they are.")] = False,
) -> Awaitable[None]:
    """Seals a value on this machine and writes it. Without --from-file it is asked for.

    A value of one line loses its line end; --binary keeps all. Components see it at their next get, and links
    that name it are opened anew.
    """
    check_target(participant, "participant")
    check_name(name, "secret")
    data = _read(from_file, f"{participant} {name}")  # before there is a loop that it could hold up
    return _put(session, participant, name, data if binary else text_of(data))


async def _put(session: Session, participant: str, name: str, value: str | bytes) -> None:
    async with session.client() as client:
        secret = await client.secrets.put(participant, name, value)
    session.out.done(secret, f"secret {name} of {participant} written")


def _read(source: str | None, title: str) -> bytes:
    """The value, from where it was said to be.

    Raises:
        InvalidArgument: It cannot be read, or is too large, or nobody is there to ask.
    """
    if source is None:
        if not sys.stdin.isatty():
            raise InvalidArgument("nobody is there to ask for the value: give --from-file FILE, or -f -")
        return str(typer.prompt(f"Value of {title}", hide_input=True, err=True)).encode()
    try:
        if source == _STDIN:
            data = sys.stdin.buffer.read(SECRET_BYTES_MAX + 1)
        else:
            with Path(source).open("rb") as file:
                data = file.read(SECRET_BYTES_MAX + 1)
    except OSError as e:
        raise InvalidArgument(f"{source} cannot be read: {e.strerror}") from None
    if len(data) > SECRET_BYTES_MAX:
        raise InvalidArgument(f"the value has more than {SECRET_BYTES_MAX} bytes")
    if not data:
        raise InvalidArgument("the value is empty")
    return data


def text_of(data: bytes) -> str:
    """Text; where it is one line, without its end.

    Raises:
        InvalidArgument: It is not UTF-8.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise InvalidArgument("the value is not UTF-8: give --binary") from None
    line = text.removesuffix("\n").removesuffix("\r")
    return text if "\n" in line else line


@command(app, "list")
async def list_(
    session: Session,
    participant: Annotated[
        str | None, typer.Argument(help="Whose; all by default.", show_default=False)
    ] = None,
) -> None:
    """Lists secrets, without their values, which nobody but their participants can open."""
    async with session.client() as client:
        secrets = await client.secrets.list(participant)
    rows = (row(each.participant, each.name, each.public_key) for each in secrets)
    session.out.many(secrets, table(("PARTICIPANT", "NAME", "SEALED TO"), rows, empty="no secrets"))


@command(app, "del")
async def delete(
    session: Session,
    participant: ParticipantArgument,
    name: SecretArgument,
    yes: YesOption = False,
) -> None:
    """Deletes a secret."""
    session.confirm(f"Delete secret {name} of {participant}?", yes)
    async with session.client() as client:
        await client.secrets.delete(participant, name)
    session.out.done({"participant": participant, "deleted": name}, f"secret {name} of {participant} deleted")


@command(app, "rekey")
async def rekey(
    session: Session,
    participant: Annotated[
        str | None, typer.Argument(help="Whose; all by default.", show_default=False)
    ] = None,
) -> bool:
    """Has a host seal every secret to the current key, after 'lath secret new-key'.

    Exits with 1 when one could not be, and says why.
    """
    async with session.client() as client:
        report = await client.secrets.rekey(participant)
    lines = [f"{report.resealed} sealed anew, {report.current} were current"]
    lines += [f"{key}: {reason}" for key, reason in sorted(report.failed.items())]
    session.out.one(report, "\n".join(lines))
    return not report.failed


@command(app, "new-key")
def new_key(session: Session, file: KeyFileArgument) -> None:
    """Makes a lattice's key file, or puts a new key before those that it has.

    Hosts take it as --secrets-key FILE, all of a lattice the same, and read it again when it changes. Then
    'lath secret rekey', and take the old lines out. Who has this file can open every secret.
    """
    count = add_seed(file)
    old = f", and {count - 1} older" if count > 1 else ""
    session.out.done({"file": str(file), "keys": count}, f"{file} has a new key{old}")


@command(app, "provider-key")
def provider_key(
    session: Session,
    file: KeyFileArgument,
    participant: ParticipantArgument,
    to: Annotated[
        Path, typer.Option("--to", metavar="FILE", help="Where it is written.", show_default=False)
    ],
) -> None:
    """Writes the key of one provider out of the lattice's, for one that stands alone.

    It takes it as --secrets-key, and can open its own secrets by it, and no others.
    """
    lattice = session.where.lattice
    keys = read_lattice_keys(file, lattice).of(participant)
    write_private(to, participant_text(keys), replace=False)
    session.out.done(
        {"participant": participant, "public_key": keys.public_key, "file": str(to)},
        f"the key of {participant} in lattice {lattice} is in {to}",
    )
