"""A component in text that does with sockets what it is told: each function that it imports, it exports.

Handles stay in it, and are numbers outside. It is made from the WIT of its imports: nothing of them is left
out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from lath import wit
from lath.wit.types import (
    Enum,
    Func,
    Handle,
    Interface,
    ListOf,
    OptionOf,
    Primitive,
    Record,
    ResultOf,
    TupleOf,
    Type,
    Variant,
)

_INTERFACES: Final = tuple(
    wit.load(name)
    for name in (
        "wasi:io/error", "wasi:io/poll", "wasi:io/streams", "wasi:clocks/monotonic-clock",
        "wasi:sockets/network", "wasi:sockets/instance-network", "wasi:sockets/tcp",
        "wasi:sockets/tcp-create-socket",
        "wasi:sockets/udp", "wasi:sockets/udp-create-socket", "wasi:sockets/ip-name-lookup",
    )
)  # fmt: skip
_MEMORY: Final = "(memory $memory) (realloc $realloc)"
_LIBC: Final = """
  (core module $libc-module
    (memory (export "memory") 64)
    (global $next (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32) (param $size i32) (result i32) (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get $size)))
      (local.get $at))
    (func (export "reset") (param i32) (global.set $next (i32.const 1024))))
  (core instance $libc (instantiate $libc-module))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
  (alias core export $libc "reset" (core func $reset))
