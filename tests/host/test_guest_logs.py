"""What guests log through `wasi:logging` becomes lines of the host's log."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from logging_guests import LEVELS, LOGGING, SPEAKER, log_target, speaker

from lath import telemetry
from lath.telemetry import TraceContext
from lath.testing import eventually
from lath_host.components import guest_log
from lath_host.components.guest_log import LINES_PER_WINDOW_MAX, MESSAGE_CHARS_MAX
from lath_host.testing import InProcessLattice

TRACE = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")


@pytest.fixture
def log_level() -> str:
    return "debug"


@pytest.fixture(autouse=True)
def logs(log_level: str) -> None:
    """The host's log as JSON lines on stderr, as it is in production."""
    telemetry.configure_logging(log_level, "json")


def lines(text: str, event: str = "component logs") -> list[dict[str, Any]]:
    found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] == event]


async def test_a_message_is_a_line_with_its_level_component_instance_and_trace(
    lattice_in_process: InProcessLattice, capsys: pytest.CaptureFixture[str]
) -> None:
    lattice = lattice_in_process
    await lattice.start_component("speaker", speaker())
    capsys.readouterr()
    with telemetry.use(TRACE):
        for number, level in enumerate(LEVELS):
            await lattice.call("speaker", SPEAKER, "log", number, "startup", f"it is {level}")
    told = lines(capsys.readouterr().err)
    assert [line["message"] for line in told] == [f"it is {level}" for level in LEVELS]
    assert [line["level"] for line in told] == ["debug", "debug", "info", "warning", "error", "critical"]
    assert [line.get("wasi_level") for line in told] == ["trace", None, None, None, None, None]
    (instance,) = lattice.presence.instances("speaker")
    for line in told:
        assert (line["component_id"], line["instance_id"]) == ("speaker", instance.instance_id)
        assert (line["logger"], line["context"]) == ("lath.guest", "startup")
        assert line["trace_id"] == TRACE.trace_id and len(line["span_id"]) == 16


@pytest.mark.parametrize("log_level", ["warning"])
async def test_what_the_hosts_log_level_leaves_out_is_left_out(
    lattice_in_process: InProcessLattice, capsys: pytest.CaptureFixture[str]
) -> None:
    lattice = lattice_in_process
    await lattice.start_component("speaker", speaker())
    await lattice.call("speaker", SPEAKER, "flood", 2 * LINES_PER_WINDOW_MAX, "at info")
    for number, level in enumerate(LEVELS):
        await lattice.call("speaker", SPEAKER, "log", number, "", level)
    err = capsys.readouterr().err
    assert [line["message"] for line in lines(err)] == ["warn", "error", "critical"]
    assert lines(err, "component logs too much") == []


async def test_a_component_that_logs_without_end_is_cut_and_it_is_said_how_much(
    lattice_in_process: InProcessLattice, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lattice = lattice_in_process
    monkeypatch.setattr(guest_log, "LINES_PER_WINDOW_MAX", 1)
    monkeypatch.setattr(guest_log, "WINDOW_S", 0.2)
    await lattice.start_component("speaker", speaker())
    await lattice.call("speaker", SPEAKER, "flood", 5000, "again", timeout_ms=60_000)
    seen: list[str] = []

    def all_told() -> bool:
        seen.append(capsys.readouterr().err)
        text = "".join(seen)
        dropped = lines(text, "component logs too much")
        assert all(line["component_id"] == "speaker" and line["level"] == "warning" for line in dropped)
        return len(dropped) > 0 and len(lines(text)) + sum(line["dropped"] for line in dropped) == 5000

    await eventually(all_told)


async def test_what_a_stopped_component_had_dropped_is_told_at_once(
    lattice_in_process: InProcessLattice, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lattice = lattice_in_process
    monkeypatch.setattr(guest_log, "WINDOW_S", 3600.0)
    await lattice.start_component("speaker", speaker())
    asked = 3 * LINES_PER_WINDOW_MAX
    await lattice.call("speaker", SPEAKER, "flood", asked, "again", timeout_ms=60_000)
    err = capsys.readouterr().err
    assert len(lines(err)) == LINES_PER_WINDOW_MAX and lines(err, "component logs too much") == []
    await lattice.start_component("speaker", speaker(), count=0)

    def told() -> bool:
        (line,) = lines(capsys.readouterr().err, "component logs too much")
        return bool(line["dropped"] == asked - LINES_PER_WINDOW_MAX)

    assert told()


@pytest.mark.parametrize("format", ["json", "console"])
async def test_control_characters_of_a_message_reach_no_terminal(
    lattice_in_process: InProcessLattice,
    capsys: pytest.CaptureFixture[str],
    format: Literal["json", "console"],
) -> None:
    lattice = lattice_in_process
    await lattice.start_component("speaker", speaker())
    telemetry.configure_logging("info", format)
    capsys.readouterr()
    await lattice.call(
        "speaker",
        SPEAKER,
        "log",
        2,
        "\x1b[2J\u2066",
        "a\x1b]0;owned\x07\x00b\r\n\u202elevel=critical\x9b1mé世",
    )
    err = capsys.readouterr().err
    (line,) = [line for line in err.split("\n") if "component logs" in line]
    allowed = set("\x1b") if format == "console" else set()
    assert all(c.isprintable() for c in line if c not in allowed), line
    assert "\x1b]" not in line and "\x1b[2J" not in line and "\u202e" not in line
    assert "é世" in (json.loads(line)["message"] if format == "json" else line)


async def test_a_long_message_is_cut(
    lattice_in_process: InProcessLattice, capsys: pytest.CaptureFixture[str]
) -> None:
    lattice = lattice_in_process
    await lattice.start_component("speaker", speaker())
    await lattice.call("speaker", SPEAKER, "log", 2, "c" * 1000, "m" * 1_000_000)
    (line,) = lines(capsys.readouterr().err)
    assert line["message"] == "m" * MESSAGE_CHARS_MAX + "… (1000000 characters)"
    assert line["context"] == "c" * 256 + "… (1000 characters)"


async def test_a_link_for_logging_wins_over_the_host(
    lattice_in_process: InProcessLattice, capsys: pytest.CaptureFixture[str]
) -> None:
    lattice = lattice_in_process
    await lattice.start_component("speaker", speaker())
    await lattice.start_component("target", log_target())
    await lattice.link("speaker", "target", LOGGING)
    error = await lattice.failure("speaker", SPEAKER, "log", 2, "", "to the target")
    assert error.kind == "trap" and lines(capsys.readouterr().err) == []
