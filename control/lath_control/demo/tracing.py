"""The demo's trace: read from the files that every process writes, shown as a tree."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rich.text import Text
from rich.tree import Tree

from lath.telemetry.tracetree import SpanNode, Trace, read_traces

WAIT_SECONDS: Final = 10.0
"""Spans are written as they end, by each process in its own time."""
_POLL_SECONDS: Final = 0.05
_COLOURS: Final = ("cyan", "magenta", "green", "yellow", "blue")


async def whole_trace(folder: Path, trace_id: str, *, processes: int, spans: int) -> Trace | None:
    """The trace, as soon as so many processes and spans are in it; else as it stands when time is over."""
    trace = None
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                trace = (await asyncio.to_thread(read_traces, folder)).get(trace_id)
                if trace and len(processes_of(trace)) >= processes and len(trace.spans()) >= spans:
                    return trace
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        return trace


def processes_of(trace: Trace) -> set[str]:
    """The processes that took part, each by what it is called in the spans."""
    return {_process(span) for span in trace.spans()}


def _process(span: SpanNode) -> str:
    return f"{span.service} {span.host}".strip()


def tree(trace: Trace, host_names: Mapping[str, str]) -> Tree:
    """The trace for people.

    Args:
        trace: What was recorded.
        host_names: The friendly name of each host id: providers' spans carry the id.
    """
    names = sorted(processes_of(trace))
    colours = {name: _COLOURS[index % len(_COLOURS)] for index, name in enumerate(names)}
    top = Tree(Text(f"trace {trace.trace_id}", style="dim"), guide_style="dim")

    def add(branch: Tree, span: SpanNode) -> None:
        process = _process(span)
        shown = f"{span.service} {host_names.get(span.host, span.host)}".strip()
        label = Text.assemble(
            span.name,
            (f"  {span.kind}", "dim"),
            (f"  {shown}", colours.get(process, "")),
            (f"  {span.duration_ms:.1f} ms", "dim"),
            (f"  {span.error}" if span.error else "", "red"),
        )
        below = branch.add(label)
        for child in span.children:
            add(below, child)

    for root in trace.roots:
        add(top, root)
    return top
