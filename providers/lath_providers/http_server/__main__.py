"""Runs the provider as a process: `python -m lath_providers.http_server`."""

from lath_providers.http_server.provider import HttpServer

if __name__ == "__main__":
    HttpServer.main()
