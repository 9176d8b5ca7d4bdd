"""What issues 3 to 5 ask for, as ratios within one run, and whether a run met it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from bench.runner import Figures

Bound = Literal["at least", "at most", "stated"]


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the table.

    Attributes:
        what: What is asked for.
        measured: The measurement.
        of: What it is a ratio of; empty: its own value counts.
        bound: Which side of `limit` is good; "stated": the figure is asked for, with no bound.
        limit: The bound; in the measurement's unit where it is no ratio.
    """

    what: str
    measured: str
    of: str = ""
    bound: Bound = "stated"
    limit: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """A goal beside what was measured.

    Attributes:
        goal: The goal.
        value: What was measured; None where it was not.
        word: In a word.
    """

    goal: Goal
    value: float | None
    word: Literal["met", "not met", "stated", "not measured"]


def _crosshost(name: str, figure: str = "calls_per_s") -> str:
    return f"crosshost.{name}.{figure}"


def _throughput() -> list[Goal]:
    found = []
    for component in ("python", "text"):
        reuse = f"{component}_reuse"
        found += [
            Goal(f"warm call ({component}), throughput / raw nats-py with header", _crosshost(reuse),
                 _crosshost("raw_header"), "at least", 0.8),
            Goal(f"warm call ({component}), throughput / grpc.aio", _crosshost(reuse),
                 _crosshost("grpc_aio"), "at least", 4),
            Goal(f"warm call ({component}), latency alone / raw nats-py", _crosshost(reuse, "alone_p50_us"),
                 _crosshost("raw", "alone_p50_us"), "at most", 1.4),
        ]  # fmt: skip
    return found


def _fresh() -> list[Goal]:
    found = []
    for language in ("text", "python", "javascript"):
        small = language == "text"
        found += [
            Goal(f"fresh call ({language}), throughput / warm", _crosshost(f"{language}_fresh"),
                 _crosshost(f"{language}_reuse"), "at least" if small else "stated", 0.5),
            Goal(f"fresh call ({language}), p50 at half load / warm",
                 _crosshost(f"{language}_fresh", "half_load_p50_us"),
                 _crosshost(f"{language}_reuse", "half_load_p50_us"), "at most" if small else "stated", 1.2),
        ]  # fmt: skip
    return found


GOALS: Final = (
    *_throughput(),
    *_fresh(),
    Goal("import across hosts / co-located, unfused", "import.crosshost.us", "import.colocated.us",
         "at least", 8),
    Goal("import across hosts / fused", "import.crosshost.us", "import.fused.us", "at least", 100),
    Goal("p99 beside a busy guest per core less one / quiet", "noisy.cores_less_one.p99_us",
         "noisy.quiet.p99_us", "at most", 3),
    Goal("p99 beside a busy guest per core / quiet", "noisy.cores.p99_us", "noisy.quiet.p99_us"),
    Goal("throughput with OpenTelemetry at 1 % / without", "telemetry.1.calls_per_s",
         "telemetry.off.calls_per_s", "at least", 0.9),
    Goal("throughput with OpenTelemetry at 1 %, spans alone / without", "telemetry.1_spans.calls_per_s",
         "telemetry.off.calls_per_s"),
    Goal("throughput with OpenTelemetry at 100 % / without", "telemetry.100.calls_per_s",
         "telemetry.off.calls_per_s"),
    Goal("1 MiB list<u8> echo, wasmtime's wrapper / bridge", "bytes.1_mib.stock_us", "bytes.1_mib.bridge_us",
         "at least", 150),
    Goal("10 kB list<u8> echo, sliced array / bridge", "bytes.10_kb.list_us", "bytes.10_kb.bridge_us",
         "at least", 10),
    *(
        Goal(f"hello world over HTTP ({language}, {mode}), requests/s / uvicorn + Starlette",
             f"http.{language}_{mode}.requests_per_s", "http.starlette.requests_per_s",
             "at least" if language == "text" else "stated", 0.3)
        for language in ("text", "python")
        for mode in ("fresh", "reuse")
    ),
    *(
        Goal(f"{way} of 10 MiB over HTTP / uvicorn + Starlette", f"http.{way}.text.mb_per_s",
             f"http.{way}.starlette.mb_per_s")
        for way in ("upload", "download")
    ),
    Goal("hello world over HTTP (JavaScript), requests/s / jco serve", "http.javascript_fresh.requests_per_s",
         "http.jco_serve.requests_per_s", "at least", 1),
    Goal("get from Redis by a component (built in), gets/s / redis-py", "keyvalue.builtin.gets_per_s",
         "keyvalue.redis_py.gets_per_s", "at least", 0.5),
    Goal("get from Redis by a component (across the bus), gets/s / redis-py", "keyvalue.bus.gets_per_s",
         "keyvalue.redis_py.gets_per_s"),
    Goal("messages of a stream through a component / nats-py", "messaging.component.messages_per_s",
         "messaging.nats_py.messages_per_s", "at least", 0.6),
    Goal("second start of an 18 MB component, ms", "start.second_python.ms", "", "at most", 50),
)  # fmt: skip
"""The tables "To reach" of the issues."""


def judge(goal: Goal, figures: Figures) -> Outcome:
    """What a run says of a goal."""
    value = figures.ratio(goal.measured, goal.of) if goal.of else figures.median(goal.measured)
    if value is None:
        return Outcome(goal, None, "not measured")
    if goal.bound == "stated":
        return Outcome(goal, value, "stated")
    met = value >= goal.limit if goal.bound == "at least" else value <= goal.limit
    return Outcome(goal, value, "met" if met else "not met")
