"""The example of one component three times, chained by HTTP over three hosts, by the lines of its README."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import pytest
from lath_command import EXAMPLES
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otlp_receiver import OtlpReceiver

CALL = "wasi:http/incoming-handler.handle"
HOP = [("GET /", "SERVER"), (CALL, "CLIENT"), (CALL, "SERVER"), ("GET", "CLIENT")]
PLAIN = ("GET /", "SERVER")
THEIR_TRACE, THEIR_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CACHE = Path(tempfile.gettempdir()) / "lath-test-chain"
"""Building and compiling the component is slow, and depends on its source alone."""

Spans = list[tuple[str, Span]]
"""With the name of their services."""


def lines_of(readme: str, ports: dict[str, int]) -> str:
    """The commands of a README, at other ports."""
    script = "\n".join(re.findall(r"^```sh\n(.*?)^```", readme, re.DOTALL | re.MULTILINE))
    for written, port in ports.items():
        script = re.sub(rf"\b{written}\b", str(port), script)
    return "set -e\n" + script.replace("lath up ", "lath up --port 0 ")


def free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in taken]
    for each in taken:
        each.close()
    return ports


async def run_lines(script: str, folder: Path) -> str:
    """What the lines print."""
    paths = {f"XDG_{kind}_HOME": str(folder / kind.lower()) for kind in ("CONFIG", "STATE")}
    env = {**os.environ, **paths, "XDG_CACHE_HOME": str(CACHE)}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
    del env["LATH_HOME"]
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", f"trap 'lath down; kill $!' ERR\n{script}",
        cwd=folder,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, (out.decode(), err.decode())
    return out.decode()


def spans_of(receiver: OtlpReceiver) -> dict[str, Spans]:
    """All spans, by trace."""
    traces: dict[str, Spans] = {}
    for export in receiver.traces():
        for resource in export.resource_spans:
            names = [a.value.string_value for a in resource.resource.attributes if a.key == "service.name"]
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                traces.setdefault(span.trace_id.hex(), []).append((names[0], span))
    return traces


def chained(spans: Spans, root: str) -> Spans:
    """The spans of a trace, each the only child of the one before it, the first one of `root`."""
    chain, parent = [], root
    for _ in spans:
        (child,) = [each for each in spans if each[1].parent_span_id.hex() == parent]
        chain.append(child)
        parent = child[1].span_id.hex()
    return chain


def kinds(spans: Spans) -> list[tuple[str, str]]:
    return [(span.name, Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_")) for _, span in spans]


@pytest.mark.xdist_group("slow")
@pytest.mark.timeout(420)
async def test_one_component_three_times_over_three_hosts_makes_one_trace(tmp_path: Path) -> None:
    example = tmp_path / "examples/chain"
    shutil.copytree(EXAMPLES / "chain", example, ignore=shutil.ignore_patterns("*.wasm", "__pycache__"))
    ports = dict(zip(("8081", "8082", "8083", "8090"), free_ports(4), strict=True))
    with OtlpReceiver.running() as receiver:
        ports["4318"] = receiver.server_port
        printed = await run_lines(lines_of((example / "README.md").read_text(), ports), tmp_path)
    said = re.findall(r"one > two > three > plain, in trace (\w+) after span (\w+)", printed)
    traces = spans_of(receiver)

    by_itself, passed_on = said
    for (trace, last_span), root in ((by_itself, ""), (passed_on, THEIR_SPAN)):
        chain = chained(traces[trace], root)
        assert kinds(chain) == [*HOP, *HOP, *HOP, PLAIN]
        assert chain[-1][0] == "plain" and chain[-1][1].parent_span_id.hex() == last_span
        assert (
            len({service for service, _ in chain}) >= 3
        )  # hosts, the provider in a process, the plain service
    assert passed_on[0] == THEIR_TRACE != by_itself[0]
    denied = (
        f"one > two > three > no answer from http://127.0.0.1:{ports['8090']}/: ErrorCode_HttpRequestDenied"
    )
    assert denied in printed
    log = (tmp_path / "state/lath/local/default/logs/host-3.log").read_text()
    assert f'"allow_host": "http://127.0.0.1:{ports["8090"]}"' in log
