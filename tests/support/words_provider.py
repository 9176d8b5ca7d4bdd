"""A provider for tests: answers `test:words/echo` with its link's prefix; as a process or built in."""

from __future__ import annotations

from lath.provider import Call, Link, Provider, operation


class Words(Provider):
    """Says what it is told, behind the prefix in the link's config. Config `broken` fails the link."""

    wit = "package test:words@1.0.0; interface echo { say: func(text: string) -> string; }"

    async def open_link(self, link: Link) -> str:
        if "broken" in link.config:
            raise ValueError(link.config["broken"])
        return link.config.get("prefix", "p:")

    @operation("test:words/echo")
    async def say(self, call: Call[str], text: str) -> str:
        if text == "context":
            return f"{call.source_id} {call.link.name} {call.trace.trace_id if call.trace else ''}"
        if text == "config":
            return self.context.config.get("tag", "none")
        return call.held + text


if __name__ == "__main__":
    Words.main()
