"""Watches calls as they cross the bus: who calls what, and with what, where the types can be had."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from nats.aio.msg import Msg

from lath import subjects
from lath.codec import unpack
from lath.codec.jsonform import params_to_json
from lath.errors import InvalidArgument, LathError
from lath.names import InterfaceName
from lath.wit.types import Func
from lath_control.client.models import View
from lath_control.client.watching import messages

if TYPE_CHECKING:
    from lath_control.client import Client

DECODED_BYTES_MAX: Final = 16 * 1024
"""Arguments above this are not decoded: nobody reads them, and calls would pile up behind."""


class SpiedCall(View):
    """One call on the bus.

    Attributes:
        instance: Where it was addressed; empty for one to the queue group.
        arguments: As JSON, where they could be decoded.
        trace_id: Of its trace, where it has one.
    """

    at: datetime
    source: str
    target: str
    instance: str
    link: str
    interface: str
    function: str
    size_bytes: int
    arguments: list[Any] | None = None
    trace_id: str | None = None


async def spy_calls(
    client: Client,
    *,
    target: str | None = None,
    source: str | None = None,
    on_listening: Callable[[], None],
) -> AsyncGenerator[SpiedCall]:
    """Every call that crosses the bus once `on_listening` was called; one needs permission to subscribe."""
    patterns = subjects.call_patterns_of(client.lattice, target or "")
    types = _Types(client)
    async with aclosing(messages(client.bus, *patterns, on_listening=on_listening)) as stream:
        async for message in stream:
            call = await _read(message, types)
            if call is not None and source in (None, call.source):
                yield call


async def _read(message: Msg, types: _Types) -> SpiedCall | None:
    try:
        subject = subjects.parse_call(message.subject)
    except InvalidArgument:
        return None
    if subject.function == subjects.CANCEL_FUNCTION or not message.reply:
        return None
    interface = f"{subject.namespace}:{subject.package}/{subject.interface}"
    trace = (message.headers or {}).get(subjects.HEADER_TRACEPARENT, "")
    return SpiedCall(
        at=datetime.now(UTC),
        source=subject.source,
        target=subject.target,
        instance=subject.instance,
        link=subject.link,
        interface=interface,
        function=subject.function,
        size_bytes=len(message.data),
        arguments=await types.arguments(subject.target, interface, subject.function, message.data),
        trace_id=trace[3:35] or None,
    )


class _Types:
    """The types of functions, asked for once each; a target that cannot be asked is not asked again."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[tuple[str, str, str], Func | None] = {}

    async def arguments(self, target: str, interface: str, function: str, data: bytes) -> list[Any] | None:
        if len(data) > DECODED_BYTES_MAX:
            return None
        key = (target, interface, function)
        if key not in self._known:
            self._known[key] = await self._find(*key)
        func = self._known[key]
        try:
            return None if func is None else params_to_json(func, unpack(data))
        except LathError:
            return None  # not what the types say: the callee will refuse it too

    async def _find(self, target: str, interface: str, function: str) -> Func | None:
        try:
            return (await self._client.calls.find(target, InterfaceName.parse(interface), function)).func
        except LathError:
            return None
