"""Takes what OpenTelemetry exports over HTTP and throws it away: `python -m bench.otlp_sink`.

In a process of its own, so that receiving is nobody's cost but the machine's.
"""

from __future__ import annotations

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bench.child import until_told_to_end


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def _main() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        asyncio.run(until_told_to_end({"url": f"http://127.0.0.1:{server.server_port}"}))
        server.shutdown()


if __name__ == "__main__":
    _main()
