"""The command `lath host run`, and `python -m lath_host`: a host as this process."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import TypeAdapter, ValidationError

from lath import telemetry
from lath.bus import Credentials
from lath.errors import InvalidArgument, LathError, NotConnected, Unavailable
from lath.model import PRESENCE_TTL_MS, describe
from lath.names import check_target
from lath.provider.start import StartCredentials
from lath_host.host import Host
from lath_host.options import DRAIN_MS, HostOptions

EXIT_USAGE: Final = 2
EXIT_NO_LATTICE: Final = 3
_CREDENTIALS_FILE: Final = TypeAdapter(dict[str, StartCredentials])

app = typer.Typer(name="host", help="Run a host of the lattice.", no_args_is_help=True)


@app.callback()
def _host() -> None:
    """Run a host of the lattice."""


@app.command()
def run(
    nats_url: Annotated[
        str, typer.Option(envvar="LATH_NATS_URL", help="The bus; several URLs are joined by commas.")
    ] = "nats://127.0.0.1:4222",
    lattice: Annotated[str, typer.Option(envvar="LATH_LATTICE", help="The lattice to join.")] = "default",
    name: Annotated[
        str, typer.Option(envvar="LATH_HOST_NAME", help="The host's name; made up by default.")
    ] = "",
    label: Annotated[
        list[str] | None, typer.Option(help="A label, key=value; also LATH_LABELS=k=v,k=v.")
    ] = None,
    labels: Annotated[str, typer.Option(envvar="LATH_LABELS", hidden=True)] = "",
    provider_credentials: Annotated[
        Path | None,
        typer.Option(
            envvar="LATH_PROVIDER_CREDENTIALS",
            help="A JSON file: by provider id, what a supervised provider signs in with"
            " (user, password, token, nkey_seed, creds_path, inbox_prefix).",
        ),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(envvar="LATH_DATA_DIR", help="Keeps compiled components between runs.")
    ] = None,
    replicas: Annotated[
        int, typer.Option(envvar="LATH_REPLICAS", help="Copies of the buckets: 3 on a cluster of three.")
    ] = 1,
    drain_ms: Annotated[
        int, typer.Option(envvar="LATH_DRAIN_MS", help="Longest wait for running calls at the stop.")
    ] = DRAIN_MS,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, envvar="LATH_THREADS", help="Busy guests that compute at once; one per core by default."
        ),
    ] = None,
    warm_memory_mib: Annotated[
        int | None,
        typer.Option(
            min=1,
            envvar="LATH_WARM_MEMORY_MIB",
            help="Memory limits of all waiting instances together; four times the machine's by default.",
        ),
    ] = None,
    ca_file: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Certificates (PEM) that components' requests trust beside the system's;"
            " also LATH_CA_FILES=PATH,PATH.",
        ),
    ] = None,
    ca_files: Annotated[str, typer.Option(envvar="LATH_CA_FILES", hidden=True)] = "",
    wasm_feature: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A WebAssembly proposal to turn on, or off by NAME=off; also LATH_WASM_FEATURES=NAME,NAME.",
        ),
    ] = None,
    wasm_features: Annotated[str, typer.Option(envvar="LATH_WASM_FEATURES", hidden=True)] = "",
    secrets_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="LATH_SECRETS_KEY",
            help="The key of the lattice's secrets ('lath secret new-key'), the same on all hosts.",
        ),
    ] = None,
    presence_ttl_ms: Annotated[
        int,
        typer.Option(
            envvar="LATH_PRESENCE_TTL_MS",
            help="How long others take it, and what runs on it, to be there without a word; whole seconds.",
        ),
    ] = PRESENCE_TTL_MS,
    seed: Annotated[
        str, typer.Option(envvar="LATH_HOST_SEED", help="An nkey seed (SN…), to keep the host id.")
    ] = "",
) -> None:
    """Run a host until Ctrl-C or SIGTERM; running calls finish first."""
    telemetry.configure_logging()
    try:
        options = HostOptions(
            nats_url=nats_url,
            lattice=lattice,
            name=name,
            labels=_labels([*labels.split(","), *(label or [])]),
            credentials=Credentials.from_env(),
            provider_credentials=_provider_credentials(provider_credentials),
            data_dir=data_dir,
            replicas=replicas,
            drain_ms=drain_ms,
            seed=seed,
            presence_ttl_ms=presence_ttl_ms,
            threads=threads,
            warm_memory_mib=warm_memory_mib,
            ca_files=(*map(Path, filter(None, ca_files.split(","))), *(ca_file or [])),
            secrets_key=secrets_key,
            wasm_features=(*filter(None, wasm_features.split(",")), *(wasm_feature or [])),
        )
        asyncio.run(_run(options))
    except (NotConnected, Unavailable) as e:
        _fail(e, EXIT_NO_LATTICE)
    except LathError as e:
        _fail(e, EXIT_USAGE)
    finally:
        telemetry.shutdown()


def _provider_credentials(path: Path | None) -> dict[str, Credentials]:
    if path is None:
        return {}
    try:
        found = _CREDENTIALS_FILE.validate_json(path.read_bytes())
    except OSError as e:
        raise InvalidArgument(f"{path} cannot be read: {e.strerror}") from None
    except ValidationError as e:
        raise InvalidArgument(f"{path} is no map of credentials: {describe(e)}") from None
    return {check_target(name, "provider id"): given.credentials() for name, given in found.items()}


def _labels(pairs: list[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        if pair:
            key, equals, value = pair.partition("=")
            if not equals:
                raise InvalidArgument(f"label {pair!r} is not of the form key=value")
            found[key] = value
    return found


async def _run(options: HostOptions) -> None:
    host = Host(options)
    telemetry.setup("lath-host", instance_id=host.id, host=host.identity.name)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, host.request_stop)
    async with host:
        await host.wait_stopped()


def _fail(error: LathError, status: int) -> None:
    logging.getLogger(__name__).error("%s", error)
    sys.exit(status)
