"""A Python component that is a CGI program: a WSGI application under the standard library's `wsgiref`."""

from __future__ import annotations

from typing import Final

from python_guest import build_python_guest

_WIT: Final = """
package demo:cgi@0.1.0;
world app { export wasi:cli/run@0.2.0; }
package wasi:cli@0.2.0 { interface run { run: func() -> result; } }
"""
_SOURCE: Final = """
import os
import sys
from wsgiref.handlers import CGIHandler

def app(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    print("asked for", environ["PATH_INFO"], file=sys.stderr)
    start_response("201 Created", [("Content-Type", "text/plain"), ("X-Greeting", os.environ["GREETING"])])
    told = f"{environ['REQUEST_METHOD']} {environ['QUERY_STRING']} {environ['HTTP_X_ASKED']} "
    return [told.encode(), body]

class Run:
    def run(self):
        CGIHandler().run(app)
"""


def build_cgi_guest() -> bytes:
    """The component, built now or before."""
    return build_python_guest(_WIT, _SOURCE)
