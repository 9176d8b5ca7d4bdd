"""Logs: one JSON object per line on stderr, with the ids of the trace."""

from __future__ import annotations

import json
import logging
from typing import Literal

import pytest

from lath import telemetry
from lath.errors import InvalidArgument

TRACE = telemetry.TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


def test_a_line_is_json_on_stderr_with_the_trace(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure_logging("info", "json")
    log = telemetry.get_logger("lath.spec")
    with telemetry.use(TRACE):
        log.info("link opened", link="a.b.c")
        log.debug("not shown")
        logging.getLogger("foreign").warning("from %s", "a library")
    log.info("no trace")
    out = capsys.readouterr()
    first, foreign, last = (json.loads(line) for line in out.err.splitlines())
    assert (first["event"], first["link"], first["level"]) == ("link opened", "a.b.c", "info")
    assert (first["logger"], first["trace_id"], first["span_id"]) == (
        "lath.spec",
        TRACE.trace_id,
        TRACE.span_id,
    )
    assert (foreign["event"], foreign["trace_id"]) == ("from a library", TRACE.trace_id)
    assert "trace_id" not in last
    assert out.out == ""


@pytest.mark.parametrize("format", ["json", "console"])
def test_the_variables_of_a_traceback_are_never_logged(
    capsys: pytest.CaptureFixture[str], format: Literal["json", "console"]
) -> None:
    def connect(password: str) -> None:
        raise ValueError("cannot connect")

    telemetry.configure_logging("info", format)
    try:
        connect(" ".join(["hun", "ter2"]).replace(" ", ""))
    except ValueError:
        telemetry.get_logger("lath.spec").exception("it broke")
    text = capsys.readouterr().err
    assert "cannot connect" in text
    assert "hunter2" not in text


def test_an_exception_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure_logging("info", "json")
    try:
        raise ValueError("why")
    except ValueError:
        telemetry.get_logger("lath.spec").exception("it broke")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["exception"][0]["exc_value"] == "why"


def test_configuring_again_replaces(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATH_LOG_LEVEL", "error")
    monkeypatch.setenv("LATH_LOG_FORMAT", "console")
    telemetry.configure_logging()
    telemetry.configure_logging()
    log = telemetry.get_logger("lath.spec")
    log.warning("not shown")
    log.error("shown once")
    assert capsys.readouterr().err.count("shown") == 1


@pytest.mark.parametrize(("level", "format"), [("loud", None), (None, "xml")])
def test_an_unknown_level_or_format_names_the_known_ones(level: str | None, format: str | None) -> None:
    with pytest.raises(InvalidArgument, match="unknown: use"):
        telemetry.configure_logging(level, format)  # type: ignore[arg-type]


def test_a_line_that_cannot_be_written_is_told_without_what_is_in_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    telemetry.configure_logging("info", "json")
    record = logging.LogRecord("lath.spec", logging.INFO, __file__, 1, "signed in %d", ("hunter2",), None)
    for handler in logging.getLogger().handlers:
        if type(handler).__module__.startswith("lath."):
            handler.handle(record)
    err = capsys.readouterr().err
    assert "a log line of lath.spec" in err and "TypeError" in err and "hunter2" not in err
