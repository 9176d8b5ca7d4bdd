"""WIT text to descriptors: `parse` reads a text and resolves every name in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from lath.errors import InvalidArgument
from lath.names import versions_compatible
from lath.wit.lexer import Token
from lath.wit.package import Definition, Package
from lath.wit.reader import read
from lath.wit.scope import Scope
from lath.wit.syntax import Document, Function, InterfaceDef, Path, Port, WorldDef
from lath.wit.types import Func, Interface, World


def parse(text: str, packages: Iterable[Package] = ()) -> Package:
    """The package that a text defines.

    Supported is WIT without streams, futures and lists of a fixed length. Gates (`@since`, `@unstable`) are
    read, and what stands behind them is included. Functions of a world itself are found under the name "".

    Args:
        text: One package: `package namespace:name@1.2.3;` and what follows.
        packages: Other packages that it may `use`, import and export.

    Raises:
        InvalidArgument: The text is not WIT, a name is unknown, or something is not supported; with line and
            column.
    """
    try:
        return _Resolver(read(text), packages).package()
    except RecursionError:  # a chain of hundreds of names, each leading to the next
        raise InvalidArgument("the WIT text is nested too deep") from None


class _Resolver:
    """Resolves the names of one text."""

    def __init__(self, document: Document, packages: Iterable[Package]) -> None:
        self._document = document
        self._packages = list(packages)
        self._scopes: dict[str, Scope] = {}
        self._aliases: dict[str, Path] = {}
        self._interfaces: dict[str, Interface] = {}
        self._worlds: dict[str, World] = {}
        self._running: list[str] = []
        self._world_defs: dict[str, WorldDef] = {}

    def package(self) -> Package:
        document = self._document
        for token, path in document.aliases:
            self._claim(token)
            self._aliases[token.text] = path
        for interface in document.interfaces:
            self._claim(interface.name)
            full_name = self._full_name(interface.name.text)
            self._scopes[interface.name.text] = Scope(full_name, interface.items, self._find_type)
        for world in document.worlds:
            self._claim(world.name)
            self._world_defs[world.name.text] = world
        types = {name: scope.types() for name, scope in self._scopes.items()}
        for name, scope in self._scopes.items():
            self._interfaces[name] = _interface(self._full_name(name), scope)
        worlds = {name: self._world(world.name, name) for name, world in self._world_defs.items()}
        return Package(document.namespace, document.name, document.version, self._interfaces, worlds, types)

    def _claim(self, name: Token) -> None:
        if name.text in {**self._scopes, **self._aliases, **self._world_defs}:
            raise name.error(f"the name {name} is defined twice")

    def _full_name(self, interface: str) -> str:
        document = self._document
        version = f"@{document.version}" if document.version else ""
        return f"{document.namespace}:{document.name}/{interface}{version}"

    # Looking things up

    def _canonical(self, path: Path) -> Path:
        """The path behind an alias; one into this very package becomes a bare name."""
        path = self._aliases.get(path.name, path) if not path.package else path
        own = (self._document.namespace, self._document.name)
        if (path.namespace, path.package) == own and path.version in ("", self._document.version):
            return Path(path.token, path.name)
        return path

    def _foreign(self, path: Path) -> Package:
        asked = f"{path.namespace}:{path.package}"
        known = [package for package in self._packages if package.unversioned == asked]
        exact = [package for package in known if package.version == path.version]
        fitting = exact or [each for each in known if versions_compatible(path.version, each.version)]
        if fitting:
            return fitting[-1]
        wanted = f"{asked}@{path.version}" if path.version else asked
        others = f", only {', '.join(map(str, known))}" if known else ""
        raise path.token.error(
            f"the package {wanted} is not known{others}: register its text first (lath.wit.register)"
        )

    def _find_type(self, path: Path, name: Token) -> Definition:
        path = self._canonical(path)
        if not path.package:
            scope = self._scopes.get(path.name)
            if scope is None:
                raise path.token.error(f"the package has no interface {path.name!r}")
            return scope.resolve(name, name.text)
        package = self._foreign(path)
        types = package.types.get(path.name)
        if types is None:
            raise path.token.error(f"the package {package} has no interface {path.name!r}")
        if name.text not in types:
            raise name.error(f"the interface {package.unversioned}/{path.name} has no type {name}")
        return types[name.text]

    def _find_interface(self, path: Path) -> Interface:
        path = self._canonical(path)
        package = self._foreign(path) if path.package else None
        interfaces = package.interfaces if package else self._interfaces
        if path.name not in interfaces:
            where = f"the package {package}" if package else "the package"
            raise path.token.error(f"{where} has no interface {path.name!r}")
        return interfaces[path.name]

    # Worlds

    def _world(self, token: Token, name: str) -> World:
        if name in self._worlds:
            return self._worlds[name]
        world = self._world_defs.get(name)
        if world is None:
            raise token.error(f"the package has no world {name!r}")
        if name in self._running:
            raise token.error(f"the world {name} includes itself")
        self._running.append(name)
        scope = Scope("", world.items, self._find_type)
        sides: dict[str, dict[str, Interface]] = {"import": {}, "export": {}}
        for include in world.includes:
            included = self._included(include.path)
            sides["import"].update(included.imports)
            sides["export"].update(included.exports)
        if scope.resources:
            sides["import"][""] = _interface("", scope)
        for port in world.ports:
            self._add_port(sides[port.direction], port, scope)
        self._running.pop()
        scope.types()
        self._worlds[name] = World(sides["import"], sides["export"])
        return self._worlds[name]

    def _included(self, path: Path) -> World:
        path = self._canonical(path)
        if not path.package:
            return self._world(path.token, path.name)
        package = self._foreign(path)
        if path.name not in package.worlds:
            raise path.token.error(f"the package {package} has no world {path.name!r}")
        return package.worlds[path.name]

    def _add_port(self, side: dict[str, Interface], port: Port, scope: Scope) -> None:
        if isinstance(port.target, Function):
            own = side.get("", Interface("", {}))
            self._check_new(own.functions, port.target.name, port.target.name.text)
            functions = {**own.functions, port.target.name.text: scope.function(port.target)}
            side[""] = replace(own, functions=functions)
            return
        if isinstance(port.target, InterfaceDef):
            name = port.target.name
            interface = _interface(name.text, Scope(name.text, port.target.items, self._find_type))
        else:
            name = port.label or port.target.token
            label = port.label.text if port.label else None
            interface = replace(self._find_interface(port.target), label=label)
        key = interface.label or interface.name
        self._check_new(side, name, key)
        side[key] = interface

    def _check_new(self, taken: Iterable[str], token: Token, name: str) -> None:
        if name in taken:
            raise token.error(f"{name!r} stands there twice")


def _interface(name: str, scope: Scope) -> Interface:
    functions: dict[str, Func] = scope.functions()
    return Interface(name, functions, tuple(scope.resources))
