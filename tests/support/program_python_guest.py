"""A Python component for tests of the engine alone: a program, a script, and resources of its own.

The program is a WSGI application under the standard library's `wsgiref`; the script is what its caller gives.
"""

from __future__ import annotations

from typing import Final

from python_guest import build_python_guest

_WIT: Final = """
package demo:app@0.1.0;
interface script { run: func(port: u16, lines: string) -> string; }
interface counters {
  resource counter {
    constructor(start: u32);
    merge: func(other: borrow<counter>) -> u32;
    label: func(data: list<u8>) -> list<u8>;
    take: static func(c: counter) -> u32;
  }
}
world app {
  export wasi:cli/run@0.2.0;
  export script;
  export counters;
}
package wasi:cli@0.2.0 { interface run { run: func() -> result; } }
"""
_SOURCE: Final = """
import asyncio
import contextlib
import encodings.idna
import io
import os
import select
import socket
import sys
from wsgiref.handlers import CGIHandler
from wit_world.exports import counters

sys.modules["counters"] = sys.modules[__name__]  # where its resources are looked for

def app(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    print("asked for", environ["PATH_INFO"], file=sys.stderr)
    start_response("201 Created", [("Content-Type", "text/plain"), ("X-Greeting", os.environ["GREETING"])])
    told = f"{environ['REQUEST_METHOD']} {environ['QUERY_STRING']} {environ['HTTP_X_ASKED']} "
    return [told.encode(), body]

class Run:
    def run(self):
        CGIHandler().run(app)

class Script:
    def run(self, port, lines):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(lines, {**globals(), "port": port})
        return out.getvalue()

class Counter(counters.Counter):
    def __init__(self, start):
        self.value = start

    def merge(self, other):
        self.value += other.value
        return self.value

    def label(self, data):
        return data + str(self.value).encode()

    @classmethod
    def take(cls, c):
        return c.value
"""


def build_program_guest() -> bytes:
    """The component, built now or before."""
    return build_python_guest(_WIT, _SOURCE)
