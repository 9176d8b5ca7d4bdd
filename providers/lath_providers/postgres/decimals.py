"""PostgreSQL's `numeric`: groups of four decimal digits on the connection, text in wasmcloud:postgres."""

from __future__ import annotations

import re
import struct
from typing import Final

GROUP: Final = 4
"""Digits to a group."""
_TEXT: Final = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,6}))?\Z")
_HEADER: Final = ">hhHh"
_NEGATIVE: Final = 0x4000
_SPECIAL: Final = {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}
_SIGN_OF: Final = {text: sign for sign, text in _SPECIAL.items()}
DIGITS_MAX: Final = 131_072
"""Before the point, as PostgreSQL says."""
SCALE_MAX: Final = 16_383
"""After the point, likewise."""


def decode_numeric(data: bytes) -> str:
    """The number, with as many digits after the point as PostgreSQL shows."""
    count, weight, sign, scale = struct.unpack_from(_HEADER, data)
    if sign in _SPECIAL:
        return _SPECIAL[sign]
    groups = struct.unpack_from(f">{count}h", data, struct.calcsize(_HEADER))
    digits = "".join(f"{group:04}" for group in groups)
    point = (weight + 1) * GROUP
    whole = digits[: max(point, 0)].ljust(point, "0").lstrip("0") or "0"
    fraction = ("0" * -point + digits[max(point, 0) :])[:scale].ljust(scale, "0")
    return f"{'-' if sign == _NEGATIVE else ''}{whole}{'.' if scale else ''}{fraction}"


def encode_numeric(text: str) -> bytes:
    """Raises `ValueError` where it is no number, or one with more digits than PostgreSQL takes."""
    if text in _SIGN_OF:
        return struct.pack(_HEADER, 0, 0, _SIGN_OF[text], 0)
    found = _TEXT.match(text)
    if found is None or not (found[2] or found[3]):
        raise ValueError(f"{text[:40]!r} is no number")
    whole, fraction, exponent = found[2], found[3] or "", int(found[4] or 0)
    digits = whole + fraction
    point = len(whole) + exponent
    scale = max(len(digits) - point, 0)
    if point > DIGITS_MAX or scale > SCALE_MAX:
        raise ValueError(
            f"a number has at most {DIGITS_MAX} digits before the point, and {SCALE_MAX} after it"
        )
    digits = digits.ljust(point, "0") if point > 0 else "0" * -point + digits
    point = max(point, 0)
    digits = "0" * (-point % GROUP) + digits
    digits += "0" * (-len(digits) % GROUP)
    weight = (point + GROUP - 1) // GROUP - 1
    groups = [int(digits[at : at + GROUP]) for at in range(0, len(digits), GROUP)]
    while groups and groups[0] == 0:
        del groups[0]
        weight -= 1
    while groups and groups[-1] == 0:
        del groups[-1]
    sign = _NEGATIVE if found[1] == "-" and groups else 0
    header = struct.pack(_HEADER, len(groups), weight if groups else 0, sign, scale)
    return header + struct.pack(f">{len(groups)}h", *groups)
