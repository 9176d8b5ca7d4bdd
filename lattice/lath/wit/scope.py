"""The names of one interface or world: what each stands for, worked out when it is first asked for.

WIT lets a name be used above its definition, so definitions are resolved on demand; one that is met again
while it is being resolved would contain itself, which no value can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias, cast

from lath.wit.grammar import PRIMITIVES
from lath.wit.lexer import Token
from lath.wit.package import Definition, ResourceName
from lath.wit.reader import TYPE_NESTING_MAX
from lath.wit.syntax import Expression, Function, Item, Member, Path, ResourceDef, TypeDef, Use, UsedName
from lath.wit.types import (
    FLAGS_MAX,
    Case,
    Enum,
    Field,
    Flags,
    Func,
    Handle,
    ListOf,
    MapOf,
    OptionOf,
    Primitive,
    PrimitiveKind,
    Record,
    ResultOf,
    TupleOf,
    Type,
    Variant,
)
from lath.wit.walk import parts_of

TYPE_PARTS_MAX: Final = 10_000
"""Types may double at every name (`record b { x: a, y: a }`); nobody writes that many parts on purpose."""

FindType: TypeAlias = Callable[[Path, Token], Definition]
"""Looks up a type of another interface, for `use`."""


class Scope:
    """The types and functions of one interface, or of a world itself.

    Args:
        interface: The full name of the interface, which its resources carry.
        items: Its definitions, as written.
        find: Looks up what a `use` names.
    """

    def __init__(self, interface: str, items: Iterable[Item], find: FindType) -> None:
        self._interface = interface
        self._find = find
        self._sources: dict[str, TypeDef | ResourceDef | tuple[Path, UsedName]] = {}
        self._functions: list[tuple[str | None, Function]] = []
        self._resolved: dict[str, Definition] = {}
        self._running: list[str] = []
        self._weights: dict[int, tuple[Type, int, int]] = {}
        self.resources: list[str] = []
        taken: set[str] = set()
        for item in items:
            self._add(item, taken)

    def _add(self, item: Item, taken: set[str]) -> None:
        if isinstance(item, Use):
            for used in item.names:
                _claim(used.alias, taken)
                self._sources[used.alias.text] = (item.path, used)
            return
        _claim(item.name, taken)
        if isinstance(item, Function):
            self._functions.append((None, item))
            return
        self._sources[item.name.text] = item
        if isinstance(item, ResourceDef):
            self.resources.append(item.name.text)
            methods: set[str] = set()
            for function in item.functions:
                _claim(function.name, methods)
                self._functions.append((item.name.text, function))

    def types(self) -> dict[str, Definition]:
        """Everything that has a name here, resolved."""
        for name, source in self._sources.items():
            self.resolve(source[1].alias if isinstance(source, tuple) else source.name, name)
        return dict(self._resolved)

    def functions(self) -> dict[str, Func]:
        """The functions, methods included, by their WIT names."""
        return dict(self._named_function(owner, function) for owner, function in self._functions)

    def resolve(self, token: Token, name: str) -> Definition:
        """What `name` stands for; `token` is where it is asked for."""
        if name in self._resolved:
            return self._resolved[name]
        source = self._sources.get(name)
        if source is None:
            raise token.error(f"{token} is not defined here")
        if name in self._running:
            raise token.error(f"the type {token} contains itself")
        if len(self._running) >= TYPE_NESTING_MAX:
            raise token.error(f"types are nested deeper than {TYPE_NESTING_MAX}")
        self._running.append(name)
        self._resolved[name] = self._definition(source)
        self._running.pop()
        return self._resolved[name]

    def _definition(self, source: TypeDef | ResourceDef | tuple[Path, UsedName]) -> Definition:
        if isinstance(source, tuple):
            return self._find(source[0], source[1].name)
        if isinstance(source, ResourceDef):
            return ResourceName(source.name.text, self._interface)
        name = source.name.text
        _check_distinct(source.members)
        match source.form:
            case "record":
                return self._weighed(source.name, Record(self._fields(source.members), name))
            case "variant":
                cases = [Case(each.name.text, self._optional(each.type)) for each in source.members]
                return self._weighed(source.name, Variant(tuple(cases), name))
            case "enum":
                return Enum(_names(source.members), name)
            case "flags":
                if len(source.members) > FLAGS_MAX:
                    raise source.name.error(f"{len(source.members)} flags; at most {FLAGS_MAX} are allowed")
                return Flags(_names(source.members), name)
            case "type":
                return self._target(cast(Expression, source.target))

    def _target(self, expression: Expression) -> Definition:
        """What a `type` stands for: another name for a resource stays a resource."""
        if expression.token.kind == "name":
            return self.resolve(expression.token, expression.token.text)
        return self.type_of(expression)

    # Types

    def type_of(self, expression: Expression) -> Type:
        """The type that an expression stands for; a resource alone means a handle that owns it."""
        token = expression.token
        if token.kind == "name":
            found = self.resolve(token, token.text)
            return Handle("own", found.name, found.interface) if isinstance(found, ResourceName) else found
        if token.text in PRIMITIVES:
            return Primitive(cast(PrimitiveKind, token.text))
        if token.text in ("own", "borrow"):
            return self._handle(expression)
        parts = [self._optional(each) for each in expression.arguments]
        return self._weighed(token, _generic(token, parts))

    def _optional(self, expression: Expression | None) -> Type | None:
        return None if expression is None else self.type_of(expression)

    def _handle(self, expression: Expression) -> Handle:
        resource = expression.arguments[0]
        found = self._target(resource) if resource and not resource.arguments else None
        if not isinstance(found, ResourceName):
            raise expression.token.error(f"{expression.token} takes the name of a resource")
        return Handle("own" if expression.token.text == "own" else "borrow", found.name, found.interface)

    def _fields(self, members: Sequence[Member]) -> tuple[Field, ...]:
        return tuple(Field(each.name.text, self.type_of(cast(Expression, each.type))) for each in members)

    def _weighed(self, token: Token, kind: Type) -> Type:
        """Gives back `kind`, unless it has become too deep or too large through the names that it uses."""
        depth, size = self._weight(kind)
        if depth > TYPE_NESTING_MAX:
            raise token.error(f"types are nested deeper than {TYPE_NESTING_MAX}")
        if size > TYPE_PARTS_MAX:
            raise token.error(f"the type has more than {TYPE_PARTS_MAX} parts")
        return kind

    def _weight(self, kind: Type) -> tuple[int, int]:
        """Depth and size. Remembered by identity, so that shared parts are not walked again and again."""
        if (known := self._weights.get(id(kind))) is None:
            weights = [self._weight(part) for part in parts_of(kind)]
            depth = 1 + max((depth for depth, _ in weights), default=0)
            known = (kind, depth, 1 + sum(size for _, size in weights))
            self._weights[id(kind)] = known
        return known[1], known[2]

    # Functions

    def _named_function(self, owner: str | None, function: Function) -> tuple[str, Func]:
        _check_distinct(function.params)
        params = self._fields(function.params)
        result = self._optional(function.result)
        name = function.name.text
        match function.form:
            case "constructor":
                result = result or Handle("own", str(owner), self._interface)
                return f"[constructor]{owner}", Func(params, result)
            case "static":
                return f"[static]{owner}.{name}", Func(params, result, function.is_async)
            case "method":
                params = (Field("self", Handle("borrow", str(owner), self._interface)), *params)
                return f"[method]{owner}.{name}", Func(params, result, function.is_async)
            case _:
                return name, Func(params, result, function.is_async)

    def function(self, function: Function) -> Func:
        """A function that stands in a world."""
        return self._named_function(None, function)[1]


def _generic(token: Token, parts: Sequence[Type | None]) -> Type:
    """`list<…>` and its like. The reader has checked how many parts there are."""
    types = cast(Sequence[Type], parts)
    match token.text:
        case "list":
            return ListOf(types[0])
        case "option":
            return OptionOf(types[0])
        case "tuple":
            return TupleOf(tuple(types))
        case "map":
            if not (isinstance(types[0], Primitive) and types[0].kind not in ("f32", "f64")):
                raise token.error("the keys of a map are integers, bool, char or string")
            return MapOf(types[0], types[1])
        case _:
            ok, err = (*parts, None, None)[:2]
            return ResultOf(ok, err)


def _names(members: Sequence[Member]) -> tuple[str, ...]:
    return tuple(each.name.text for each in members)


def _check_distinct(members: Sequence[Member]) -> None:
    taken: set[str] = set()
    for each in members:
        _claim(each.name, taken)


def _claim(name: Token, taken: set[str]) -> None:
    """Names that differ only in case are the same to WIT."""
    if name.text.lower() in taken:
        raise name.error(f"the name {name} is defined twice")
    taken.add(name.text.lower())
