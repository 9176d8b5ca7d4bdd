"""Values that are made of words: `tsvector`, and `hstore` in its text form."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Any, Final

from lath.codec import Record

POSITION_MAX: Final = 16_383
_WEIGHTS: Final = "DCBA"
"""As the two highest bits of a position number them."""
_POSITION_BITS: Final = 14
_QUOTED: Final = r'"((?:[^"\\]|\\.)*)"'
_PAIR: Final = re.compile(rf"{_QUOTED}=>(?:{_QUOTED}|NULL)(?:, |\Z)", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_TO_ESCAPE: Final = re.compile(r'(["\\])')


def decode_ts_vector(data: bytes) -> list[Record]:
    """The words, each once for every place that it has."""
    (count,) = struct.unpack_from(">i", data)
    at, lexemes = 4, []
    for _ in range(count):
        end = data.index(b"\0", at)
        word = data[at:end].decode()
        (places,) = struct.unpack_from(">H", data, end + 1)
        at = end + 3
        positions = struct.unpack_from(f">{places}H", data, at)
        at += 2 * places
        lexemes += [_lexeme(word, position) for position in positions] or [
            Record(position=None, weight=None, data=word)
        ]
    return lexemes


def _lexeme(word: str, position: int) -> Record:
    weight = _WEIGHTS[position >> _POSITION_BITS]
    return Record(position=position & POSITION_MAX, weight=weight, data=word)


def encode_ts_vector(lexemes: Sequence[Any]) -> bytes:
    """Raises `ValueError` for a position that there is not, or a weight without one."""
    places: dict[str, dict[int, int]] = {}
    for lexeme in lexemes:
        word, position, weight = lexeme["data"], lexeme["position"], lexeme["weight"]
        if not word or "\0" in word:
            raise ValueError("a lexeme is a word, without NUL")
        of_word = places.setdefault(word, {})
        if position is None:
            if weight is not None:
                raise ValueError(f"the lexeme {word[:40]!r} has a weight without a position")
        elif not 1 <= position <= POSITION_MAX:
            raise ValueError(f"the position {position} of a lexeme is not within 1 to {POSITION_MAX}")
        else:
            of_word[position] = max(of_word.get(position, 0), _WEIGHTS.index(weight or "D"))
    packed = [struct.pack(">i", len(places))]
    for word, of_word in places.items():
        positions = [weight << _POSITION_BITS | position for position, weight in sorted(of_word.items())]
        packed += [word.encode(), struct.pack(f">xH{len(positions)}H", len(positions), *positions)]
    return b"".join(packed)


def decode_hstore(text: str) -> list[tuple[str, str | None]]:
    pairs, at = [], 0
    while found := _PAIR.match(text, at):
        key, value = found.groups()
        pairs.append((_ESCAPED.sub(r"\1", key), None if value is None else _ESCAPED.sub(r"\1", value)))
        at = found.end()
    if at != len(text):
        raise ValueError("it is not the text of an hstore")
    return pairs


def encode_hstore(pairs: Sequence[tuple[str, str | None]]) -> str:
    return ",".join(f"{_quoted(key)}=>{'NULL' if value is None else _quoted(value)}" for key, value in pairs)


def _quoted(text: str) -> str:
    return '"' + _TO_ESCAPE.sub(r"\\\1", text) + '"'
