"""Writes an interface as an abstract class of Python, so that a type checker finds a wrong operation.

A provider that derives from the class overrides its methods. What it forgets, or gives another signature, a
type checker reports; and Python makes no object of a class that has forgotten one.
"""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from lath.codec import python_name
from lath.names import InterfaceName
from lath.provider.base import Provider
from lath.provider.operation import wit_name
from lath.provider.python_types import NamedType, python_type, returned_type, taken_resources
from lath.streamed.signature import content_of
from lath.wit import types as wit
from lath.wit.text import func_text, identifier, keyword_of, members, mentioned_types, named_types

LINE_MAX: Final = 100
"""As wide as signatures are written; formatters have widths of their own."""
_CODEC_NAMES: Final = ("Err", "Ok", "Resource", "Some", "Variant")
_TYPING_NAMES: Final = ("Generic", "Literal", "TypeAlias")
_USED_NAMES: Final = frozenset(
    {*_CODEC_NAMES, *_TYPING_NAMES, "Final", "TypeVar", "ABC", "Call", "Held", "Provider"}
)
"""What the written module has already; a type of that name gets an underscore."""
_TAKEN: Final = frozenset(
    {*dir(Provider), "context", "bool", "int", "float", "str", "bytes", "list", "dict", "tuple", "frozenset"}
)
"""What means something else in a provider, or in the annotations of its methods."""


def class_name(name: str) -> str:
    """`key-response` as the name of a class: `KeyResponse`."""
    camel = "".join(word[:1].upper() + word[1:] for word in name.split("-"))
    return f"{camel}_" if camel in _USED_NAMES or keyword.iskeyword(camel) else camel


def type_variable(resource: str) -> str:
    """What stands for the class of a resource: `BucketT`."""
    return f"{class_name(resource)}T"


def resources_of(interface: wit.Interface) -> list[str]:
    """The resources that an interface defines or mentions, in order, without those that travel as streams."""
    handles = [kind for kind in mentioned_types(interface) if isinstance(kind, wit.Handle)]
    streamed = {kind.resource for kind in handles if content_of(kind) is not None}
    mentioned = [kind.resource for kind in handles]
    return [each for each in dict.fromkeys([*interface.resources, *mentioned]) if each not in streamed]


def abstract_name(interface: wit.Interface) -> str:
    """The name of the class: `StoreProvider` for `wasi:keyvalue/store`."""
    return f"{class_name(InterfaceName.parse(interface.name).interface)}Provider"


def method_names(interface: wit.Interface) -> dict[str, str]:
    """The method of each function, by the function's name in the WIT.

    A method of a resource goes by its own name, and by the resource's too where two have the same. What has
    another meaning in a provider gets an underscore.
    """
    bare = {function: _bare(function) for function in interface.functions}
    often = Counter(bare.values())
    names = {}
    for function, name in bare.items():
        if often[name] > 1 and function.startswith("["):
            name = f"{_resource_of(function)}_{name}"
        names[function] = f"{name}_" if name in _TAKEN else name
    return names


def abstract_class(interface: wit.Interface, own_wit: str = "") -> str:
    """The text of a module with the abstract class of an interface, and the types that it mentions.

    Args:
        interface: The interface.
        own_wit: The WIT of its package, where that does not ship with lath: the class brings it along.
    """
    constant = python_name(InterfaceName.parse(interface.name).interface).upper()
    variables = {resource: type_variable(resource) for resource in resources_of(interface)}
    types = [line for kind in named_types(interface) for line in _definition(kind, variables)]
    body = list(_class_lines(interface, constant, variables, own_wit))
    lines = [
        f'"""{interface.name}, as `lath wit python` writes it. A provider derives from'
        f' `{abstract_name(interface)}`."""',
        "",
        "from __future__ import annotations",
        "",
        *_imports("\n".join([*types, *body])),
        "",
        f'{constant}: Final = "{interface.name}"',
        "",
        'Held = TypeVar("Held")',
        '"""What `open_link` returns."""',
    ]
    for resource, variable in variables.items():
        lines += [f'{variable} = TypeVar("{variable}")']
        lines += [f'"""The class that stands for the resource `{resource}`, made by `@resource`."""']
    return "\n".join([*lines, *types, "", "", *body]) + "\n"


