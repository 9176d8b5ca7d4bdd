"""WIT types as Python writes them in an operation's annotations: for messages, and for generated code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from lath.codec import python_name
from lath.streamed.signature import content_of
from lath.wit import types as wit

NamedType: TypeAlias = wit.Record | wit.Variant | wit.Enum | wit.Flags
Named: TypeAlias = Callable[[NamedType], str | None]
"""Says what a type with a name is called in Python; None: as the codec's friendly form is."""

_PRIMITIVES: Final[Mapping[str, str]] = {
    "bool": "bool", "f32": "float", "f64": "float", "char": "str", "string": "str",
}  # fmt: skip
"""All others are integers."""


def python_type(
    kind: wit.Type | None,
    resources: Mapping[str, str] | None = None,
    named: Named = lambda _: None,
) -> str:
    """The annotation of a value: `list[tuple[str, bytes] | None]`.

    Args:
        kind: Its type; None: there is no value.
        resources: The Python classes of the provider's resources, by their names in the WIT.
        named: Names the types that have names.
    """

    def text(inner: wit.Type | None) -> str:
        return python_type(inner, resources, named)

    if isinstance(kind, NamedType) and (name := named(kind)) is not None:
        return name
    match kind:
        case None:
            return "None"
        case wit.Primitive(name):
            return _PRIMITIVES.get(name, "int")
        case wit.ListOf() if kind.is_bytes:
            return "bytes"
        case wit.ListOf(element):
            return f"list[{text(element)}]"
        case wit.MapOf(key, value):
            return f"dict[{text(key)}, {text(value)}]"
        case wit.TupleOf(elements):
            return f"tuple[{', '.join(map(text, elements)) or '()'}]"
        case wit.Record():
            return "Record"
        case wit.Variant():
            return "Variant"
        case wit.Enum():
            return "str"
        case wit.Flags():
            return "frozenset[str]"
        case wit.OptionOf(inner):
            return f"Some[{text(inner)}] | None" if kind.inner_may_be_nil else f"{text(inner)} | None"
        case wit.ResultOf(ok, err):
            return f"Ok[{text(ok)}] | Err[{text(err)}]"
        case wit.Handle(resource=name):
            content = content_of(kind)
            if content is not None:
                return "AsyncIterator[str]" if content == "strings" else "ByteStream"
            return (resources or {}).get(name, "Resource")


def taken_resources(kind: wit.Type, resources: Mapping[str, str]) -> Mapping[str, str]:
    """The classes that the handles in a parameter of this type come as.

    Alone, in options and in lists they are made into resources; anywhere else they stay `Resource`.
    """
    match kind:
        case wit.Handle():
            return resources
        case wit.OptionOf(inner) | wit.ListOf(inner):
            return taken_resources(inner, resources)
        case _:
            return {}


def returned_type(func: wit.Func) -> wit.Type | None:
    """The type of what an operation returns: where its function has a `result`, what `ok` carries."""
    return func.result.ok if isinstance(func.result, wit.ResultOf) else func.result


def class_names(resources: Mapping[str, type[Any]]) -> dict[str, str]:
    """The names of the classes of a provider's resources."""
    return {name: cls.__name__ for name, cls in resources.items()}


def expected_words(kind: wit.Type | None, resources: Mapping[str, str]) -> str:
    """What is expected in Python, in words for a message."""
    text = f"`{python_type(kind, resources)}`"
    if isinstance(kind, wit.Record):
        fields = ", ".join(python_name(each.name) for each in kind.fields)
        text += f", or a class with the fields {fields}"
    return text