"""


def function_name(function: str) -> str:
    """What an imported function is called among the exports: `[method]tcp-socket.accept` is `accept`.

    Those that several resources have keep the resource's name.
    """
    resource, _, method = function.rpartition("]")[2].rpartition(".")
    several = [other for each in _INTERFACES for other in each.functions if other.endswith(f".{method}")]
    return f"{resource}-{method}" if len(several) > 1 else method


def _text(type_: Type | None, *, outside: bool = False) -> str:
    """A type in component text; `outside` it has numbers in place of handles."""
    match type_:
        case Primitive(kind):
            return str(kind)
        case Handle(mode, resource):
            return "u32" if outside else f"({mode} ${resource})"
        case Enum() | Variant() | Record():
            return f"${type_.name}"
        case ListOf(element):
            return f"(list {_text(element, outside=outside)})"
        case OptionOf(inner):
            return f"(option {_text(inner, outside=outside)})"
        case TupleOf(elements):
            return f"(tuple {' '.join(_text(each, outside=outside) for each in elements)})"
        case ResultOf(ok, err):
            given = _text(ok, outside=outside) if ok else ""
            failed = f"(error {_text(err, outside=outside)})" if err else ""
            return f"(result {given} {failed})"
    raise TypeError(type_)


def _definition(type_: Type) -> str:
    match type_:
        case Enum(cases):
            return "(enum " + " ".join(f'"{case}"' for case in cases) + ")"
        case Variant(cases):
            listed = (f'(case "{case.name}" {_text(case.type) if case.type else ""})' for case in cases)
            return f"(variant {' '.join(listed)})"
        case Record(fields):
            return "(record " + " ".join(f'(field "{each.name}" {_text(each.type)})' for each in fields) + ")"
    raise TypeError(type_)


def _inside(type_: Type | None) -> Iterator[Type]:
    """All types that a type is made of, the innermost first."""
    match type_:
        case Record(fields):
            inner: Sequence[Type | None] = [field.type for field in fields]
        case Variant(cases):
            inner = [case.type for case in cases]
        case TupleOf(elements):
            inner = elements
        case ListOf(element) | OptionOf(element):
            inner = [element]
        case ResultOf(ok, err):
            inner = [ok, err]
        case _:
            inner = []
    for each in inner:
        yield from _inside(each)
    if type_ is not None:
        yield type_


def _flat(type_: Type | None) -> list[str]:
    """The core types that a value is passed as."""
    match type_:
        case None:
            return []
        case Primitive(kind):
            return {"u64": ["i64"], "string": ["i32", "i32"]}.get(str(kind), ["i32"])
        case ListOf():
            return ["i32", "i32"]
        case Record(fields):
            return [core for field in fields for core in _flat(field.type)]
        case TupleOf(elements):
            return [core for element in elements for core in _flat(element)]
        case OptionOf(inner):
            return ["i32", *_flat(inner)]
        case Variant(cases):
            return ["i32", *max((_flat(case.type) for case in cases), key=len)]
        case ResultOf(ok, err):
            return ["i32", *max(_flat(ok), _flat(err), key=len)]
    return ["i32"]


def _types_of(func: Func) -> Iterator[Type]:
    for type_ in (*(param.type for param in func.params), func.result):
        yield from _inside(type_)


def imported(interface: Interface, known: set[str]) -> str:
    lines: list[str] = []
    own = list(interface.resources)
    lines += [f'(export "{name}" (type ${name} (sub resource)))' for name in own]
    here = set(own)
    for func in interface.functions.values():
        for type_ in _types_of(func):
            name = type_.resource if isinstance(type_, Handle) else getattr(type_, "name", None)
            if name is None or name in here:
                continue
            here.add(name)
            if name in known:
                lines.append(f"(alias outer 1 ${name} (type $raw-{name}))")
            else:
                own.append(name)
                lines.append(f"(type $raw-{name} {_definition(type_)})")
            lines.append(f'(export "{name}" (type ${name} (eq $raw-{name})))')
    for function, func in interface.functions.items():
        params = " ".join(f'(param "{param.name}" {_text(param.type)})' for param in func.params)
        result = f"(result {_text(func.result)})" if func.result else ""
        lines.append(f'(export "{function}" (func {params} {result}))')
    known |= set(own)
    instance = interface.name.partition("/")[2].partition("@")[0]
    aliases = "\n".join(f'  (alias export $i-{instance} "{name}" (type ${name}))' for name in own)
    return (
        f'  (import "{interface.name}" (instance $i-{instance}\n    '
        + "\n    ".join(lines)
        + f"))\n{aliases}"
    )


@dataclass(frozen=True)
class _Exported:
    """The parts of one export."""

    lowered: str
    wrapper: str
    lifted: str


def _exported(instance: str, function: str, func: Func) -> _Exported:
    name = function_name(function)
    flat = [core for param in func.params for core in _flat(param.type)]
    result = _flat(func.result)
    through_memory = len(result) > 1
    signature = f"(param {' '.join(flat)})" if flat else ""
    core = f"(param {' '.join([*flat, *(['i32'] if through_memory else [])])})"
    passed = " ".join(f"(local.get {index})" for index in range(len(flat)))
    call = (
        f"(call ${name} {passed} (i32.const 8)) (i32.const 8)"
        if through_memory
        else f"(call ${name} {passed})"
    )
    returned = "(result i32)" if through_memory else f"(result {result[0]})" if result else ""
    imported = core if through_memory else f"{signature} {returned}"
    params = " ".join(f'(param "{param.name}" {_text(param.type, outside=True)})' for param in func.params)
    given = f"(result {_text(func.result, outside=True)})" if func.result else ""
    post = "(post-return $reset)" if through_memory else ""
    return _Exported(
        f'  (core func ${name} (canon lower (func $i-{instance} "{function}") {_MEMORY}))',
        f'    (import "host" "{name}" (func ${name} {imported}))\n'
        f'    (func (export "{name}") {signature} {returned} {call})',
        f'  (func (export "{name}") {params} {given} '
        f'(canon lift (core func $guest "{name}") {_MEMORY} {post}))',
    )


def remote_controlled() -> bytes:
    """The component, in text."""
    known: set[str] = set()
    imports = [imported(interface, known) for interface in _INTERFACES]
    exported = [
        _exported(interface.name.partition("/")[2].partition("@")[0], function, func)
        for interface in _INTERFACES
        for function, func in interface.functions.items()
    ]
    names = [function_name(name) for interface in _INTERFACES for name in interface.functions]
    resources = [name for interface in _INTERFACES for name in interface.resources]
    drops = "\n".join(
        f"  (core func $drop-{name} (canon resource.drop ${name}))\n"
        f'  (func (export "drop-{name}") (param "handle" u32) (canon lift (core func $drop-{name})))'
        for name in resources
    )
    given = " ".join(f'(export "{name}" (func ${name}))' for name in names)
    wrappers = [each.wrapper for each in exported]
    inner = "\n".join(line for wrapper in wrappers for line in wrapper.splitlines() if "(import" in line)
    outer = "\n".join(line for wrapper in wrappers for line in wrapper.splitlines() if "(import" not in line)
    return "\n".join(
        [
            "(component", *imports, _LIBC, *(each.lowered for each in exported),
            "  (core module $guest-module", inner, outer, "  )",
            f'  (core instance $guest (instantiate $guest-module (with "host" (instance {given}))))',
            *(each.lifted for each in exported), drops, ")",
        ]
    ).encode()  # fmt: skip
