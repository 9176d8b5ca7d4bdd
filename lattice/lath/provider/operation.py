"""`@operation`: which function of which interface a method serves, checked against the WIT."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar, overload

from lath.codec import python_name
from lath.errors import InvalidArgument
from lath.names import InterfaceName, check_function
from lath.wit.types import Func, Interface

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])

_MARK: Final = "__lath_operations__"
_OWN_PARAMS: Final = 2
"""`self` and `call` come before the parameters of the WIT."""


@dataclass(frozen=True, slots=True)
class OperationMark:
    """What the decorator noted. Empty: taken from the class's `interface`, or from the method's name."""

    interface: str
    function: str


@overload
def operation(interface: F, /) -> F: ...
@overload
def operation(interface: str = "", /, name: str = "") -> Callable[[F], F]: ...


def operation(interface: F | str = "", /, name: str = "") -> F | Callable[[F], F]:
    """Marks an `async def` method of a `Provider` as the one that serves a function of an interface.

    `@operation("wasi:keyvalue/store")` serves the function that the method's name says, in the WIT's spelling
    (`list_keys` serves `list-keys`); `@operation("wasi:keyvalue/store", "[method]bucket.get")` says which.
    Bare `@operation` takes the interface from the class's `interface`. It may stand several times, and the
    method itself stays as it is.

    The method takes `self`, the `Call`, and the function's parameters by their names in snake_case. What it
    returns is the result; where that is a `result<…>`, what it returns is `ok`, and `raise OpError(payload)`
    is `err`. Any other exception is an `internal` error for the caller.

    Args:
        interface: `namespace:package/interface`, with `@version` where several versions are known.
        name: The function's name in the WIT.
    """
    if callable(interface):
        return _mark(interface, OperationMark("", ""))
    mark = OperationMark(interface, name)
    return lambda method: _mark(method, mark)


def _mark(method: F, mark: OperationMark) -> F:
    marks: tuple[OperationMark, ...] = getattr(method, _MARK, ())
    setattr(method, _MARK, (*marks, mark))
    return method


def marked(cls: type[Any]) -> Iterator[tuple[str, OperationMark]]:
    """The operations of a class and its bases: the attribute's name, and what was noted."""
    seen: set[str] = set()
    for base in cls.__mro__:
        for attribute, value in vars(base).items():
            marks = getattr(value, _MARK, ())
            if marks and attribute not in seen:
                seen.add(attribute)
                yield from ((attribute, mark) for mark in marks)


def wit_name(method_name: str) -> str:
    """The WIT's spelling of a Python method's name: `list_keys` is `list-keys`."""
    return method_name.strip("_").replace("_", "-")


def find(interface: Interface, function: str, where: str) -> Func:
    """The signature of a function of an interface.

    Raises:
        InvalidArgument: There is none of that name; the message lists those that there are.
    """
    func = interface.functions.get(check_function(function))
    if func is None:
        raise InvalidArgument(
            f"{where}: {interface.name} has no function {function!r}, only {', '.join(interface.functions)}"
        )
    return func


def check_signature(method: Callable[..., Any], function: str, func: Func, where: str, wit: str) -> None:
    """Checks that a method takes what its function has.

    Args:
        method: The method, as it stands in the class.
        function: The function's name in the WIT.
        func: Its signature.
        where: The method's name, for the message.
        wit: The signature as WIT text, for the message.

    Raises:
        InvalidArgument: It is not `async def`, or the number or the names of its parameters differ.
    """
    if not inspect.iscoroutinefunction(method):
        raise InvalidArgument(f"{where}: operations are `async def`")
    params = list(inspect.signature(method).parameters.values())
    if any(p.kind in (p.VAR_POSITIONAL, p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in params):
        raise InvalidArgument(f"{where}: operations take plain parameters, no *args, ** or keyword-only ones")
    names = [p.name for p in params[_OWN_PARAMS:]]
    expected = [python_name(p.name) for p in func.params]
    same = len(params) >= _OWN_PARAMS and len(names) == len(expected)
    # The first parameter of a resource's method is the resource itself; `self` is taken, so any name will do.
    skip = 1 if function.startswith("[method]") else 0
    if not same or names[skip:] != expected[skip:]:
        wanted = ", ".join(["self", "call", *(["resource"] if skip else []), *expected[skip:]])
        got = ", ".join(p.name for p in params)
        raise InvalidArgument(f"{where} takes ({got}), but the WIT asks for ({wanted}):\n    {wit}")


def interface_of(cls: type[Any], mark: OperationMark, where: str) -> InterfaceName:
    """The interface that an operation belongs to.

    Raises:
        InvalidArgument: Neither the operation nor its class names one.
    """
    text = mark.interface or getattr(cls, "interface", "")
    if not text:
        raise InvalidArgument(
            f"{where}: name the interface, as in @operation('wasi:keyvalue/store'),"
            " or set `interface` in the class"
        )
    return InterfaceName.parse(text)