def signature(
    interface: wit.Interface, function: str, variables: Mapping[str, str], held: str = "Held"
) -> list[str]:
    """The lines of the `async def` of a function, indented as in a class.

    Args:
        interface: Its interface.
        function: Its name in the WIT.
        variables: What each resource is annotated with.
        held: What a link holds.
    """
    func = interface.functions[function]
    names = [python_name(param.name) for param in func.params]
    if function.startswith("[method]"):
        own = _resource_of(function)
        names[0] = f"{own}_" if own in names[1:] else own
    call = "call_" if "call" in names else "call"
    kinds = [_python(param.type, taken_resources(param.type, variables)) for param in func.params]
    params = ["self", f"{call}: Call[{held}]", *map("{}: {}".format, names, kinds)]
    result = _python(returned_type(func), variables)
    head = f"    async def {method_names(interface)[function]}("
    line = f"{head}{', '.join(params)}) -> {result}:"
    if len(line) <= LINE_MAX:
        return [line]
    return [head, *(f"        {param}," for param in params), f"    ) -> {result}:"]


def operation_mark(interface: wit.Interface, function: str, constant: str) -> str:
    """The arguments of `@operation` for the method of a function."""
    plain = wit_name(method_names(interface)[function]) == function
    return constant if plain else f'{constant}, "{function}"'


def _bare(function: str) -> str:
    if function.startswith("[constructor]"):
        return f"new_{python_name(function.partition(']')[2])}"
    return python_name(function.rpartition("]")[2].rpartition(".")[2])


def _resource_of(function: str) -> str:
    return python_name(function.partition("]")[2].partition(".")[0])


def _imports(text: str) -> list[str]:
    def used(names: Sequence[str]) -> str:
        return ", ".join(name for name in names if re.search(rf"\b{name}\b", text))

    codec = used(_CODEC_NAMES)
    stream = "ByteStream, " if "ByteStream" in text else ""
    return [
        "from abc import ABC, abstractmethod",
        *(["from collections.abc import AsyncIterator"] if "AsyncIterator[" in text else []),
        *(["from dataclasses import dataclass"] if "@dataclass" in text else []),
        f"from typing import Final, {used(_TYPING_NAMES)}, TypeVar",
        "",
        *([f"from lath.codec import {codec}"] if codec else []),
        f"from lath.provider import {stream}Call, Provider, operation",
    ]


def _definition(kind: NamedType, variables: Mapping[str, str]) -> Iterator[str]:
    name = class_name(kind.name or "")
    text = f"{keyword_of(kind)} {identifier(kind.name or '')}"
    match kind:
        case wit.Record(fields):
            yield from ("", "", "@dataclass(frozen=True, slots=True)", f"class {name}:")
            yield from (f'    """`{text}`."""', "")
            yield from (f"    {python_name(each.name)}: {_python(each.type, variables)}" for each in fields)
        case wit.Variant():
            cases = ", ".join(members(kind))
            yield from ("", f"{name}: TypeAlias = Variant", f'"""`{text} {{ {cases} }}`."""')
        case wit.Enum(cases):
            yield from ("", f"{name}: TypeAlias = Literal[{_quoted(cases)}]", f'"""`{text}`."""')
        case wit.Flags(labels):
            yield from ("", f"{name}: TypeAlias = frozenset[Literal[{_quoted(labels)}]]", f'"""`{text}`."""')


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _python(kind: wit.Type | None, variables: Mapping[str, str]) -> str:
    return python_type(kind, variables, lambda each: class_name(each.name) if each.name else None)


def _class_lines(
    interface: wit.Interface, constant: str, variables: Mapping[str, str], own_wit: str
) -> Iterator[str]:
    generic = ", ".join(["Held", *variables.values()])
    yield f"class {abstract_name(interface)}(Provider, ABC, Generic[{generic}]):"
    yield f'    """Serves {interface.name}."""'
    if own_wit:
        escaped = own_wit.replace("\\", "\\\\").replace('"', '\\"')
        yield from ("", f'    wit = """{escaped}"""')
    for function, func in interface.functions.items():
        yield from ("", f"    @operation({operation_mark(interface, function, constant)})")
        yield "    @abstractmethod"
        yield from signature(interface, function, variables)
        yield f'        """`{function}: {func_text(func)}`."""'
