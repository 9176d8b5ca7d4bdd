"""What the client's calls return, beside the records of `lath.model`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from lath.model import ComponentDescription, ProviderDescription


class View(BaseModel):
    """Base of what is told to people and programs; absent values are left out of the JSON."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class HostStatus(View):
    """A host, as far as it can be told.

    Attributes:
        state: `silent` for one whose presence stands and that does not answer.
        components: Ids of the components that it runs.
        providers: Ids of the providers that it supervises.
    """

    id: str
    friendly_name: str
    state: Literal["up", "silent"]
    version: str
    uptime_seconds: int | None = None
    labels: dict[str, str] = {}
    components: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()


class ComponentOnHost(ComponentDescription):
    """A component on one host."""

    host_id: str
    host_name: str


class ProviderOnHost(ProviderDescription):
    """A provider instance; `host_id` is empty for one that stands alone."""

    host_id: str
    host_name: str


class Started(View):
    """What a start, scale, update or stop led to, on one host.

    Attributes:
        outcome: `accepted` where the outcome was not waited for.
        event: The event that told the outcome.
    """

    id: str
    host_id: str
    host_name: str
    ref: str
    count: int | None = None
    outcome: Literal["accepted", "done"]
    event: str | None = None


class ConfigView(View):
    """A named config.

    Attributes:
        revision: Of the write, where this is the answer to one.
    """

    name: str
    values: dict[str, str]
    revision: str | None = None


class SecretView(View):
    """A secret, without its value.

    Attributes:
        public_key: What it is sealed to, base64.
        revision: Of the write, where this is the answer to one.
    """

    participant: str
    name: str
    public_key: str
    revision: str | None = None


class FunctionView(View):
    """A function of a component, as text for people and as JSON types for programs."""

    name: str
    signature: str


class InterfaceView(View):
    """An interface that a component imports or exports."""

    name: str
    functions: tuple[FunctionView, ...]
    label: str | None = None


class ImportStatus(View):
    """Whether an import of a component has the link that it needs.

    Attributes:
        provided: `link` where a link serves it, `missing` where none does: calls would fail with
            `link_not_found`.
        target: The link's target.
    """

    interface: str
    link_name: str
    provided: Literal["link", "missing"]
    target: str | None = None
    link: str | None = None


class ComponentInspection(View):
    """Everything about one component: what it is, where it runs, and whether it can work.

    Attributes:
        imports: Those that need a link.
        native_imports: Names of those that the host itself provides.
        wit: Its world as WIT text, without the native imports unless the whole was asked for.
    """

    id: str
    exports: tuple[InterfaceView, ...]
    imports: tuple[InterfaceView, ...]
    instances: tuple[ComponentOnHost, ...]
    import_status: tuple[ImportStatus, ...]
    problems: tuple[str, ...] = ()
    native_imports: tuple[str, ...] = ()
    wit: str = ""


class Finding(View):
    """One thing that `lath doctor` looked at."""

    check: str
    level: Literal["ok", "warning", "problem"]
    message: str
    fix: str | None = None


class DoctorReport(View):
    """The answer of `lath doctor`."""

    type: Literal["lath.doctor.v1"] = "lath.doctor.v1"
    lattice: str
    nats_url: str
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether no finding is a problem."""
        return all(finding.level != "problem" for finding in self.findings)


class CallResult(View):
    """A call's result, as JSON, with its trace."""

    value: Any
    trace_id: str
    elapsed_ms: float
