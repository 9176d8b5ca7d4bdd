"""The words that WIT text keeps for itself."""

from __future__ import annotations

from typing import Final, get_args

from lath.wit.types import PrimitiveKind

PRIMITIVES: Final = frozenset(get_args(PrimitiveKind))
UNSUPPORTED_TYPES: Final = frozenset({"stream", "future", "error-context"})
"""Types that exist in WIT and cannot travel: they are ends of something that lives in one process."""
KEYWORDS: Final = (
    PRIMITIVES
    | UNSUPPORTED_TYPES
    | frozenset(
        {
            "as", "async", "borrow", "constructor", "enum", "export", "flags", "from", "func", "import",
            "include", "interface", "list", "map", "option", "own", "package", "record", "resource", "result",
            "static", "tuple", "type", "use", "variant", "with", "world",
        }
    )
)  # fmt: skip
"""An identifier that is one of these is written with `%` before it."""
