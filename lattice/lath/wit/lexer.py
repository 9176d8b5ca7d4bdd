"""WIT text to tokens, each with its line and column."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from lath.errors import InvalidArgument
from lath.names import shown
from lath.wit.grammar import KEYWORDS

TEXT_CHARS_MAX: Final = 4 * 1024 * 1024
"""All of WASI's WIT together has half a million characters."""

Kind: TypeAlias = Literal["name", "keyword", "version", "number", "mark", "end"]

_SKIPPED: Final = re.compile(r"\s+|//[^\n]*")
_TOKEN: Final = re.compile(
    r"(?P<version>\d+\.\d+\.\d+(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?)"
    r"|(?P<number>\d+)"
    r"|(?P<name>%?[a-zA-Z][a-zA-Z0-9]*(?:-[a-zA-Z0-9]+)*)"
    r"|(?P<mark>->|[{}()<>,;:=./@*_])"
)
_MIXED_CASE: Final = re.compile(r"[a-z][a-z0-9]*[A-Z]|[A-Z][A-Z0-9]*[a-z]")


@dataclass(frozen=True, slots=True)
class Token:
    """A token and where it begins. `text` of a name has no `%`."""

    kind: Kind
    text: str
    line: int
    column: int

    def error(self, problem: str) -> InvalidArgument:
        """The error for a problem at this token."""
        return InvalidArgument(f"WIT line {self.line}, column {self.column}: {problem}")

    def __str__(self) -> str:
        return "the end of the text" if self.kind == "end" else shown(self.text)


def tokens(text: str) -> list[Token]:
    """All tokens of a text, the last of kind `end`.

    Raises:
        InvalidArgument: A character that begins no token, an unclosed comment, or a text that is too long.
    """
    if len(text) > TEXT_CHARS_MAX:
        raise InvalidArgument(f"a WIT text of {len(text)} characters; at most {TEXT_CHARS_MAX} are read")
    return _Lexer(text).run()


class _Lexer:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._line_start = 0

    def run(self) -> list[Token]:
        found = []
        while self._skip_to_token():
            match = _TOKEN.match(self._text, self._at)
            if match is None:
                raise self._token("mark", "").error(
                    f"the character {shown(self._text[self._at])} begins nothing"
                )
            found.append(self._read(match))
            self._at = match.end()
        found.append(self._token("end", ""))
        return found

    def _read(self, match: re.Match[str]) -> Token:
        text = match.group()
        if match.lastgroup != "name":
            kind: Kind = match.lastgroup  # type: ignore[assignment]  # the groups are named after the kinds
            return self._token(kind, text)
        if text in KEYWORDS:
            return self._token("keyword", text)
        token = self._token("name", text.removeprefix("%"))
        if any(_MIXED_CASE.match(word) for word in token.text.split("-")):
            raise token.error(f"{token} mixes cases: each word of a name is all lower or all upper case")
        return token

    def _token(self, kind: Kind, text: str) -> Token:
        return Token(kind, text, self._line, self._at - self._line_start + 1)

    def _skip_to_token(self) -> bool:
        """Skips blanks and comments; False at the end of the text."""
        while self._at < len(self._text):
            if match := _SKIPPED.match(self._text, self._at):
                self._move_to(match.end())
            elif self._text.startswith("/*", self._at):
                self._move_to(self._block_comment_end())
            else:
                return True
        return False

    def _block_comment_end(self) -> int:
        """Block comments nest."""
        depth, at = 0, self._at
        for match in re.compile(r"/\*|\*/").finditer(self._text, at):
            depth += 1 if match.group() == "/*" else -1
            if depth == 0:
                return match.end()
        raise self._token("mark", "").error("the comment is not closed: '*/' is missing")

    def _move_to(self, end: int) -> None:
        lines = self._text.count("\n", self._at, end)
        if lines:
            self._line += lines
            self._line_start = self._text.rindex("\n", self._at, end) + 1
        self._at = end
