"""Sealing a secret, and opening it.

Who is it for, and what is it called, are sealed with the value: whoever may write the bucket could else give
one secret's value another's name, and have a component show it.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

import msgpack
from nacl.public import SealedBox

from lath import redact
from lath.bus.entry import Entry
from lath.errors import InvalidArgument
from lath.model import SealedSecret, parse
from lath.names import check_name, check_target
from lath.secrets.keys import ParticipantKeys, public_key

SECRET_BYTES_MAX: Final = 64 * 1024
"""One value: larger than any key or certificate chain."""


def seal(sealed_to: str, participant: str, name: str, value: str | bytes) -> SealedSecret:
    """Seals a value to a public key. Nobody can open it without the private one, its sender included.

    Args:
        sealed_to: The public key of the participant, base64.
        participant: Who is to open it.
        name: What the secret is called.
        value: Text, or bytes.

    Raises:
        InvalidArgument: A name or the key is not valid, or the value is too large. The value is never shown.
    """
    content = [check_target(participant, "participant"), check_name(name, "secret"), value]
    size = len(value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value)
    if size > SECRET_BYTES_MAX:
        raise InvalidArgument(
            f"secret {participant}.{name} has {size} bytes, and may have {SECRET_BYTES_MAX}"
        )
    try:
        packed: bytes = msgpack.packb(content)
    except UnicodeEncodeError:
        raise InvalidArgument(f"secret {participant}.{name} is not UTF-8: give it as bytes") from None
    box = SealedBox(public_key(sealed_to)).encrypt(packed)
    return SealedSecret(public_key=sealed_to, sealed=base64.b64encode(box).decode())


def read_secret(entry: Entry) -> SealedSecret:
    """The secret that stands in an entry of the bucket, still sealed.

    Raises:
        InvalidArgument: It is none.
    """
    return parse(SealedSecret, entry.value, f"secret {entry.key}")


def unseal(keys: ParticipantKeys, name: str, secret: SealedSecret) -> str | bytes:
    """Opens a secret. From here on this process shows the value nowhere (`lath.redact`).

    Raises:
        Unavailable: It is sealed to a key that is not among these.
        InvalidArgument: It was damaged, or is another secret than its key in the bucket says.
    """
    try:
        box = base64.b64decode(secret.sealed, validate=True)
        content = msgpack.unpackb(keys.open(secret.public_key, box))
    except (binascii.Error, ValueError, msgpack.UnpackException) as e:
        if isinstance(e, InvalidArgument):
            raise InvalidArgument(f"secret {keys.participant}.{name} cannot be opened: {e.message}") from None
        raise InvalidArgument(f"secret {keys.participant}.{name} cannot be opened: it is malformed") from None
    value = _checked(content, keys.participant, name)
    redact.hide(value)
    return value


def _checked(content: Any, participant: str, name: str) -> str | bytes:
    match content:
        case [str() as whose, str() as called, (str() | bytes()) as value]:
            if (whose, called) == (participant, name):
                return value
    raise InvalidArgument(f"secret {participant}.{name} cannot be opened: it was sealed as another one")
