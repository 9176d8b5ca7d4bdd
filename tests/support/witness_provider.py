"""A provider that tells what came to it: how many calls, by which link, in which trace; as a process."""

from __future__ import annotations

import asyncio
import sys

from words_provider import Words

from lath.provider import Call, Link, operation

SLOW_S = 0.2


class Witness(Words):
    """Like `Words`; told `seen?` it says how often it was called with anything else, told `trace?` its trace.

    What begins with `slowly` takes a moment.
    Config `hang` keeps the link from ever opening.
    """

    def __init__(self) -> None:
        self.calls = 0

    async def open_link(self, link: Link) -> str:
        if "hang" in link.config:
            await asyncio.Event().wait()
        return await super().open_link(link)

    @operation("test:words/echo")
    async def say(self, call: Call[str], text: str) -> str:
        match text:
            case "seen?":
                return str(self.calls)
            case "trace?":
                trace = call.trace
                sdk = "opentelemetry.sdk.trace" in sys.modules
                told = (trace.traceparent, trace.tracestate) if trace else ("", "")
                return f"{told[0]} {told[1]} {call.source_id} {call.link.name} {'sdk' if sdk else 'no-sdk'}"
        if text.startswith("slowly"):
            await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=SLOW_S)
        self.calls += 1
        return call.held + text


if __name__ == "__main__":
    Witness.main()
