"""How each kind of result looks as text."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from lath.model import ComponentDescription, Link, LinkReport, PingReport, VerbReport
from lath_control.cli.output import human_duration, row, table
from lath_control.client import digests
from lath_control.client.models import (
    ComponentOnHost,
    ConfigView,
    DoctorReport,
    HostStatus,
    ProviderOnHost,
    Started,
)

_COLOURS: Final = {
    "live": "green", "up": "green", "running": "green", "active": "green", "ok": "green", "done": "green",
    "degraded": "yellow", "stale": "yellow", "purged": "yellow", "opening": "yellow", "starting": "yellow",
    "backoff": "yellow", "warning": "yellow", "accepted": "yellow", "unserved": "yellow",
    "failed": "red", "silent": "red", "problem": "red", "missing": "red",
}  # fmt: skip
_ID_CHARS: Final = 12
"""Host ids are nkeys of 56 characters: enough of one to tell it apart."""


def state(word: str | None) -> Text:
    """A word in the colour of what it means."""
    return Text(word or "-", style=_COLOURS.get(word or "", ""))


def short(identifier: str) -> str:
    return identifier if len(identifier) <= _ID_CHARS else identifier[:_ID_CHARS] + "…"


def host_id(identifier: str) -> str:
    """A host's id: cut for people, who go by the name; whole in a pipe."""
    return short(identifier) if sys.stdout.isatty() else identifier


def _labels(labels: Mapping[str, str]) -> str:
    own = {key: value for key, value in labels.items() if not key.startswith("hostcore.")}
    return ",".join(f"{key}={value}" for key, value in sorted(own.items())) or "-"


def hosts(statuses: Sequence[HostStatus]) -> RenderableType:
    rows = (
        row(
            Text(host.friendly_name, style="bold"),
            host_id(host.id),
            state(host.state),
            human_duration(host.uptime_seconds * 1000 if host.uptime_seconds is not None else None),
            host.version,
            ",".join(host.components) or "-",
            ",".join(host.providers) or "-",
            _labels(host.labels),
        )
        for host in statuses
    )
    columns = ["NAME", "ID", "STATE", "UPTIME", "VERSION", "COMPONENTS", "PROVIDERS", "LABELS"]
    return table(columns, rows, empty="No hosts. 'lath host run' starts one.")


def components(found: Sequence[ComponentOnHost]) -> RenderableType:
    rows = (
        row(
            Text(component.id, style="bold"),
            component.host_name,
            str(component.max_instances),
            _calls(component.stats),
            fused_with(component),
            _ref(component.image_ref),
        )
        for component in sorted(found, key=lambda c: (c.id, c.host_name))
    )
    shown = table(
        ["ID", "HOST", "MAX", "CALLS", "FUSED WITH", "REF"],
        rows,
        empty="No components. 'lath start component' starts one.",
    )
    notes = (
        Text(f"{digests.in_words(each, by_digest)}; {digests.way_out(each)}", style="yellow")
        for each, by_digest in digests.differing(found).items()
    )
    return Group(shown, *notes)


def fused_with(component: ComponentDescription) -> str:
    """What a component may run fused with, and how many of its calls did, unless all or none have run."""
    calls, fused = ((component.stats or {}).get(key, 0) for key in ("calls", "calls_fused"))
    share = f" ({fused} of {calls} calls)" if fused != calls else ""
    return ", ".join(component.fused) + share if component.fused else "-"


def _calls(stats: Mapping[str, int] | None) -> str:
    if not stats:
        return "-"
    failed = stats.get("failures", 0)
    return f"{stats.get('calls', 0)}" + (f" ({failed} failed)" if failed else "")


def _ref(ref: str | None) -> str:
    if ref and ref.startswith("bus:sha256:"):
        return ref[: len("bus:sha256:") + _ID_CHARS] + "…"
    return ref or "-"


def providers(found: Iterable[ProviderOnHost]) -> RenderableType:
    rows = (
        row(
            Text(provider.id, style="bold"),
            provider.host_name,
            state(provider.status),
            str(provider.pid or "-"),
            str(provider.restarts or 0),
            short(provider.instance_id or "-"),
            _ref(provider.image_ref),
            provider.last_error or "",
        )
        for provider in sorted(found, key=lambda p: (p.id, p.host_name))
    )
    return table(
        ["ID", "HOST", "STATUS", "PID", "RESTARTS", "INSTANCE", "REF", "LAST ERROR"],
        rows,
        empty="No providers. 'lath start provider' starts one.",
    )


def links(found: Iterable[Link], unreadable: Mapping[str, str]) -> RenderableType:
    rows = [
        row(
            Text(link.source_id, style="bold"),
            Text(link.target, style="bold"),
            link.name,
            f"{link.wit_namespace}:{link.wit_package}",
            ",".join(link.interfaces),
            ",".join(link.source_config) or "-",
            ",".join(link.target_config) or "-",
        )
        for link in found
    ]
    columns = ["SOURCE", "TARGET", "NAME", "PACKAGE", "INTERFACES", "SOURCE CONFIG", "TARGET CONFIG"]
    shown = table(columns, rows, empty="No links. 'lath link put' makes one.")
    bad = [Text(f"unreadable: {key}: {reason}", style="red") for key, reason in unreadable.items()]
    return Group(shown, *bad)


