"""The demo's steps, in order."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from rich.text import Text

from lath import telemetry
from lath.errors import LathError
from lath.model import LinkSelector
from lath_control.cli import tables
from lath_control.cli.output import Output, human_size
from lath_control.demo.show import Show
from lath_control.demo.stage import (
    CONFIG,
    GREETER,
    HELLO,
    KEYVALUE,
    KEYVALUE_LINK,
    LINKS,
    TEXT,
    Stage,
    find_examples,
    reason_of,
    verdict_of,
)
from lath_control.demo.tracing import processes_of, tree, whole_trace

GOOD = {"bucket": "greetings"}
BROKEN = {"bucket": "no such bucket!"}
ONLY_KEYVALUE = LinkSelector(key=KEYVALUE_LINK.key)


async def run_demo(out: Output, *, examples: Path | None, keep: bool) -> bool:
    """Plays the demo; True when every step was as expected.

    Raises:
        NotFound: The examples are not there.
    """
    show = Show(out)
    started = time.perf_counter()
    async with Stage(find_examples(examples), keep=keep) as stage:
        os.environ["LATH_TRACE_DIR"] = str(stage.traces)  # this process, too, writes its spans there
        out.note(Text(f"in {stage.folder}" + ("" if keep else ", removed at the end"), style="dim"))
        try:
            for part in (_build, _start, _link, _call, _ping, _break, _heal, _kill, _hold, _pull):
                await part(show, stage)
        except LathError as e:
            out.note(Text(f"the demo ends here: {e}", style="bold red"))
        with out.errors.status("cleaning up …"):
            await stage.close()
    show.finish(time.perf_counter() - started)
    return show.all_ok


async def _build(show: Show, stage: Stage) -> None:
    async with show.step(
        "Build two components in two languages from source",
        expected=f"{GREETER} from Python by componentize-py, {TEXT} from component text by wasmtime",
    ) as step:
        built = await stage.build()
        got = "; ".join(
            f"{Path(each.path).name}, {each.kind}, {human_size(each.size_bytes)}"
            + (" (kept from an earlier build of the same source)" if each.cached else "")
            for each in built
        )
        step.saw(got, ok=[each.kind for each in built] == ["python", "text"])


async def _start(show: Show, stage: Stage) -> None:
    async with show.step(
        "Start a bus and two hosts, each a process of its own",
        expected="nats-server from the wheel with JetStream; host-1 and host-2 present",
    ) as step:
        await stage.up()
        hosts = await stage.client.hosts.list()
        pids = ", ".join(f"{name} pid {pid}" for name, pid in stage.lattice.host_pids.items())
        step.saw(
            f"nats-server pid {stage.lattice.server.pid} at {stage.lattice.url}; {pids}",
            ok=[host.state for host in hosts] == ["up", "up"],
        )
    async with show.step(
        "Start a component on each host, and a keyvalue provider as its own process",
        expected=f"{GREETER} on host-1, {TEXT} on host-2, {KEYVALUE} supervised by host-2",
    ) as step:
        started = await stage.start()
        pid = await stage.provider_pid()
        where = {each.id: each.host_name for each in started}
        step.saw(
            ", ".join(f"{name} on {host}" for name, host in where.items()) + f" (pid {pid})",
            ok=where == {GREETER: "host-1", TEXT: "host-2", KEYVALUE: "host-2"},
        )


async def _link(show: Show, stage: Stage) -> None:
    async with show.step(
        f"Link {GREETER} to both, and wait until every participant has applied it",
        expected="both links live",
    ) as step:
        await stage.client.configs.put(CONFIG, GOOD)
        reports = [await stage.client.links.put_and_wait(link) for link in LINKS]
        got = ", ".join(f"{each.source_id} → {each.target} {each.verdict}" for each in reports)
        step.saw(got, ok=all(each.verdict == "live" for each in reports))


async def _call(show: Show, stage: Stage) -> None:
    expected = [
        "Hello, ADA LOVELACE (11 letters, backwards ecalevoL adA). Visit 1; nobody came before you.",
        "Hello, ÉMILIE (6 letters, backwards eilimÉ). Visit 1; before you came Ada Lovelace.",
        "Hello, ADA LOVELACE (11 letters, backwards ecalevoL adA). Visit 2; before you came Émilie.",
    ]
    async with show.step(
        f"Call {GREETER}: it asks {TEXT} on the other host, and {KEYVALUE} on the bus",
        expected="\n".join(expected),
    ) as step:
        with telemetry.span("lath demo", kind="internal", attributes={}):
            first = await stage.client.call_json(GREETER, HELLO, ["Ada Lovelace"])
        others = [await stage.client.call_json(GREETER, HELLO, [name]) for name in ("Émilie", "Ada Lovelace")]
        got = [_said(each.value) for each in (first, *others)]
        step.saw("\n".join(got), ok=got == expected)
    async with show.step(
        "The trace of the first call, over all processes",
        expected="one trace id; spans of 4 processes: this one, host-1, host-2 and the provider",
    ) as step:
        trace = await whole_trace(stage.traces, first.trace_id, processes=4, spans=12)
        if trace is None:
            step.saw(f"no span of trace {first.trace_id}", ok=False)
            return
        processes = processes_of(trace)
        host_names = {host.id: host.friendly_name for host in await stage.client.hosts.list()}
        step.saw(
            f"one trace id, {len(trace.spans())} spans of {len(processes)} processes",
            ok=len(processes) == 4 and len(trace.roots) == 1,
            detail=tree(trace, host_names),
        )


def _said(value: object) -> str:
    if isinstance(value, dict):
        return str(value.get("ok") or f"error: {value.get('err')}")
    return str(value)


async def _ping(show: Show, stage: Stage) -> None:
    async with show.step(
        "lath link ping: ask every participant, and check the backends",
        expected="2 links live, 3 of 3 participants answered",
    ) as step:
        report = await stage.client.links.ping(deep=True)
        live = sum(link.verdict == "live" for link in report.links)
        step.saw(
            f"{live} links live, {len(report.answered)} of {len(report.expected)} participants answered "
            f"in {report.elapsed_ms} ms",
            ok=report.healthy and live == 2 and len(report.answered) == 3,
            detail=tables.ping(report),
        )


async def _break(show: Show, stage: Stage) -> None:
    async with show.step(
        f"Break the config: bucket={BROKEN['bucket']!r}",
        expected="the link fails with the provider's reason, and calls fail with it at once",
    ) as step:
        await stage.client.configs.put(CONFIG, BROKEN)
        report = await stage.ping_until("failed")
        answer = await stage.client.call_json(GREETER, HELLO, ["Ada Lovelace"])
        said = _said(answer.value)
        step.saw(
            f"{verdict_of(report)}: {reason_of(report)}\ncall: {said}",
            ok=verdict_of(report) == "failed" and "bucket" in reason_of(report) and "link_failed" in said,
        )


async def _heal(show: Show, stage: Stage) -> None:
    async with show.step(
        f"Correct the value: bucket={GOOD['bucket']!r}, and do nothing else",
        expected="the link is live again, and what was stored is still there: visit 3",
    ) as step:
        await stage.client.configs.put(CONFIG, GOOD)
        report = await stage.ping_until("live")
        said = _said((await stage.client.call_json(GREETER, HELLO, ["Ada Lovelace"])).value)
        step.saw(f"{verdict_of(report)}\n{said}", ok=verdict_of(report) == "live" and "Visit 3" in said)


async def _kill(show: Show, stage: Stage) -> None:
    pid = await stage.provider_pid()
    async with show.step(
        f"Kill the provider's process (SIGKILL to pid {pid})",
        expected=f"ping names {KEYVALUE}; its host starts it again; its links are live again",
    ) as step:
        os.kill(pid, signal.SIGKILL)
        during = await stage.client.links.ping()
        named = [during.names.get(each, each).partition("/")[0] for each in during.silent]
        after = await stage.ping_until("live")
        again = await stage.provider_pid()
        said = _said((await stage.client.call_json(GREETER, HELLO, ["Ada Lovelace"])).value)
        step.saw(
            f"at once: {verdict_of(during)}, silent: {', '.join(named) or 'nobody'}\n"
            f"then: {verdict_of(after)}, pid {again}\n{said}",
            ok=KEYVALUE in named and verdict_of(after) == "live" and again != pid and "Visit 4" in said,
        )


async def _hold(show: Show, stage: Stage) -> None:
    before = await stage.connections_of_links(1)
    async with show.step(
        "lath link purge --hold: drop all that is held for the link",
        expected=f"/connz of nats-server: 0 connections of the link, now {before}; calls fail at once",
    ) as step:
        purged = await stage.client.links.purge(ONLY_KEYVALUE, hold=True)
        after = await stage.connections_of_links(0)
        said = _said((await stage.client.call_json(GREETER, HELLO, ["Ada Lovelace"])).value)
        step.saw(
            f"{len(purged.answered)} participants acknowledged; {after} connections\ncall: {said}",
            ok=purged.complete and before == 1 and after == 0 and "purged" in said,
        )


async def _pull(show: Show, stage: Stage) -> None:
    async with show.step(
        "lath link pull: open it again",
        expected="1 connection, the link live, visit 5",
    ) as step:
        pulled = await stage.client.links.pull(ONLY_KEYVALUE)
        report = await stage.ping_until("live")
        connections = await stage.connections_of_links(1)
        said = _said((await stage.client.call_json(GREETER, HELLO, ["Ada Lovelace"])).value)
        step.saw(
            f"{connections} connection, {verdict_of(report)}\n{said}",
            ok=pulled.complete and connections == 1 and report.healthy and "Visit 5" in said,
        )
