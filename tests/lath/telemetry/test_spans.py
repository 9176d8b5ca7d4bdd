"""Spans, their files and trees, and OTLP against a real HTTP receiver."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from otlp_receiver import OtlpReceiver

from lath import telemetry
from lath.errors import Unavailable
from lath.telemetry.tracetree import read_traces, render

UNSAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
SAMPLED = UNSAMPLED[:-2] + "01"


@pytest.fixture
def traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("LATH_TRACE_DIR", str(tmp_path))
    telemetry.setup("spec", instance_id="i1", host="h1")
    yield tmp_path
    telemetry.shutdown()


def test_spans_form_one_tree_under_the_caller_that_came_in(traced: Path) -> None:
    with (
        telemetry.use(telemetry.TraceContext(SAMPLED, "vendor=1")),
        telemetry.span("a:b/c.d", "client", {"lath.target": "kv"}),
    ):
        headers: dict[str, str] = {}
        telemetry.inject(headers)
        with telemetry.span("a:b/c.d", "server") as span:
            span.set("lath.link", "default")
    telemetry.shutdown()
    assert headers["traceparent"][:35] == SAMPLED[:35]
    assert headers["traceparent"] != SAMPLED
    assert headers["tracestate"] == "vendor=1"
    (trace,) = read_traces(traced).values()
    (root,) = trace.roots
    assert (root.kind, root.parent_id, root.service) == ("client", SAMPLED[36:52], "spec")
    assert (root.instance, root.host, root.attributes["lath.target"]) == ("i1", "h1", "kv")
    assert root.span_id == headers["traceparent"][36:52]
    assert [child.attributes["lath.link"] for child in root.children] == ["default"]
    assert "a:b/c.d [client spec]" in render(trace)


def test_an_error_is_recorded_with_its_kind(traced: Path) -> None:
    with pytest.raises(Unavailable), telemetry.span("a:b/c.d", "client"):
        raise Unavailable("nobody serves kv")
    telemetry.shutdown()
    (trace,) = read_traces(traced).values()
    assert trace.roots[0].error == "nobody serves kv"
    assert trace.roots[0].attributes["lath.error.kind"] == "unavailable"


def test_an_unsampled_trace_makes_no_span_and_is_forwarded(traced: Path) -> None:
    with telemetry.use(telemetry.TraceContext(UNSAMPLED)), telemetry.span("a:b/c.d", "server") as span:
        headers: dict[str, str] = {}
        telemetry.inject(headers)
    telemetry.shutdown()
    assert span is telemetry.NO_SPAN
    assert headers == {"traceparent": UNSAMPLED}
    assert read_traces(traced) == {}


def test_the_sampler_of_the_environment_decides_about_roots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATH_TRACE_DIR", str(tmp_path))
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    telemetry.setup("spec")
    try:
        with telemetry.span("root"):
            context = telemetry.current()
            assert context is not None
            assert not context.sampled
            assert telemetry.span("child") is telemetry.NO_SPAN
    finally:
        telemetry.shutdown()
    assert read_traces(tmp_path) == {}


def test_setup_and_shutdown_may_be_called_twice(traced: Path) -> None:
    telemetry.setup("other")
    assert len(list(traced.glob("*.jsonl"))) == 1
    telemetry.shutdown()
    telemetry.shutdown()
    assert not telemetry.recording()


def test_without_an_exporter_the_sdk_is_not_even_loaded() -> None:
    code = (
        "import sys; from lath import telemetry; telemetry.setup('x')\n"
        "with telemetry.span('a'): pass\n"
        "telemetry.record_call('client', 't', 'i', 'f', 'ok', 1.0); telemetry.shutdown()\n"
        "sys.exit('opentelemetry' in sys.modules)"
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "LATH_"))}
    assert subprocess.run([sys.executable, "-c", code], env=env, timeout=60).returncode == 0


def test_otlp_without_the_extra_is_a_clear_error() -> None:
    code = (
        "import sys; sys.modules['opentelemetry.exporter'] = None\n"
        "from lath import telemetry; telemetry.setup('x')"
    )
    env = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", code], env=env, timeout=60, capture_output=True, text=True)
    assert done.returncode != 0
    assert "install lath[otlp]" in done.stderr


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver.running() as running:
        yield running


def test_shutdown_flushes_spans_and_metrics_over_otlp(
    receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    telemetry.setup("spec", instance_id="i1", host="h1")
    with telemetry.use(telemetry.TraceContext(SAMPLED)), telemetry.span("a:b/c.d", "client"):
        telemetry.record_call("client", "kv", "a:b/c", "d", "ok", 1.5)
    telemetry.record_call("server", "kv", "a:b/c", "d", "trap", 2.5)
    telemetry.shutdown()

    traces = receiver.traces()
    (span,) = [s for t in traces for r in t.resource_spans for sc in r.scope_spans for s in sc.spans]
    assert span.trace_id.hex() == SAMPLED[3:35]
    assert span.parent_span_id.hex() == SAMPLED[36:52]
    assert span.name == "a:b/c.d"
    resource = {a.key: a.value.string_value for a in traces[0].resource_spans[0].resource.attributes}
    assert resource["service.name"] == "spec"
    assert resource["lath.host"] == "h1"

    assert receiver.calls() == {("client", "ok"): 1, ("server", "trap"): 1}
    durations = receiver.metrics()["lath.call.duration"].histogram.data_points
    assert sum(point.sum for point in durations) == 4.0
    assert [(point.count, point.min, point.max) for point in durations] == [(1, 1.5, 1.5), (1, 2.5, 2.5)]


def test_durations_are_counted_by_bucket_each_bound_belonging_to_the_bucket_below_it(
    receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    telemetry.setup("spec")
    for duration_ms in (0.0, 0.1, 5.0, 5.1, 9_999.0, 60_000.0):
        telemetry.record_call("client", "kv", "a:b/c", "d", "ok", duration_ms)
    telemetry.shutdown()

    (point,) = receiver.metrics()["lath.call.duration"].histogram.data_points
    counted = dict(zip([*point.explicit_bounds, float("inf")], point.bucket_counts, strict=True))
    assert {bound: count for bound, count in counted.items() if count} == {
        0.0: 1, 5.0: 2, 10.0: 1, 10_000.0: 1, float("inf"): 1
    }  # fmt: skip


def test_a_line_that_is_still_being_written_is_passed_over(traced: Path) -> None:
    with telemetry.span("whole"):
        pass
    telemetry.shutdown()
    (path,) = traced.glob("*.jsonl")
    line = path.read_text()
    path.write_text(line + line[: len(line) // 2])
    (traced / "other.jsonl").write_text(json.dumps([1]) + "\n{}\n")
    assert [t.roots[0].name for t in read_traces(traced).values()] == ["whole"]
