"""WIT text as it is written: what `reader` makes of tokens, before any name is looked up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from lath.wit.lexer import Token


@dataclass(frozen=True, slots=True)
class Expression:
    """A type as written: a name, or `list<…>` and its like. `_` and what is left out are None."""

    token: Token
    arguments: tuple[Expression | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """A field, a parameter, or a case of a variant (which may have no type)."""

    name: Token
    type: Expression | None


@dataclass(frozen=True, slots=True)
class Function:
    """A function, or a method: `form` says which kind."""

    name: Token
    params: tuple[Member, ...]
    result: Expression | None
    is_async: bool
    form: Literal["func", "method", "static", "constructor"] = "func"


@dataclass(frozen=True, slots=True)
class TypeDef:
    """`record`, `variant`, `enum`, `flags` with members, or `type` with what it stands for."""

    name: Token
    form: Literal["record", "variant", "enum", "flags", "type"]
    members: tuple[Member, ...] = ()
    target: Expression | None = None


@dataclass(frozen=True, slots=True)
class ResourceDef:
    """A resource with its functions."""

    name: Token
    functions: tuple[Function, ...]


@dataclass(frozen=True, slots=True)
class Path:
    """An interface or world: by its bare name (`package` is empty then), or in full with its package."""

    token: Token
    name: str
    namespace: str = ""
    package: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class UsedName:
    """One name of a `use`, with the name that it has here."""

    name: Token
    alias: Token


@dataclass(frozen=True, slots=True)
class Use:
    """`use path.{a, b as c};`."""

    path: Path
    names: tuple[UsedName, ...]


Item: TypeAlias = TypeDef | ResourceDef | Use | Function


@dataclass(frozen=True, slots=True)
class InterfaceDef:
    """`interface name { … }`."""

    name: Token
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Port:
    """An import or export of a world: an interface by path, perhaps with a label, or one written in place."""

    direction: Literal["import", "export"]
    label: Token | None
    target: Path | InterfaceDef | Function


@dataclass(frozen=True, slots=True)
class Include:
    """`include world;`."""

    path: Path


@dataclass(frozen=True, slots=True)
class WorldDef:
    """`world name { … }`."""

    name: Token
    items: tuple[TypeDef | ResourceDef | Use, ...]
    ports: tuple[Port, ...]
    includes: tuple[Include, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """One text: its package line, and what it defines. `aliases` are the `use`s outside of interfaces."""

    package: Token
    namespace: str
    name: str
    version: str
    interfaces: Sequence[InterfaceDef]
    worlds: Sequence[WorldDef]
    aliases: Sequence[tuple[Token, Path]]
