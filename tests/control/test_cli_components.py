"""`lath` as a real process: components started, called, inspected and changed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from http_components import ECHO as ECHO_HTTP
from lath_command import COMMAND_SECONDS, TEXTSTATS, Lath
from resource_guests import COUNTERS, COUNTERS_NAME
from telling_guests import ABOUT, teller

from lath.http import HttpRequest
from lath.model import ComponentLimits
from lath.telemetry.tracetree import read_traces
from lath.testing import eventually
from lath_control.client import Client


async def test_a_component_is_started_called_scaled_and_updated(lath: Lath, client: Client) -> None:
    started = await lath("start", "component", str(TEXTSTATS), "--id", "textstats", "--label", "zone=b")
    assert started.code == 0, started.err
    assert [(c.id, c.host_name) for c in await client.components.list()] == [("textstats", "two")]
    called = await lath("call", "textstats", "demo:text/stats.count", "two words", "--trace", "-o", "json")
    assert (called.code, called.json) == (0, {"letters": 8, "words": 2})
    assert "trace " in called.err
    scaled = await lath("scale", "textstats", "7", "-o", "json")
    assert (scaled.code, scaled.json[0]["count"]) == (0, 7)
    updated = await lath("update", "textstats", str(TEXTSTATS), "--local", "-o", "json")
    assert updated.code == 0, updated.err
    assert updated.json[0]["ref"].startswith("file://")


async def test_the_settings_of_a_component_are_given_shown_changed_and_taken_away(
    lath: Lath, client: Client, tmp_path: Path
) -> None:
    source = tmp_path / "teller.wat"
    source.write_text(teller())
    given = ["--env", "GREETING=a=b", "--env", "TOKEN=xyzzy", "--allow-host", "*.example.com"]
    started = await lath("start", "component", str(source), "--id", "teller", "--host", "one", *given)
    assert started.code == 0, started.err
    called = await lath("call", "teller", f"{ABOUT}#env", "-o", "json")
    assert called.json == [["GREETING", "a=b"], ["TOKEN", "xyzzy"]]
    shown = await lath("inspect", "component", "teller")
    assert "environment on one: GREETING, TOKEN" in shown.out
    assert "allowed hosts on one: *.example.com" in shown.out and "xyzzy" not in shown.out
    scaled = await lath("scale", "teller", "7", "--no-env", "--allow-socket", "db:5432")
    assert scaled.code == 0, scaled.err
    (told,) = await client.components.list()
    assert (told.env, told.max_instances) == (None, 7)
    assert (told.allowed_hosts, told.allowed_sockets) == (("*.example.com",), ("db:5432",))
    refused = await lath("scale", "teller", "7", "--run-as", "cgi")
    assert refused.code == 2
    assert "teller cannot run as cgi: it does not export wasi:cli/run" in " ".join(refused.err.split())
    updated = await lath("update", "teller", str(source), "--env", "A=", "--no-allow-host")
    assert updated.code == 0, updated.err
    (told,) = await client.components.list()
    assert (told.env, told.allowed_hosts, told.allowed_sockets) == (("A",), None, ("db:5432",))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--env", "TOKEN"], "env 'TOKEN' is not of the form NAME=VALUE"),
        (["--env", "A=1", "--no-env"], "--env gives some and --no-env takes all away"),
        (["--allow-host", "a b"], "'a b' is not a pattern"),
    ],
)
async def test_a_malformed_setting_ends_with_2_before_anything_is_asked(
    lath: Lath, options: list[str], said: str
) -> None:
    ran = await lath("scale", "teller", "7", *options)
    assert ran.code == 2
    assert said in " ".join(ran.err.split())


async def test_a_trace_begins_with_the_command_that_calls(
    lath: Lath, textstats: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATH_TRACE_DIR", str(tmp_path / "traces"))
    call = ("call", textstats, "demo:text/stats.shout", "ada", "--trace")
    called = await lath(*call)
    assert called.code == 0, called.err
    monkeypatch.setenv("TRACEPARENT", f"00-{'ab' * 16}-{'cd' * 8}-01")
    assert f"trace {'ab' * 16}" in (await lath(*call)).err
    begun, joined = (await asyncio.to_thread(read_traces, tmp_path / "traces")).values()
    for trace, parent in ((begun, ""), (joined, "cd" * 8)):
        (root,) = trace.roots
        assert (root.name, root.parent_id, root.service) == ("lath call", parent, "lath-call")
        assert [(each.name, each.kind) for each in root.children] == [("demo:text/stats.shout", "client")]
    assert f"trace {begun.trace_id}" in called.err


async def test_a_call_makes_no_spans_where_its_environment_samples_none(
    lath: Lath, textstats: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATH_TRACE_DIR", str(tmp_path / "traces"))
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    called = await lath("call", textstats, "demo:text/stats.shout", "ada")
    assert called.code == 0, called.err
    assert await asyncio.to_thread(read_traces, tmp_path / "traces") == {}


async def test_a_handle_that_a_call_prints_is_an_argument_of_the_next(
    lath: Lath, client: Client, tmp_path: Path
) -> None:
    source = tmp_path / "counters.wat"
    source.write_bytes(COUNTERS)
    started = await lath("start", "component", str(source), "--id", "counters", "--lease", "90s")
    assert started.code == 0, started.err
    made = await lath("call", "counters", f"{COUNTERS_NAME}#[constructor]counter", "5", "-o", "json")
    assert list(made.json) == ["component-resource"]
    added = await lath(
        "call", "counters", f"{COUNTERS_NAME}#[method]counter.add", made.out, "2", "-o", "json"
    )
    assert (added.code, added.json) == (0, 7), added.err
    taken = await lath("call", "counters", f"{COUNTERS_NAME}#[static]counter.take", made.out, "-o", "json")
    assert taken.json == 7
    gone = await lath("call", "counters", f"{COUNTERS_NAME}#[method]counter.get", made.out)
    assert (gone.code, gone.out) == (1, "")
    assert "not_found" in gone.err and "its lease of 90 s has expired, it was dropped" in " ".join(
        gone.err.split()
    )


async def test_a_component_that_cannot_start_ends_with_1_and_its_reason(
    lath: Lath, client: Client, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.wat"
    broken.write_text("(component (nonsense))")
    ran = await lath("start", "component", str(broken), "--id", "broken", "--host", "one", "-o", "json")
    assert (ran.code, ran.out) == (2, "")  # an invalid argument, as the host says
    assert "nonsense" in ran.err or "expected" in ran.err
    ran = await lath("start", "component", str(TEXTSTATS), "--id", "nowhere", "--label", "zone=moon")
    assert ran.code == 1
    assert "zone=moon" in ran.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("nobody", "demo:text/stats.count", '"a"'), "no component nobody is in the lattice; there are: "),
        (("textstats", "demo:text/other.count", '"a"'), "demo:text/other"),
        (("textstats", "demo:text/stats@9.0.0#count", '"a"'), "demo:text/stats@9.0.0"),
        (("textstats", "demo:text/stats.missing", '"a"'), "it has: count, reverse, shout"),
    ],
    ids=["target", "interface", "version", "function"],
)
async def test_a_call_to_what_is_not_there_says_what_there_is(
    lath: Lath, client: Client, textstats: str, arguments: tuple[str, ...], expected: str
) -> None:
    ran = await lath("call", *arguments)
    assert (ran.code, ran.out) == (1, "")
    assert "not_found" in ran.err and expected in ran.err


async def test_arguments_that_do_not_fit_the_types_are_usage(
    lath: Lath, client: Client, textstats: str
) -> None:
    for values in (("5",), (), ('"a"', '"b"'), ("{",)):
        ran = await lath("call", "textstats", "demo:text/stats.count", *values)
        assert (ran.code, ran.out) == (2, ""), values


async def test_inspecting_a_component_says_what_is_missing_for_it_to_work(
    lath: Lath, client: Client, textstats: str
) -> None:
    whole, host = await asyncio.gather(
        lath("inspect", "component", "textstats", "-o", "json"), lath("inspect", "host", "one")
    )
    assert (whole.code, whole.json["problems"]) == (0, [])
    assert [each["name"] for each in whole.json["exports"]] == ["demo:text/stats@0.1.0"]
    assert "reverse: func(text: string) -> string" in whole.json["wit"]
    assert host.code == 0 and "zone=a" in host.out and "textstats" in host.out


async def test_inspecting_a_component_says_how_it_fares_as_a_service_and_which_limits_hold(
    lath: Lath, client: Client, tmp_path: Path
) -> None:
    failing = tmp_path / "failing.wat"
    failing.write_text("""(component
      (core module $guest (func (export "run") (result i32) (i32.const 1)))
      (core instance $guest (instantiate $guest))
      (func $run (result (result)) (canon lift (core func $guest "run")))
      (instance $run (export "run" (func $run)))
      (export "wasi:cli/run@0.2.6" (instance $run)))""")
    limits = ComponentLimits(reuse=True, calls_max=7, fuse="never")
    await client.components.start(str(failing), component_id="failing", host="one", limits=limits)

    async def shown() -> str:
        text = (await lath("inspect", "component", "failing")).out
        return text if "restarts; its last run: it returned an error" in text else ""

    text = await eventually(shown, timeout_s=COMMAND_SECONDS)
    assert "service on one: " in text
    assert "reuse=true" in text and "calls_max=7" in text and "fuse=never" in text


async def test_a_component_that_serves_http_is_asked_without_a_server(
    lath: Lath, client: Client, tmp_path: Path
) -> None:
    source = tmp_path / "echo.wat"
    source.write_bytes(ECHO_HTTP)
    started = await lath("start", "component", str(source), "--id", "site", "--host", "two")
    assert started.code == 0, started.err
    large = tmp_path / "large"
    large.write_bytes(b"0123456789abcdef" * 200_000)
    small, streamed, described = await asyncio.gather(
        lath("http", "site", "/", "--data", "hello", "-i", "-H", "X-A: 1"),
        lath("http", "site", "put", "/a?b", "--data", f"@{large}"),
        lath("http", "site", "/", "--data", "hello", "-o", "json"),
    )
    assert (small.code, small.out) == (0, "HTTP 200\n\nhello"), small.err
    assert (streamed.code, streamed.out) == (0, large.read_text()), streamed.err
    assert described.json == {"status": 200, "headers": [], "body": "hello", "trailers": []}
    response = await client.http("site", HttpRequest(method="POST", body=b"bytes"))
    assert response.whole == b"bytes"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nobody", "/"), 1, "nobody is not running here"),
        (("textstats", "/"), 1, "does not export wasi:http/incoming-handler"),
        (("textstats", "path"), 2, "does not begin with /"),
        (("textstats", "GET", "/", "more"), 2, "expected [METHOD] PATH"),
        (("textstats", "/", "-H", "colonless"), 2, "NAME:VALUE"),
        (("textstats", "/", "--data", "@/nowhere"), 1, "is no file"),
    ],
)
async def test_a_request_that_cannot_be_made_says_why(
    lath: Lath, client: Client, textstats: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ran = await lath("http", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert said in " ".join(ran.err.split())