def configs(found: Iterable[ConfigView]) -> RenderableType:
    rows = (row(Text(config.name, style="bold"), ", ".join(sorted(config.values)) or "-") for config in found)
    return table(["NAME", "KEYS"], rows, empty="No configs. 'lath config put' makes one.")


def started(results: Sequence[Started], verb: str) -> RenderableType:
    return Group(
        *(
            Text.assemble(
                ("✓ ", "green"),
                (each.id, "bold"),
                f" {verb if each.outcome == 'done' else verb + ': accepted'} on {each.host_name}",
                f" (at most {each.count} at once)" if each.count else "",
            )
            for each in results
        )
    )


def ping(report: PingReport) -> RenderableType:
    rows = []
    for link in report.links:
        rows.append(_link_row(link))
        rows += [_participant_row(report, link, index) for index in range(len(link.participants))]
    columns = ["LINK / PARTICIPANT", "STATE", "SINCE", "CHECK", "DETAIL"]
    shown = table(columns, rows, empty="No links match.")
    summary = _ping_summary(report)
    return Group(shown, *_ping_notes(report), summary)


def _link_row(link: LinkReport) -> list[RenderableType]:
    name = "" if link.name == "default" else f" ({link.name})"
    title = Text.assemble(
        (f"{link.source_id} → {link.target}", "bold"), f"  {link.wit_namespace}:{link.wit_package}{name}"
    )
    return [title, state(link.verdict), "", "", link.reason if link.verdict == "unserved" else ""]


def _participant_row(report: PingReport, link: LinkReport, index: int) -> list[RenderableType]:
    view = link.participants[index]
    branch = "└ " if index == len(link.participants) - 1 else "├ "
    name = report.names.get(view.instance_id, view.id)
    values = " ".join(f"{key}={value}" for key, value in (view.values or {}).items())
    return [
        Text(f"{branch}{view.kind} {name} ({view.role})", style="dim"),
        state(view.state),
        human_duration(view.uptime_ms) if view.state == "active" else "",
        f"{view.check_ms:.1f} ms" if view.check_ms is not None else "",
        Text(view.error or values, style="red" if view.error else ""),
    ]


def _ping_notes(report: PingReport) -> list[RenderableType]:
    notes: list[RenderableType] = [
        Text(f"silent: {report.names.get(each, each)} should have answered", style="red")
        for each in report.silent
    ]
    notes += [
        Text(
            f"orphan: {report.names.get(o.instance_id, o.participant)} holds {o.key} ({o.state}) {o.detail}",
            style="red",
        )
        for o in report.orphans
    ]
    if report.settling:
        notes.append(
            Text("the connection came back a moment ago: nobody is called silent yet", style="yellow")
        )
    return notes


def _ping_summary(report: PingReport) -> Text:
    counts: dict[str, int] = {}
    for link in report.links:
        counts[link.verdict] = counts.get(link.verdict, 0) + 1
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())) or "no links"
    answered = len(set(report.answered) & set(report.expected))  # others, who hold none of them, may too
    return Text(
        f"{verdicts}; {answered} of {len(report.expected)} participants answered in {report.elapsed_ms} ms",
        style="dim",
    )


def verb(report: VerbReport) -> RenderableType:
    rows = [
        row(
            report.names.get(instance, short(instance)),
            state("failed" if instance in report.failed else "silent" if instance in report.silent else "ok"),
            str(report.links.get(instance, 0)),
            report.failed.get(instance, ""),
        )
        for instance in sorted({*report.expected, *report.answered})
    ]
    shown = table(["PARTICIPANT", "ANSWER", "LINKS", "DETAIL"], rows, empty="Nobody holds such a link.")
    word = {"purge": "purged", "pull": "pulled"}[report.verb]
    total = sum(report.links.values())
    return Group(shown, Text(f"{word}: {total} held links in {report.elapsed_ms} ms", style="dim"))


def doctor(report: DoctorReport) -> RenderableType:
    lines: list[RenderableType] = []
    marks = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "bold red")}
    for finding in report.findings:
        mark, colour = marks[finding.level]
        lines.append(Text.assemble((f"{mark} ", colour), (f"{finding.check:<13}", "bold"), finding.message))
        if finding.fix:
            lines.append(Text(f"  {'':<13}→ {finding.fix}", style="dim"))
    problems = sum(finding.level == "problem" for finding in report.findings)
    verdict = f"{problems} problem{'s' if problems != 1 else ''}" if problems else "all is well"
    lines.append(Text(f"lattice {report.lattice}: {verdict}", style="bold red" if problems else "bold green"))
    return Group(*lines)
