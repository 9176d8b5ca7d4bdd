"""WIT tokens to syntax: recursive descent, one method per rule of the grammar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeVar, cast

from lath.wit.grammar import PRIMITIVES, UNSUPPORTED_TYPES
from lath.wit.lexer import Token, tokens
from lath.wit.syntax import (
    Document,
    Expression,
    Function,
    Include,
    InterfaceDef,
    Item,
    Member,
    Path,
    Port,
    ResourceDef,
    TypeDef,
    Use,
    UsedName,
    WorldDef,
)

TYPE_NESTING_MAX: Final = 100
"""wasmtime refuses types that are nested deeper."""
_GATES: Final = frozenset({"since", "unstable", "deprecated"})
_ARGUMENTS: Final = {
    "list": (1, 1),
    "option": (1, 1),
    "result": (0, 2),
    "map": (2, 2),
    "own": (1, 1),
    "borrow": (1, 1),
}
"""How many types each generic takes, at least and at most; `tuple` takes any number."""
_TypeForm = Literal["record", "variant", "enum", "flags"]

T = TypeVar("T")


def read(text: str) -> Document:
    """The syntax of one text.

    Raises:
        InvalidArgument: The text is not WIT, or uses what lath does not support; with line and column.
    """
    return _Reader(tokens(text)).document()


class _Reader:
    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._at = 0
        self._nesting = 0

    # Tokens

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        self._at += 1
        return token

    def _sees(self, *texts: str) -> bool:
        """Whether these marks or keywords come next."""
        ahead = self._tokens[self._at : self._at + len(texts)]
        return len(ahead) == len(texts) and all(
            token.kind in ("mark", "keyword") and token.text == text
            for token, text in zip(ahead, texts, strict=True)
        )

    def _accept(self, text: str) -> bool:
        if self._sees(text):
            self._at += 1
            return True
        return False

    def _expect(self, text: str) -> Token:
        if not self._sees(text):
            raise self._next.error(f"expected {text!r}, found {self._next}")
        return self._take()

    def _name(self, what: str) -> Token:
        token = self._next
        if token.kind == "keyword":
            raise token.error(
                f"expected {what}, found the keyword {token}: a name like that is written %{token.text}"
            )
        if token.kind != "name":
            raise token.error(f"expected {what}, found {token}")
        return self._take()

    def _version(self) -> str:
        if self._next.kind != "version":
            raise self._next.error(f"expected a version like 1.2.3, found {self._next}")
        return self._take().text

    def _listed(self, opening: str, closing: str, element: Callable[[], T]) -> tuple[T, ...]:
        """Elements with commas between them, one after the last allowed."""
        self._expect(opening)
        found = []
        while not self._sees(closing):
            found.append(element())
            if not self._accept(","):
                break
        if not self._sees(closing):
            raise self._next.error(f"expected ',' or {closing!r}, found {self._next}")
        self._take()
        return tuple(found)

    def _gates(self) -> None:
        """`@since(version = 0.2.0)`, `@unstable(feature = x)`: read, and everything behind them is there."""
        while self._accept("@"):
            gate = self._name("since, unstable or deprecated")
            if gate.text not in _GATES:
                raise gate.error(f"expected since, unstable or deprecated, found {gate}")
            self._listed("(", ")", self._gate_argument)

    def _gate_argument(self) -> None:
        self._name("version or feature")
        self._expect("=")
        if self._take().kind not in ("name", "version"):
            raise self._tokens[self._at - 1].error("expected a version or the name of a feature")

    # Documents

    def document(self) -> Document:
        self._gates()
        if not self._sees("package"):
            raise self._next.error(f"expected 'package namespace:name@1.2.3;' first, found {self._next}")
        token = self._take()
        namespace = self._name("the namespace of the package").text
        self._expect(":")
        name = self._name("the name of the package").text
        version = self._version() if self._accept("@") else ""
        if self._sees("{"):
            raise self._next.error("packages within a text are not supported: give each a text of its own")
        self._expect(";")
        document = Document(token, namespace, name, version, interfaces := [], worlds := [], aliases := [])
        while self._next.kind != "end":
            self._gates()
            if self._sees("interface"):
                self._take()
                interfaces.append(self._interface(self._name("the name of the interface")))
            elif self._sees("world"):
                worlds.append(self._world())
            elif self._sees("use"):
                aliases.append(self._alias())
            else:
                raise self._next.error(f"expected 'interface', 'world' or 'use', found {self._next}")
        return document

    def _alias(self) -> tuple[Token, Path]:
        self._expect("use")
        path = self._path()
        alias = self._name("the new name") if self._accept("as") else path.token
        self._expect(";")
        return Token(
            alias.kind, alias.text if alias is not path.token else path.name, alias.line, alias.column
        ), path

    def _path(self) -> Path:
        first = self._name("the name of an interface, or namespace:package/interface")
        if not self._accept(":"):
            return Path(first, first.text)
        package = self._name("the name of a package").text
        self._expect("/")
        name = self._name("the name of an interface").text
        version = self._version() if self._accept("@") else ""
        return Path(first, name, first.text, package, version)

    # Interfaces

    def _interface(self, name: Token) -> InterfaceDef:
        self._expect("{")
        items: list[Item] = []
        while not self._accept("}"):
            self._gates()
            items.append(self._definition() or self._function("func"))
        return InterfaceDef(name, tuple(items))

    def _definition(self) -> TypeDef | ResourceDef | Use | None:
        """A definition of a type, or a `use`; None when something else comes."""
        if self._sees("use"):
            return self._use()
        if self._sees("resource"):
            return self._resource()
        if self._sees("type"):
            return self._type_alias()
        for form in ("record", "variant", "enum", "flags"):
            if self._sees(form):
                return self._type_def(form)
        return None

    def _use(self) -> Use:
        self._expect("use")
        path = self._path()
        self._expect(".")
        names = self._listed("{", "}", self._used_name)
        if not names:
            raise path.token.error("this use names nothing: write use path.{name}")
        self._expect(";")
        return Use(path, names)

    def _used_name(self) -> UsedName:
        name = self._name("the name of a type")
        return UsedName(name, self._name("the new name") if self._accept("as") else name)

    def _type_alias(self) -> TypeDef:
        self._expect("type")
        name = self._name("the name of the type")
        self._expect("=")
        target = self._type()
        self._expect(";")
        return TypeDef(name, "type", target=target)

    def _type_def(self, form: _TypeForm) -> TypeDef:
        self._expect(form)
        name = self._name(f"the name of the {form}")
        element = {"record": self._field, "variant": self._case}.get(form, self._label)
        members = self._listed("{", "}", element)
        if not members:
            raise name.error(f"the {form} {name} is empty: it needs at least one member")
        return TypeDef(name, form, members)

    def _field(self) -> Member:
        self._gates()
        name = self._name("the name of a field or parameter")
        self._expect(":")
        return Member(name, self._type())

    def _case(self) -> Member:
        self._gates()
        name = self._name("the name of a case")
        if not self._accept("("):
            return Member(name, None)
        payload = self._type()
        self._expect(")")
        return Member(name, payload)

    def _label(self) -> Member:
        self._gates()
        return Member(self._name("the name of a case or flag"), None)

    def _resource(self) -> ResourceDef:
        self._expect("resource")
        name = self._name("the name of the resource")
        if self._accept(";"):
            return ResourceDef(name, ())
        self._expect("{")
        functions = []
        while not self._accept("}"):
            self._gates()
            functions.append(self._constructor() if self._sees("constructor") else self._function("method"))
        return ResourceDef(name, tuple(functions))

    # Functions

    def _constructor(self) -> Function:
        token = self._expect("constructor")
        params = self._listed("(", ")", self._field)
        result = self._type() if self._accept("->") else None
        self._expect(";")
        return Function(token, params, result, is_async=False, form="constructor")

    def _function(self, form: Literal["func", "method"]) -> Function:
        name = self._name("a function, a type or '}'" if form == "func" else "a method or '}'")
        self._expect(":")
        function = self._signature(name, form)
        self._expect(";")
        return function

    def _signature(self, name: Token, form: Literal["func", "method"]) -> Function:
        is_static = form == "method" and self._accept("static")
        is_async = self._accept("async")
        self._expect("func")
        params = self._listed("(", ")", self._field)
        result = None
        if self._accept("->"):
            if self._sees("("):
                raise self._next.error("results with names are not WIT any more: return a record or a tuple")
            result = self._type()
        return Function(name, params, result, is_async, "static" if is_static else form)

    # Types

    def _type(self) -> Expression:
        self._nesting += 1
        if self._nesting > TYPE_NESTING_MAX:
            raise self._next.error(f"types are nested deeper than {TYPE_NESTING_MAX}")
        try:
            return self._type_expression()
        finally:
            self._nesting -= 1

    def _type_expression(self) -> Expression:
        token = self._next
        if token.text in UNSUPPORTED_TYPES and token.kind == "keyword":
            raise token.error(f"{token} is not supported: it cannot travel to another process")
        if token.kind == "name" or (token.kind == "keyword" and token.text in PRIMITIVES):
            return Expression(self._take())
        if token.kind == "keyword" and (token.text in _ARGUMENTS or token.text == "tuple"):
            return self._generic(self._take())
        raise token.error(f"expected a type, found {token}")

    def _generic(self, token: Token) -> Expression:
        arguments = self._listed("<", ">", self._argument) if self._sees("<") else ()
        if token.text == "tuple":
            least, most = 1, len(arguments)
        else:
            least, most = _ARGUMENTS[token.text]
        if not least <= len(arguments) <= most:
            raise token.error(f"{token} takes {_count_words(least, most)}, found {len(arguments)}")
        if None in arguments and token.text != "result":
            raise token.error(f"only a result may have '_' for a type, not {token}")
        return Expression(token, arguments)

    def _argument(self) -> Expression | None:
        if self._accept("_"):
            return None
        if self._next.kind == "number":
            raise self._next.error("lists of a fixed length are not supported: write list<type>")
        return self._type()

    # Worlds

    def _world(self) -> WorldDef:
        self._expect("world")
        name = self._name("the name of the world")
        self._expect("{")
        items, ports, includes = [], [], []
        while not self._accept("}"):
            self._gates()
            if self._sees("import") or self._sees("export"):
                ports.append(self._port())
            elif self._sees("include"):
                includes.append(self._include())
            elif definition := self._definition():
                items.append(definition)
            else:
                raise self._next.error(f"expected an import, an export, a type or '}}', found {self._next}")
        return WorldDef(name, tuple(items), tuple(ports), tuple(includes))

    def _port(self) -> Port:
        direction = cast(Literal["import", "export"], self._take().text)
        if not self._is_labelled():
            path = self._path()
            self._expect(";")
            return Port(direction, None, path)
        label = self._name("a name")
        self._expect(":")
        if self._accept("interface"):
            return Port(direction, label, self._interface(label))
        target: Path | Function
        target = self._signature(label, "func") if self._sees("func") or self._sees("async") else self._path()
        self._expect(";")
        return Port(direction, label, target)

    def _is_labelled(self) -> bool:
        """Tells `name: func(…)` and `label: namespace:package/interface` from a path alone."""
        after = self._tokens[self._at : self._at + 4]
        if len(after) < 4 or after[1].text != ":":
            return False
        return after[2].kind == "keyword" or after[3].text != "/"

    def _include(self) -> Include:
        self._expect("include")
        path = self._path()
        if self._sees("with"):
            raise self._next.error("include … with is not supported: import the interfaces by name instead")
        self._expect(";")
        return Include(path)


def _count_words(least: int, most: int) -> str:
    if most < least:
        return f"at least {least} type"
    return "1 type" if most == least == 1 else f"{least} to {most} types" if least < most else f"{most} types"
