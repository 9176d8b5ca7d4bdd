"""A provider as a process: standing alone, or supervised by a host.

Alone, it takes flags and environment. Supervised (`LATH_SUPERVISED=1`), it reads a line of JSON from its
standard input, a `ProviderStart`, then a `ProviderUpdate` for each change of its config or keys, and takes
the end of that input for the end of its host. Either way SIGTERM and SIGINT stop it gracefully, a second one
at once. Nothing is printed on standard output.

Exit codes: 0 stopped, 1 the provider failed, 2 wrong usage, 3 no bus reachable.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NoReturn

from lath import telemetry
from lath.bus import Bus, Credentials
from lath.errors import InvalidArgument, LathError, NotConnected, NotFound, PermissionDenied
from lath.model import PRESENCE_TTL_MS, parse
from lath.provider.base import Provider
from lath.provider.instance import ProviderInstance
from lath.provider.start import (
    ENV_SUPERVISED,
    START_BYTES_MAX,
    ProviderStart,
    ProviderUpdate,
    StartCredentials,
)
from lath.secrets.keyfile import read_participant_keys
from lath.secrets.keys import key_text

EXIT_STOPPED: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NO_BUS: Final = 3
EXIT_HARD: Final = 130
"""As a shell says of a process that was interrupted."""

_log = telemetry.get_logger("lath.provider")


def main(cls: type[Provider], argv: Sequence[str] | None = None) -> NoReturn:
    """Runs a provider as this process, and ends the process.

    Args:
        cls: The provider.
        argv: The flags; those of the process by default.
    """
    telemetry.configure_logging()
    supervised = os.environ.get(ENV_SUPERVISED) == "1"
    try:
        start = None if supervised else start_of_flags(cls, sys.argv[1:] if argv is None else argv)
    except InvalidArgument as e:
        _log.error("cannot start", error=e.message)
        sys.exit(EXIT_USAGE)
    sys.exit(asyncio.run(_run(cls, start)))


# --- how to start ------------------------------------------------------------------------------------


def start_of_flags(
    cls: type[Provider], argv: Sequence[str], environ: Mapping[str, str] = os.environ
) -> ProviderStart:
    """How a provider that stands alone is to start: by flags, else by environment, else by default.

    Raises:
        InvalidArgument: A value is wrong.
        SystemExit: The flags are wrong (2), or ask for help (0).
    """
    flags = _parser(cls, environ).parse_args(argv)
    config = {}
    for item in flags.config:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise InvalidArgument(f"--config {item!r} is not of the form NAME=VALUE")
        config[name] = value
    credentials = Credentials.from_env(
        {**environ, **({"LATH_NATS_CREDS": flags.creds} if flags.creds else {})}
    )
    record: dict[str, object] = {
        "lattice": flags.lattice,
        "nats_url": flags.nats_url,
        "provider_id": flags.id,
        "config": config,
        "presence_ttl_ms": flags.presence_ttl_ms,
        "credentials": StartCredentials.of(credentials).model_dump(),
        "secret_keys": _secret_keys(flags.secrets_key, flags.id),
    }
    return parse(ProviderStart, record, "provider start")


def _secret_keys(path: str, provider_id: str) -> list[str]:
    if not path:
        return []
    try:
        keys = read_participant_keys(Path(path), provider_id)
    except NotFound as e:
        raise InvalidArgument(e.message) from None
    return [key_text(key) for key in keys.private]


def _parser(cls: type[Provider], environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=(cls.__doc__ or cls.__name__).strip().splitlines()[0],
        epilog="Flags win over the environment. Further credentials come from LATH_NATS_USER and "
        "LATH_NATS_PASSWORD, LATH_NATS_TOKEN, LATH_NATS_NKEY_SEED and LATH_NATS_INBOX_PREFIX.",
    )
    parser.add_argument(
        "--nats-url",
        default=environ.get("LATH_NATS_URL", "nats://127.0.0.1:4222"),
        help="the bus [env: LATH_NATS_URL; %(default)s]",
    )
    parser.add_argument(
        "--lattice",
        default=environ.get("LATH_LATTICE", "default"),
        help="the lattice to join [env: LATH_LATTICE; %(default)s]",
    )
    parser.add_argument(
        "--id",
        default=environ.get("LATH_PROVIDER_ID", default_id(cls)),
        help="the id that links name [env: LATH_PROVIDER_ID; %(default)s]",
    )
    parser.add_argument(
        "--presence-ttl-ms",
        default=environ.get("LATH_PRESENCE_TTL_MS", PRESENCE_TTL_MS),
        metavar="MS",
        help="how long others take it to be there without a word, in whole seconds "
        "[env: LATH_PRESENCE_TTL_MS; %(default)s]",
    )
    parser.add_argument("--creds", default="", metavar="FILE", help="a .creds file [env: LATH_NATS_CREDS]")
    parser.add_argument(
        "--secrets-key",
        default=environ.get("LATH_SECRETS_KEY", ""),
        metavar="FILE",
        help="the provider's key, as `lath secret provider-key` writes it [env: LATH_SECRETS_KEY]",
    )
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="the provider's config; repeatable",
    )
    return parser


def default_id(cls: type[Provider]) -> str:
    """A provider's id when nobody names one: its class in kebab case, `KeyValueNats` as `key-value-nats`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", cls.__name__).lower().strip("_")


