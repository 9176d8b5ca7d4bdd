"""A provider for tests that serves nothing: what it has links to it asks over HTTP."""

from __future__ import annotations

from lath.provider import Provider


class Asking(Provider):
    """The source of links to components that serve HTTP."""


if __name__ == "__main__":
    Asking.main()
