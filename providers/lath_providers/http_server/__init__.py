"""The provider that serves HTTP/1.1 and HTTP/2, for components that export wasi:http/incoming-handler."""

try:
    from lath_providers.http_server.config import HttpServerConfig
    from lath_providers.http_server.provider import HttpServer
except ModuleNotFoundError as e:
    raise ImportError(f"http-server needs the extra `http` (pip install 'lath[http]'): {e}") from None

__all__ = ["HttpServer", "HttpServerConfig"]
