"""What the demo plays on: a temporary folder, built components, a lattice of its own, and what runs in it."""

from __future__ import annotations

import asyncio
import shutil
import sysconfig
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final

from lath import telemetry
from lath.errors import NotFound
from lath.model import LinkSpec, PingReport
from lath.telemetry.exporters import ENV_TRACE_DIR
from lath_control.build import Built, build
from lath_control.client import Client
from lath_control.client.models import Started
from lath_control.local import LocalLattice, LocalOptions

LATTICE: Final = "demo"
GREETER: Final = "greeter"
TEXT: Final = "textstats"
KEYVALUE: Final = "keyvalue"
CONFIG: Final = "greetings"
PROVIDER_REF: Final = "python:lath_providers.keyvalue_nats"
HELLO: Final = "demo:greeter/greet.hello"
VISITORS: Final = "demo:greeter/greet.visitors"
LINKS: Final = (
    LinkSpec(source_id=GREETER, target=TEXT, wit_namespace="demo", wit_package="text", interfaces=("stats",)),
    LinkSpec(
        source_id=GREETER,
        target=KEYVALUE,
        wit_namespace="wasi",
        wit_package="keyvalue",
        interfaces=("store", "atomics"),
        target_config=(CONFIG,),
    ),
)
KEYVALUE_LINK: Final = LINKS[1]
WAIT_SECONDS: Final = 20.0
"""Nothing here takes a second on an idle machine; a busy one gets this long."""
_POLL_SECONDS: Final = 0.05


def find_examples(given: Path | None) -> Path:
    """The folder of examples.

    Raises:
        NotFound: It is not there: lath was installed without its source.
    """
    in_source = Path(__file__).resolve().parents[3] / "examples"
    installed = Path(sysconfig.get_path("data")) / "share/lath/examples"
    folder = given or (in_source if in_source.is_dir() else installed)
    if not (folder / GREETER / "app.py").is_file():
        raise NotFound(f"there are no examples in {folder}: name lath's folder examples with --examples")
    return folder


class Stage:
    """Everything that the demo starts, and its end.

    Args:
        examples: The folder of examples.
        keep: Leave the temporary folder.
    """

    def __init__(self, examples: Path, *, keep: bool) -> None:
        self._examples = examples
        self._keep = keep
        self._open = AsyncExitStack()
        self.folder = Path()
        self.lattice: LocalLattice
        self.client: Client

    @property
    def traces(self) -> Path:
        """Where every process writes its spans."""
        return self.folder / "traces"

    async def __aenter__(self) -> Stage:
        self.folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="lath-demo-"))
        if not self._keep:
            self._open.push_async_callback(asyncio.to_thread, shutil.rmtree, self.folder, True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends everything and removes the folder. Closing twice is fine."""
        await self._open.aclose()

    async def build(self) -> list[Built]:
        """Builds both components from source."""
        return [
            await build(self._examples / name, output=self.folder / f"{name}.wasm")
            for name in (GREETER, TEXT)
        ]

    async def up(self) -> None:
        """Starts nats-server and two hosts, all tracing into one folder, and connects."""
        environment = {ENV_TRACE_DIR: str(self.traces)}
        options = LocalOptions(
            lattice=LATTICE, hosts=2, port=0, context=None, env=environment, root=self.folder
        )
        self.lattice = await self._open.enter_async_context(LocalLattice(options))
        telemetry.setup("lath-demo")
        self._open.callback(telemetry.shutdown)
        self.client = await self._open.enter_async_context(Client(self.lattice.url, lattice=LATTICE))

    async def start(self) -> list[Started]:
        """Starts the components, one on each host, and the provider."""
        components, providers = self.client.components, self.client.providers
        return [
            await components.start(str(self.folder / f"{GREETER}.wasm"), component_id=GREETER, host="host-1"),
            await components.start(str(self.folder / f"{TEXT}.wasm"), component_id=TEXT, host="host-2"),
            await providers.start(PROVIDER_REF, provider_id=KEYVALUE, host="host-2"),
        ]

    async def provider_pid(self) -> int:
        """The process id of the provider's instance."""
        return next(p.pid for p in await self.client.providers.where(KEYVALUE) if p.pid is not None)

    async def connections_of_links(self, expected: int) -> int:
        """How many connections the provider holds for links, as nats-server counts them.

        A closed connection may stand there for a moment, so `expected` is waited for, for as long as it takes
        until time is over.
        """
        count = await self._count_connections()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while count != expected:
                    await asyncio.sleep(_POLL_SECONDS)
                    count = await self._count_connections()
        except TimeoutError:
            pass  # the count says how it stands
        return count

    async def _count_connections(self) -> int:
        connections = (await self.lattice.server.connz())["connections"]
        return sum(str(each.get("name", "")).startswith("lath-kv ") for each in connections)

    async def ping_until(self, *verdicts: str) -> PingReport:
        """Pings until the keyvalue link has one of the verdicts and everybody answers, or time is over."""
        report = await self.client.links.ping()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while verdict_of(report) not in verdicts or report.silent:
                    await asyncio.sleep(_POLL_SECONDS)
                    report = await self.client.links.ping()
        except TimeoutError:
            pass  # the report says how it stands
        return report


def verdict_of(report: PingReport) -> str:
    """The keyvalue link's verdict."""
    return next((link.verdict for link in report.links if link.target == KEYVALUE), "absent")


def reason_of(report: PingReport) -> str:
    """Why the keyvalue link is not live."""
    return next((link.reason for link in report.links if link.target == KEYVALUE), "")
