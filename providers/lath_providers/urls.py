"""URLs in the configs of links. They may hold a password, so no message repeats them."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from lath.errors import InvalidArgument


def split_url(text: str) -> SplitResult:
    """The parts of a URL.

    Raises:
        InvalidArgument: It is none. What Python says of that may have the password in it, and is not told.
    """
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise InvalidArgument(
            "it is no URL with a port from 0 to 65535; in a password, characters such as / : @ # [ are "
            "written as in %5B"
        ) from None
    return parts
