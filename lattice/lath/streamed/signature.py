"""Which values of a function travel as a stream of bytes in place of a handle, and in what form.

They are those of `wasi:blobstore`: a parameter `borrow<outgoing-value>`, a result `own<incoming-value>` and a
result `own<stream-object-names>`, alone or as the `ok` of a `result`. No handle of them leaves a host; all
else of a call is as in any other.

In its place in the payload stands `[beginning, size]`: the first bytes, and how many there are in all (nil:
not known; of an incoming-value it always is). If the beginning is not all, its message says `Lath-Stream:
open`, and the rest follows as a stream, with nothing after its end. A stream-object-names is the names as
msgpack strings, one after the other.

The time-out of a call whose parameters go on holds until its callee asks for the first bytes that follow.
From then on its caller bounds each wait by itself: for the callee to take the next piece, and, after the end,
to answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from lath.errors import InvalidArgument
from lath.names import InterfaceName
from lath.wit.types import Func, Handle, ListOf, OptionOf, Primitive, ResultOf, TupleOf, Type

Content: TypeAlias = Literal["bytes", "strings"]
"""What a stream is made of."""

_TYPES: Final = "wasi:blobstore/types"
_CONTAINER: Final = "wasi:blobstore/container"
_CONTENTS: Final[Mapping[tuple[str, str, str], Content]] = {
    ("borrow", _TYPES, "outgoing-value"): "bytes",
    ("own", _TYPES, "incoming-value"): "bytes",
    ("own", _CONTAINER, "stream-object-names"): "strings",
}
"""By mode, interface and resource. Those that are borrowed are parameters, the others results."""
_CARRIED: Final = TupleOf((ListOf(Primitive("u8")), OptionOf(Primitive("u64"))))
"""`[beginning, size]`"""


@dataclass(frozen=True, slots=True)
class Streaming:
    """A function of which something travels as a stream.

    Attributes:
        func: Its signature as it travels, with `[beginning, size]` in place of the handles.
        param: The place of the parameter that is a stream; None: none is.
        result: What the result's stream is made of; None: the result is none.
        in_ok: Whether that is the `ok` of a `result`.
    """

    func: Func
    param: int | None
    result: Content | None
    in_ok: bool

    def stream_of(self, result: Any) -> Any:
        """What stands in the stream's place in the wire value of a result; None in that of an error."""
        if self.result is None:
            return None
        if not self.in_ok:
            return result
        return result.get("ok") if isinstance(result, dict) else None

    def with_stream(self, stream: Any) -> Any:
        """The wire value of a result with `stream` in its place."""
        return {"ok": stream} if self.in_ok else stream


def streaming_of(func: Func) -> Streaming | None:
    """How a function is called of which something travels as a stream; None where nothing does.

    Raises:
        InvalidArgument: Two of its parameters would.
    """
    places = [place for place, param in enumerate(func.params) if _is_streamed(param.type, "borrow")]
    if len(places) > 1:
        raise InvalidArgument("a function takes one stream of bytes at most")
    in_ok = isinstance(func.result, ResultOf)
    made = func.result.ok if isinstance(func.result, ResultOf) else func.result
    content = content_of(made) if _is_streamed(made, "own") else None
    if not places and content is None:
        return None
    params = tuple(
        replace(param, type=_CARRIED) if place in places else param for place, param in enumerate(func.params)
    )
    result = func.result
    if content is not None:
        result = ResultOf(_CARRIED, result.err) if isinstance(result, ResultOf) else _CARRIED
    return Streaming(Func(params, result), places[0] if places else None, content, in_ok)


def content_of(type_: Type | None) -> Content | None:
    """What the stream is made of that stands for a handle; None where none does."""
    if not isinstance(type_, Handle) or ":" not in type_.interface:
        return None
    return _CONTENTS.get((type_.mode, InterfaceName.parse(type_.interface).unversioned, type_.resource))


def _is_streamed(type_: Type | None, mode: str) -> bool:
    return isinstance(type_, Handle) and type_.mode == mode and content_of(type_) is not None
