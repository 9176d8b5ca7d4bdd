"""`lath` as a real process on a real lattice: what it prints, where, and how it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import termios
from pathlib import Path

import pytest
from lath_command import COMMAND_SECONDS, TEXTSTATS, Lath, Terminal, run, spawn

from lath.server import Server
from lath.testing import eventually
from lath_control.client import Client

HIDE_CURSOR, SHOW_CURSOR = b"\x1b[?25l", b"\x1b[?25h"


async def test_hosts_are_listed_as_text_json_and_lines(lath: Lath, client: Client) -> None:
    text, array, lines = await asyncio.gather(
        lath("get", "hosts"), lath("get", "hosts", "-o", "json"), lath("get", "hosts", "-o", "jsonl")
    )
    assert [each.code for each in (text, array, lines)] == [0, 0, 0]
    assert "NAME" in text.out and "one" in text.out and "zone=a" in text.out
    assert [each["friendly_name"] for each in array.json] == ["one", "two"]
    assert [json.loads(line)["friendly_name"] for line in lines.out.splitlines()] == ["one", "two"]
    assert all(line == line.rstrip() for line in text.out.splitlines())


async def test_an_unreachable_bus_ends_with_3_and_says_what_to_do(lath: Lath) -> None:
    ran = await run("get", "hosts", "-o", "json", "--nats-url", "nats://127.0.0.1:9")
    assert (ran.code, ran.out) == (3, "")
    assert "lath up" in ran.err


async def test_a_bus_without_that_lattice_ends_with_3(lath: Lath) -> None:
    ran = await lath("get", "hosts")
    assert ran.code == 3
    assert "has no lattice" in ran.err


async def test_what_destroys_asks_first_and_refuses_where_nobody_can_answer(
    lath: Lath, client: Client, textstats: str
) -> None:
    ran = await lath("stop", "component", "textstats")
    assert ran.code == 2
    assert "--yes" in ran.err
    assert [each.id for each in await client.components.list()] == ["textstats"]
    ran = await lath("stop", "component", "textstats", "--yes", "-o", "json")
    assert ran.code == 0
    assert ran.json[0]["outcome"] == "done"
    assert not await client.components.list()


async def test_configs_are_put_read_and_deleted(lath: Lath, client: Client, tmp_path: Path) -> None:
    file = tmp_path / "values"
    file.write_text("# a comment\n\nb=2\nc=x=y\n")
    put = await lath("config", "put", "settings", "a=1", "--file", str(file), "-o", "json")
    assert (put.code, put.json["name"]) == (0, "settings")
    got = await lath("config", "get", "settings", "-o", "json")
    assert got.json["values"] == {"a": "1", "b": "2", "c": "x=y"}
    listed = await lath("get", "configs", "-o", "json")
    assert listed.json == [{"name": "settings", "keys": ["a", "b", "c"]}]
    assert (await lath("config", "del", "settings", "-y")).code == 0
    gone = await lath("config", "get", "settings", "-o", "json")
    assert (gone.code, gone.out) == (1, "")
    assert "not_found" in gone.err


async def test_a_link_is_put_awaited_pinged_inspected_and_deleted(
    lath: Lath, client: Client, textstats: str
) -> None:
    await client.components.start(str(TEXTSTATS), component_id="caller", host="two")
    put = await lath("link", "put", "caller", "textstats", "demo:text", "-i", "stats", "--wait", "-o", "json")
    assert (put.code, put.json["verdict"]) == (0, "live")
    ping, text, listed = await asyncio.gather(
        lath("link", "ping", "-o", "json"),
        lath("link", "ping"),
        lath("get", "links", "--participant", "caller", "-o", "jsonl"),
    )
    assert ping.code == 0
    fields = {"type", "lattice", "elapsed_ms", "expected", "answered", "silent", "links", "orphans"}
    assert fields <= ping.json.keys()
    (link,) = ping.json["links"]
    assert (link["source_id"], link["target"], link["verdict"]) == ("caller", "textstats", "live")
    assert {view["role"] for view in link["participants"]} == {"source", "target"}
    assert "caller → textstats" in text.out and "live" in text.out
    assert json.loads(listed.out)["key"] == "caller.textstats.demo.text.default"
    deleted = await lath("link", "del", "caller", "demo:text", "-y", "-o", "json")
    assert deleted.json == {"deleted": "caller.textstats.demo.text.default"}
    assert (await lath("link", "del", "caller", "demo:text", "-y")).code == 1


async def test_a_link_that_nobody_serves_makes_the_answer_no(lath: Lath, client: Client) -> None:
    put = await lath("link", "put", "here", "nowhere", "wasi:keyvalue", "-i", "store")
    assert put.code == 0
    ping = await lath("link", "ping", "-o", "json")
    assert ping.code == 1
    assert ping.json["links"][0]["verdict"] == "unserved"
    for command in (
        ("link", "put", "here", "nowhere", "wasi:keyvalue", "-i", "store", "--wait", "--timeout", "500ms"),
        ("link", "ping"),
    ):
        said = await lath(*command)
        assert said.code == 1
        assert "nobody serves nowhere: start it" in said.out
    conflict = await lath("link", "put", "here", "elsewhere", "wasi:keyvalue", "-i", "store")
    assert conflict.code == 1
    assert "conflict" in conflict.err and "nowhere" in conflict.err
    doctor = await lath("doctor", "-o", "json")
    assert doctor.code == 1
    problems = [each for each in doctor.json["findings"] if each["level"] == "problem"]
    assert problems and all(each["fix"] for each in problems)


async def test_purge_and_pull_tell_who_did_it(lath: Lath, client: Client, textstats: str) -> None:
    await client.components.start(str(TEXTSTATS), component_id="caller", host="two")
    await lath("link", "put", "caller", "textstats", "demo:text", "-i", "stats", "--wait")
    purged = await lath("link", "purge", "caller", "--hold", "-y", "-o", "json")
    assert (purged.code, purged.json["verb"], purged.json["silent"]) == (0, "purge", [])
    ping = await lath("link", "ping", "-o", "json")
    assert (ping.code, ping.json["links"][0]["verdict"]) == (1, "purged")
    assert (await lath("link", "pull", "caller")).code == 0
    assert (await lath("link", "ping")).code == 0


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        (("caller",), "Purge 1 link of source caller and open them again at once?"),
        (("--hold",), "Purge 2 links of the whole lattice and hold them purged until 'lath link pull'?"),
        (
            ("other", "textstats", "demo:text", "--name", "default"),
            "Purge 1 link of source other to target textstats for demo:text named default and open",
        ),
    ],
)
async def test_purge_asks_in_words_how_many_links_of_what_it_is_about(
    lath: Lath, client: Client, textstats: str, arguments: tuple[str, ...], question: str
) -> None:
    for source in ("caller", "other"):
        await lath("link", "put", source, "textstats", "demo:text", "-i", "stats")
    async with Terminal() as terminal:
        process = await terminal.spawn("link", "purge", *arguments)
        await eventually(lambda: b"[y/N]" in terminal.shown, timeout_s=COMMAND_SECONDS)
        terminal.type("n\n")
        async with asyncio.timeout(COMMAND_SECONDS):
            assert await process.wait() == 1
        assert question in " ".join(terminal.shown.decode().split())


async def test_labels_are_set_and_removed_by_command(lath: Lath, client: Client) -> None:
    put = await lath("label", "put", "one", "rack=7", "disk=fast", "-o", "json")
    assert (put.code, put.json["put"]) == (0, {"rack": "7", "disk": "fast"})
    assert (await lath("label", "del", "one", "rack")).code == 0
    labels = (await lath("label", "get", "one", "-o", "json")).json
    assert (labels["disk"], labels["zone"], "rack" in labels) == ("fast", "a", False)
    refused = await lath("label", "put", "one", "hostcore.os=beos")
    assert refused.code == 2 and "hostcore.os" in refused.err


async def test_watch_prints_each_change_as_a_line_and_ends_on_ctrl_c(
    lath: Lath, client: Client, textstats: str
) -> None:
    process = await spawn("get", "components", "--watch", "-o", "json")
    assert process.stdout is not None
    async with asyncio.timeout(COMMAND_SECONDS):
        first = json.loads(await process.stdout.readline())
        await client.components.scale("textstats", 9)
        second = json.loads(await process.stdout.readline())
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert (first[0]["max_instances"], second[0]["max_instances"]) == (10, 9)
    assert process.returncode == 0
    assert err == b""


async def test_watch_gives_the_terminal_back_on_ctrl_c(lath: Lath, client: Client) -> None:
    async with Terminal() as terminal:
        before = termios.tcgetattr(terminal.theirs)
        process = await terminal.spawn("get", "hosts", "--watch")
        await eventually(lambda: b"one" in terminal.shown, timeout_s=COMMAND_SECONDS)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(COMMAND_SECONDS):
            assert await process.wait() == 0
        await eventually(lambda: terminal.shown.rfind(SHOW_CURSOR) > terminal.shown.rfind(HIDE_CURSOR) >= 0)
        assert termios.tcgetattr(terminal.theirs) == before


async def test_events_and_calls_are_shown_as_they_happen(lath: Lath, client: Client, textstats: str) -> None:
    events = await spawn("events", "--name", "config_set", "--count", "1", "-o", "json")
    spy = await spawn("spy", "--count", "1", "-o", "json")
    assert events.stderr is not None and spy.stderr is not None
    async with asyncio.timeout(COMMAND_SECONDS):
        await asyncio.gather(events.stderr.readline(), spy.stderr.readline())  # both listen now
        await client.call("textstats", "demo:text/stats.shout", "a")
        await client.configs.put("settings", {"a": "1"})
        (event, _), (call, _) = await asyncio.gather(events.communicate(), spy.communicate())
    assert json.loads(event)["data"] == {"config_name": "settings"}
    seen = json.loads(call)
    assert (seen["source"], seen["target"], seen["function"]) == ("_client", "textstats", "shout")
    assert seen["arguments"] == ["a"]


async def test_contexts_are_added_selected_and_removed(nats_server: Server, client: Client) -> None:
    added = await run("ctx", "add", "here", "--nats-url", nats_server.url, "--lattice", client.lattice)
    assert added.code == 0
    assert (await run("get", "hosts")).code == 0
    listed = await run("ctx", "ls", "-o", "json")
    assert listed.json[0]["selected"] is True
    assert (await run("ctx", "rm", "here", "-y")).code == 0
    assert (await run("ctx", "select", "here")).code == 1


async def test_completion_offers_the_ids_that_are_there(lath: Lath, client: Client, textstats: str) -> None:
    words = {"COMP_WORDS": "lath call te", "COMP_CWORD": "2", "_LATH_COMPLETE": "complete_bash"}
    offered = await lath(env=words)
    assert offered.out.split() == ["textstats"]
    words = {"COMP_WORDS": "lath inspect host ", "COMP_CWORD": "3", "_LATH_COMPLETE": "complete_bash"}
    offered = await lath(env=words)
    assert {"one", "two"} <= set(offered.out.split())


async def test_completion_without_a_lattice_is_empty_and_no_error(lath: Lath) -> None:
    words = {"COMP_WORDS": "lath call te", "COMP_CWORD": "2", "_LATH_COMPLETE": "complete_bash"}
    ran = await lath(env=words | {"LATH_NATS_URL": "nats://127.0.0.1:9"})
    assert (ran.code, ran.out.strip(), ran.err) == (0, "", "")


async def test_a_put_that_waits_fails_with_the_providers_own_reason_and_heals_by_the_config_alone(
    lath: Lath, client: Client
) -> None:
    started = await lath("start", "provider", "builtin:keyvalue-nats", "--id", "kv", "--host", "one")
    assert started.code == 0, started.err
    await client.configs.put("settings", {"bucket": "no such bucket!"})
    put = ("link", "put", "caller", "kv", "wasi:keyvalue", "-i", "store", "--target-config", "settings")
    failed = await lath(*put, "--wait", "-o", "json")
    assert (failed.code, failed.out) == (1, "")
    assert "link_failed" in failed.err and "no such bucket!" in failed.err
    shown = await lath("inspect", "provider", "kv", "-o", "json")
    assert (shown.code, shown.json["links"][0]["verdict"]) == (1, "failed")
    assert (await lath("config", "put", "settings", "bucket=fine")).code == 0

    async def live() -> bool:
        return (await client.links.ping()).healthy

    await eventually(live)
    values = await lath("link", "vping", "-o", "json")
    assert "fine" in json.dumps(values.json["links"])


async def test_the_doctor_reports_also_where_there_is_no_lattice(nats_server: Server) -> None:
    ran = await run("doctor", "-o", "json", "--nats-url", nats_server.url)
    assert ran.code == 3
    assert ran.json["findings"][0]["level"] == "problem"
