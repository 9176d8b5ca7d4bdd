"""Whether a Python type fits a WIT type: as what an operation takes, or as what it gives.

What is not told by a type (user's classes that merely look alike, protocols, type variables) fits.
"""

from __future__ import annotations

import enum
import typing
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, NewType, NoReturn, TypeVar, Union

from lath.codec import Err, Ok, Record, Resource, Some, Variant, python_name
from lath.provider.fields import fields_of, is_protocol
from lath.provider.resource import is_resource
from lath.streamed import ByteStream
from lath.streamed.signature import Content, content_of
from lath.wit import types as wit

_SAYS_NOTHING: Final = (Any, object, NoReturn, typing.Never)
Detail = str | None
"""Why a type does not fit: words, possibly none, or None where it does."""

_NO: Final = ""
_TEXT_LIKE: Final = (str, bytes, bytearray, memoryview, Mapping)
"""Iterable, and yet no list to the codec."""
_BUFFER: Final = "Buffer"
"""`collections.abc.Buffer` is of Python 3.12; before that it is `typing_extensions`'."""


class Fitting:
    """Compares types.

    Args:
        side: `taken`: the annotation must take what the codec gives; `given`: the codec must take it.
        resources: The classes of the provider's resources, by their names in the WIT.
    """

    def __init__(self, side: Literal["taken", "given"], resources: Mapping[str, type[Any]]) -> None:
        self._given = side == "given"
        self._resources = resources

    def of_return(self, annotation: Any, func: wit.Func) -> Detail:
        """Why a return annotation does not fit: a `result` is returned as what `ok` carries, or as itself."""
        if not isinstance(func.result, wit.ResultOf):
            return self.of(annotation, func.result)
        for member in members_of(annotation):
            whole = typing.get_origin(member) or member
            kind = func.result if whole in (Ok, Err) else func.result.ok
            if (detail := self.of(member, kind)) is not None:
                return detail
        return None

    def of(self, annotation: Any, kind: wit.Type | None, *, lifted: bool = True) -> Detail:
        """Why a type does not fit.

        Args:
            annotation: The type, resolved.
            kind: The type in the WIT; None: there is no value.
            lifted: Whether the handles in a parameter are made into the provider's resources there.
        """
        details = [self._member(each, kind, lifted) for each in members_of(annotation)]
        wrong = [detail for detail in details if detail is not None]
        if self._given:
            return wrong[0] if wrong else None
        members = members_of(annotation)
        takes_none = any(each in (Any, object, NoneType) for each in members)
        if isinstance(kind, wit.OptionOf) and not takes_none:
            return "`| None` is missing"
        if isinstance(kind, wit.ResultOf):
            sides = {Ok, Err} & set(map(_whole, members))
            return "both Ok and Err may come" if len(sides) == 1 else wrong[0] if wrong else None
        return wrong[0] if len(wrong) == len(details) else None

    def _member(self, annotation: Any, kind: wit.Type | None, lifted: bool) -> Detail:
        annotation = _plain(annotation)
        whole = _whole(annotation)
        if annotation in _SAYS_NOTHING or isinstance(annotation, TypeVar):
            return None
        if whole is Literal:
            return self._literal(typing.get_args(annotation), kind)
        if not isinstance(whole, type) or (is_protocol(whole) and not isinstance(kind, wit.Record)):
            return None
        return self._class(annotation, whole, kind, lifted)

    def _class(self, annotation: Any, whole: type[Any], kind: wit.Type | None, lifted: bool) -> Detail:
        args = typing.get_args(annotation)
        if typing.is_typeddict(whole) and not isinstance(kind, wit.Record):
            whole = dict
        match kind:
            case None:
                return _if_not(whole is NoneType)
            case wit.Primitive(name):
                return _if_not(self._primitive(whole, name))
            case wit.OptionOf(inner):
                return self._option(annotation, whole, kind, inner, lifted)
            case wit.ListOf() if kind.is_bytes:
                fits = issubclass(whole, bytes | bytearray | memoryview) if self._given else whole is bytes
                return _if_not(fits or whole.__name__ == _BUFFER)
            case wit.ListOf(element):
                return self._list(whole, args, element, lifted)
            case wit.MapOf(key, value):
                fits = issubclass(whole, Mapping) if self._given else issubclass(dict, whole)
                return self._parts(args, (key, value)) if fits else _NO
            case wit.TupleOf(elements):
                return self._tuple(whole, args, elements)
            case wit.Record():
                return self._record(whole, kind)
            case wit.Variant():
                like = issubclass(whole, str | enum.Enum | Mapping) and self._given
                return _if_not(whole is Variant or like)
            case wit.Enum(names):
                return self._named(whole, names)
            case wit.Flags(labels):
                return self._flags(whole, args, labels)
            case wit.ResultOf(ok, err):
                if whole not in (Ok, Err):
                    return _NO
                return self._parts(args, (ok if whole is Ok else err,))
            case wit.Handle(resource=name):
                content = content_of(kind)
                return self._stream(whole, content) if content else self._handle(whole, name, lifted)

    def _primitive(self, whole: type[Any], name: str) -> bool:
        if name == "bool":
            return whole is bool
        if name in ("char", "string"):
            return issubclass(whole, str) if self._given else whole is str
        if name in ("f32", "f64"):
            return issubclass(whole, float) or whole is int if self._given else whole is float
        return hasattr(whole, "__index__") and whole is not bool if self._given else whole is int

    def _option(
        self, annotation: Any, whole: type[Any], kind: wit.OptionOf, inner: wit.Type, lifted: bool
    ) -> Detail:
        if whole is NoneType:
            return None if self._given else _NO
        if whole is Some and (self._given or kind.inner_may_be_nil):
            args = typing.get_args(annotation)
            return self.of(args[0], inner, lifted=lifted) if args else None
        if kind.inner_may_be_nil:
            return "options nest: what is there is a `Some`"
        return self.of(annotation, inner, lifted=lifted)

    def _list(self, whole: type[Any], args: Sequence[Any], element: wit.Type, lifted: bool) -> Detail:
        if self._given:
            fits = issubclass(whole, Iterable) and not issubclass(whole, _TEXT_LIKE)
        else:
            fits = issubclass(list, whole)
        if not fits:
            return _NO
        for each in args:
            if each is not Ellipsis and (detail := self.of(each, element, lifted=lifted)) is not None:
                return detail
        return None

    def _tuple(self, whole: type[Any], args: Sequence[Any], elements: Sequence[wit.Type]) -> Detail:
        fits = issubclass(whole, tuple | list) if self._given else issubclass(tuple, whole)
        if not fits:
            return _NO
        if not args:
            return None
        if whole is not tuple or (len(args) == 2 and args[1] is Ellipsis):
            return self._parts([args[0]] * len(elements), elements)
        return self._parts(args, elements) if len(args) == len(elements) else f"{len(elements)} are expected"

    def _record(self, whole: type[Any], kind: wit.Record) -> Detail:
        if whole is Record or (self._given and issubclass(whole, Mapping) and fields_of(whole) is None):
            return None
        fields = fields_of(whole)
        if fields is None:
            return _NO
        expected = {python_name(each.name): each.type for each in kind.fields}
        given = {name.replace("-", "_"): each for name, each in fields.items()}
        unknown = sorted(given.keys() - expected.keys())
        if unknown:
            return f"the record has no field {unknown[0]!r}"
        missing = [name for name in expected if name not in given]
        if missing and self._given:
            return f"{whole.__name__} has no field {missing[0]!r}"
        for name, annotation in given.items():
            if self.of(annotation, expected[name], lifted=False) is not None:
                return f"field {name!r} of {whole.__name__} is of another type"
        return None

    def _named(self, whole: type[Any], names: Sequence[str]) -> Detail:
        if not self._given:
            return _if_not(whole is str)
        if issubclass(whole, enum.Enum):
            return self._literal([each.value for each in whole], wit.Enum(tuple(names)))
        return _if_not(issubclass(whole, str))

    def _flags(self, whole: type[Any], args: Sequence[Any], labels: Sequence[str]) -> Detail:
        if self._given:
            fits = issubclass(whole, Iterable) and not issubclass(whole, _TEXT_LIKE)
        else:
            fits = issubclass(frozenset, whole)
        if not fits:
            return _NO
        return self._parts(args[:1], (wit.Enum(tuple(labels)),))

    def _stream(self, whole: type[Any], content: Content) -> Detail:
        if content == "strings":
            return _if_not(issubclass(whole, AsyncIterator))
        return _if_not(whole is ByteStream or (self._given and whole is bytes))

    def _handle(self, whole: type[Any], name: str, lifted: bool) -> Detail:
        cls = self._resources.get(name)
        if cls is None:  # a class of lath's own may stand for it: a stream of bytes, say
            other = whole.__module__ in ("builtins", Record.__module__) or is_resource(whole)
            return _if_not(whole is Resource or not other)
        if self._given:
            return _if_not(whole is Resource or issubclass(whole, cls))
        return _if_not(issubclass(cls, whole) if lifted else whole is Resource)

    def _literal(self, values: Sequence[Any], kind: wit.Type | None) -> Detail:
        """Literals, or the values of an enumeration."""
        if isinstance(kind, wit.OptionOf) and not kind.inner_may_be_nil:
            kind = kind.inner
        names: Sequence[str] = ()
        match kind:
            case wit.Enum(cases):
                names = cases
            case wit.Variant(cases) if self._given:
                names = [case.name for case in cases if case.type is None]
            case _:
                details = [self._class(type(value), type(value), kind, False) for value in values]
                return next((detail for detail in details if detail is not None), None)
        known = {name.replace("-", "_") for name in names}
        written = {value.replace("-", "_") if isinstance(value, str) else value for value in values}
        if unknown := sorted(map(repr, written - known)):
            return f"there is no case {unknown[0]}"
        if not self._given and (missing := [name for name in names if name not in values]):
            return f"the case {missing[0]!r} may come too"
        return None

    def _parts(self, args: Sequence[Any], kinds: Sequence[wit.Type | None]) -> Detail:
        for each, kind in zip(args, kinds, strict=False):
            if (detail := self.of(each, kind, lifted=False)) is not None:
                return detail
        return None


def _if_not(fits: bool) -> Detail:
    return None if fits else _NO


def _plain(annotation: Any) -> Any:
    """An annotation without what only wraps it: `Annotated`, `NewType`, an alias."""
    while True:
        if typing.get_origin(annotation) is Annotated:
            annotation = typing.get_args(annotation)[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif hasattr(annotation, "__value__"):  # a `type` statement of Python 3.12
            annotation = annotation.__value__
        else:
            return NoneType if annotation is None else annotation


def _whole(annotation: Any) -> Any:
    annotation = _plain(annotation)
    return typing.get_origin(annotation) or annotation


def members_of(annotation: Any) -> list[Any]:
    """The members of a union, in order; of anything else, itself."""
    plain = _plain(annotation)
    if typing.get_origin(plain) in (Union, UnionType):
        return [member for each in typing.get_args(plain) for member in members_of(each)]
    return [plain]
