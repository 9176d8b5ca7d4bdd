"""Whether an operation's annotations agree with the WIT, looked at once, when the class is defined.

A parameter's annotation must take every value that the codec gives for its type; the return annotation must
be of values that the codec takes. What is absent, `Any`, a type variable, or a name that cannot be resolved
(it is imported for type checkers only) says nothing and agrees.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, SimpleNamespace
from typing import Any, Final

from lath.provider.fitting import Fitting
from lath.provider.python_types import class_names, expected_words, returned_type, taken_resources
from lath.wit import types as wit
from lath.wit.text import type_text

_OWN_PARAMS: Final = 2
"""`self` and `call` come before the parameters of the WIT."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """What stands at a parameter, or at the result.

    Attributes:
        name: The parameter's; empty for the result.
        written: As it is written.
        means: The type; `Any` where it says nothing.
    """

    name: str
    written: str
    means: Any


@dataclass(frozen=True, slots=True)
class Annotations:
    """What a method says of the parameters of its function, in order, and of its result."""

    params: Sequence[Annotation]
    result: Annotation


def annotations_of(method: Callable[..., Any], namespace: Mapping[str, Any]) -> Annotations:
    """The annotations of an operation.

    Args:
        method: As it stands in the class; its parameters were counted.
        namespace: Of the class: names that its annotations may use beside those of the module.
    """
    signature = inspect.signature(method)
    # Types only: a method that is called `list` does not stand for its own annotations.
    resolve = _resolver(method, {name: each for name, each in namespace.items() if isinstance(each, type)})
    own = list(signature.parameters.values())[_OWN_PARAMS:]
    result = signature.return_annotation
    return Annotations(
        [Annotation(each.name, _shown(each.annotation), resolve(each.annotation)) for each in own],
        Annotation("", _shown(result), resolve(result)),
    )


def contradictions(
    annotations: Annotations, func: wit.Func, resources: Mapping[str, type[Any]]
) -> Iterator[str]:
    """What annotations say against the WIT, a line for each of them.

    Args:
        annotations: The method's.
        func: The signature of the function that it serves.
        resources: The classes of the provider's resources, by their names in the WIT.
    """
    names = class_names(resources)
    for own, param in zip(annotations.params, func.params, strict=True):
        detail = Fitting("taken", resources).of(own.means, param.type)
        if detail is not None:
            taken = taken_resources(param.type, names)
            yield (
                f"parameter {own.name!r} is annotated `{own.written}`, but the WIT says"
                f" `{type_text(param.type)}`: expected {expected_words(param.type, taken)}{_more(detail)}"
            )
    result = annotations.result
    detail = Fitting("given", resources).of_return(result.means, func)
    if detail is not None:
        said = "no result" if func.result is None else f"`{type_text(func.result)}`"
        yield (
            f"the result is annotated `{result.written}`, but the WIT says {said}:"
            f" expected {expected_words(returned_type(func), names)}{_more(detail)}"
        )


def _resolver(method: Callable[..., Any], namespace: dict[str, Any]) -> Callable[[Any], Any]:
    plain = inspect.unwrap(method)
    module = getattr(plain, "__globals__", {})

    def resolve(annotation: Any) -> Any:
        if annotation is inspect.Parameter.empty:
            return Any
        if annotation is None:
            return NoneType
        holder = SimpleNamespace(__annotations__={"it": annotation})
        try:
            return typing.get_type_hints(holder, module, namespace, include_extras=True)["it"]
        except Exception:  # whatever a name under TYPE_CHECKING, or one of a later Python, ends in
            return Any

    return resolve


def _shown(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _more(detail: str) -> str:
    return f" ({detail})" if detail else ""
