"""The same handlers in uvicorn and Starlette, without a sandbox: `python -m bench.peers.starlette_app`."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator

from bench.child import until_told_to_end
from bench.guests.http_text import BODY_BYTES
from bench.peers import REPLY

PIECE_BYTES = 65_536


def why_no_starlette() -> str:
    """Why it is not here; empty where it is."""
    return "" if importlib.util.find_spec("starlette") else "no Starlette: pip install 'lath[bench]'"


async def main() -> None:
    """Serves at a free port, which it says when it is ready."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response, StreamingResponse
    from starlette.routing import Route

    piece = (bytes(PIECE_BYTES // 2)) + b"\xe9" * (PIECE_BYTES // 2)

    async def hello(request: Request) -> Response:
        return Response(REPLY)

    async def upload(request: Request) -> Response:
        async for _ in request.stream():
            pass
        return Response()

    async def download(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(BODY_BYTES // PIECE_BYTES):
                yield piece

        return StreamingResponse(pieces())

    app = Starlette(
        routes=[
            Route("/", hello),
            Route("/upload", upload, methods=["POST"]),
            Route("/download", download),
        ]
    )
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, http="httptools", loop="asyncio", lifespan="off", access_log=False,
        log_level="error",
    )  # fmt: skip
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    serving = asyncio.create_task(server.main_loop())
    port = server.servers[0].sockets[0].getsockname()[1]
    await until_told_to_end({"port": port})
    server.should_exit = True
    await serving
    await server.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