# --- the process's life ------------------------------------------------------------------------------


class _Stop:
    """Asks the process to stop: by a signal, or by the end of standard input."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    def on_signal(self) -> None:
        if self.asked.is_set():
            os._exit(EXIT_HARD)  # asked twice: whoever asks does not want to wait for the drain
        self.asked.set()


async def _run(cls: type[Provider], start: ProviderStart | None) -> int:
    stop = _Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.on_signal)
    try:
        if start is not None:
            return await _serve(cls, start, stop, None)
        stdin = await _stdin()
        start = parse(ProviderStart, await _first_line(stdin), "start record on standard input")
        return await _serve(cls, start, stop, stdin)
    except (NotConnected, PermissionDenied) as e:
        _log.error("cannot reach the bus", error=e.message)
        return EXIT_NO_BUS
    except InvalidArgument as e:
        _log.error("cannot start", error=e.message)
        return EXIT_USAGE
    except LathError as e:
        _log.error("the provider failed", error=str(e))
        return EXIT_FAILED
    except Exception:
        _log.exception("the provider failed")
        return EXIT_FAILED


async def _serve(
    cls: type[Provider], start: ProviderStart, stop: _Stop, stdin: asyncio.StreamReader | None
) -> int:
    credentials = start.credentials.credentials() if start.credentials else None
    telemetry.setup(start.provider_id, instance_id=start.instance_id, host=start.host_id)
    try:
        bus = await Bus.connect(
            start.nats_url,
            lattice=start.lattice,
            name=f"lath-provider {start.provider_id} {start.instance_id}",
            credentials=credentials,
        )
        async with bus:
            instance = ProviderInstance(
                cls(),
                bus,
                provider_id=start.provider_id,
                instance_id=start.instance_id,
                host_id=start.host_id,
                config=start.config,
                presence_ttl_ms=start.presence_ttl_ms,
                nats_url=start.nats_url,
                credentials=credentials,
                secret_keys=start.keys(),
            )
            async with instance, _following(stdin, instance, stop):
                _log.info("provider started", provider=start.provider_id, instance=start.instance_id)
                await stop.asked.wait()
                await instance.drain()
        _log.info("provider stopped", provider=start.provider_id, instance=start.instance_id)
        return EXIT_STOPPED
    finally:
        telemetry.shutdown()


async def _stdin() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=START_BYTES_MAX)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def _first_line(stdin: asyncio.StreamReader) -> bytes:
    try:
        line = await stdin.readline()
    except ValueError:
        raise InvalidArgument(f"start record has no end within {START_BYTES_MAX} bytes") from None
    if not line:
        raise InvalidArgument("standard input ended before the start record: a host writes it as one line")
    return line


@asynccontextmanager
async def _following(
    stdin: asyncio.StreamReader | None, instance: ProviderInstance, stop: _Stop
) -> AsyncIterator[None]:
    """Applies what the host says, inside the block; without a host, nothing."""
    if stdin is None:
        yield
        return
    follower = asyncio.create_task(_follow(stdin, instance, stop), name="standard input")
    try:
        yield
    finally:
        follower.cancel()
        await asyncio.wait({follower})


async def _follow(stdin: asyncio.StreamReader, instance: ProviderInstance, stop: _Stop) -> None:
    """Reads on until the input ends: the host closed it, or died."""
    try:
        while line := await stdin.readline():
            try:
                update = parse(ProviderUpdate, line, "update on standard input")
                await instance.update(update.config, update.keys(instance.id))
            except InvalidArgument as e:
                _log.error("an update of the host was refused", error=e.message)
    except ValueError:
        _log.error("a line of the host has no end", bytes_max=START_BYTES_MAX)
    if not stop.asked.is_set():
        _log.info("standard input ended: the host is gone or wants this provider to stop")
    stop.asked.set()
