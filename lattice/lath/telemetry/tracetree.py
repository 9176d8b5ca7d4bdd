"""Reads the span files of `LATH_TRACE_DIR`, of every process that wrote there, and joins them to trees."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class SpanNode:
    """One span, with those that it is the parent of, in the order of their start.

    Attributes:
        error: What went wrong; empty when nothing did.
        attributes: As the span carried them.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    service: str
    instance: str
    host: str
    start_ns: int
    end_ns: int
    error: str
    attributes: dict[str, Any]
    children: list[SpanNode] = field(default_factory=list)

    @property
    def duration_ms(self) -> float:
        return (self.end_ns - self.start_ns) / 1e6

    def walk(self) -> Iterator[SpanNode]:
        """This span and all below it, depth first."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(slots=True)
class Trace:
    """One trace. `roots` has more than one where a span's parent was not recorded here."""

    trace_id: str
    roots: list[SpanNode]

    def spans(self) -> list[SpanNode]:
        """Every span, depth first."""
        return [node for root in self.roots for node in root.walk()]


def read_traces(directory: Path) -> dict[str, Trace]:
    """The traces in a folder, by trace id, in the order of their start.

    A line that is still being written, or is no span, is passed over: the processes may be running.
    """
    by_trace: dict[str, list[SpanNode]] = defaultdict(list)
    for path in sorted(directory.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            node = _parse(line)
            if node is not None:
                by_trace[node.trace_id].append(node)
    traces = [Trace(trace_id, _join(nodes)) for trace_id, nodes in by_trace.items()]
    traces.sort(key=lambda trace: trace.roots[0].start_ns)
    return {trace.trace_id: trace for trace in traces}


def _parse(line: str) -> SpanNode | None:
    try:
        raw = json.loads(line)
        return SpanNode(
            trace_id=raw["trace_id"],
            span_id=raw["span_id"],
            parent_id=raw["parent_id"],
            name=raw["name"],
            kind=raw["kind"],
            service=raw["service"],
            instance=raw["instance"],
            host=raw["host"],
            start_ns=raw["start_ns"],
            end_ns=raw["end_ns"],
            error=raw["error"] or raw["attributes"].get("error.type", ""),
            attributes=raw["attributes"],
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _join(nodes: list[SpanNode]) -> list[SpanNode]:
    by_id = {node.span_id: node for node in nodes}
    roots = []
    for node in sorted(nodes, key=lambda node: node.start_ns):
        parent = by_id.get(node.parent_id)
        if parent is None or parent is node:
            roots.append(node)
        else:
            parent.children.append(node)
    return roots


def render(trace: Trace) -> str:
    """The trace as indented lines for people: name, side, service, duration, error."""
    lines = []

    def add(node: SpanNode, depth: int) -> None:
        failure = f"  ! {node.error}" if node.error else ""
        lines.append(
            f"{'  ' * depth}{node.name} [{node.kind} {node.service}] {node.duration_ms:.1f} ms{failure}"
        )
        for child in node.children:
            add(child, depth + 1)

    for root in trace.roots:
        add(root, 0)
    return "\n".join(lines)
