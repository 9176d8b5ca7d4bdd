"""A provider for tests of secrets, as a process: it says much about its password, in all the wrong places."""

from __future__ import annotations

from lath.provider import Call, Link, Provider, operation


class Gossip(Provider):
    """Answers with the length of the link's `password`; `fail` fails with it in the message."""

    wit = "package test:words@1.0.0; interface echo { say: func(text: string) -> string; }"

    async def open_link(self, link: Link) -> str:
        password = link.config["password"]
        if password.startswith("bad-"):
            raise RuntimeError(f"cannot sign in with {password!r} at redis://:{password}@127.0.0.1/")
        return password

    @operation("test:words/echo")
    async def say(self, call: Call[str], text: str) -> str:
        call.log.info("asked", password=call.held, link=repr(call.link))
        if text == "fail":
            raise RuntimeError(f"refused: {call.held}")
        return f"{len(call.held)} characters"


if __name__ == "__main__":
    Gossip.main()
