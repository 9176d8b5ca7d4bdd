"""What S3 and its client answer, as errors in the words of a blobstore."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from obstore.exceptions import BaseError

from lath.errors import LathError, NotFound, PermissionDenied, Unavailable
from lath.provider import BackendLost

_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>(\w{1,80})</Code>")
_KIND: Final = re.compile(r"HttpError \{\s*kind: (\w+)")
_CERTIFICATE: Final = re.compile(r"InvalidCertificate\(\s*(\w+)")
_CAUSE: Final = re.compile(r'message: "([^"]{1,200})"')
_TIMED_OUT: Final = "Timeout"
_DENIED: Final = ("401", "403")
_MISSING: Final = "404"


@contextmanager
def asking(endpoint: str) -> Iterator[None]:
    """Requests made inside fail as `BlobBackend` says; `FileNotFoundError` is for who knows what was asked.

    The client's own messages go no further: they tell of its inside, over many lines.

    Args:
        endpoint: Names the server in messages.

    Raises:
        FileNotFoundError: There is no such key.
        BackendLost: The server cannot be reached.
        LathError: It refused, or gave no answer in time.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as e:
        raise _told(endpoint, str(e)) from e


def _told(endpoint: str, said: str) -> LathError | BackendLost:
    status = _STATUS.search(said)
    code = _CODE.search(said)
    why = code[1] if code else f"status {status[1]}" if status else ""
    if status is None:
        kind = _KIND.search(said)
        if kind and kind[1] == _TIMED_OUT:
            return Unavailable(f"{endpoint} gave no answer in time; what was asked may have been done")
        return BackendLost(f"{endpoint} cannot be reached: {_cause(said)}")
    if status[1] in _DENIED:
        return PermissionDenied(f"{endpoint} does not permit it with these credentials: {why}")
    if status[1] == _MISSING:
        return NotFound(f"{endpoint}: {why}")
    return Unavailable(f"{endpoint}: {why}")


def _cause(said: str) -> str:
    """What a message says, deep inside, of a connection that failed."""
    certificate = _CERTIFICATE.search(said)
    if certificate:
        return f"its certificate is not accepted ({certificate[1]})"
    cause = _CAUSE.findall(said)
    return cause[-1] if cause else said.partition("\n")[0].rpartition(" - ")[2][:200]
