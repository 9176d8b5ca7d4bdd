"""Requests to the JetStream of a link's backend, with errors in the words of a blobstore."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nats.errors import Error as NatsError

from lath.bus import Bus
from lath.bus.jetstream import JetStreamError
from lath.errors import ConnectionLost, DeadlineExceeded, NotConnected, PermissionDenied, Unavailable
from lath.provider import BackendLost


@contextmanager
def asking(bus: Bus) -> Iterator[None]:
    """Requests made inside fail as `BlobBackend` says; a `JetStreamError` is for whoever knows its code.

    Raises:
        BackendLost: There is no connection, or it broke.
        PermissionDenied: The server does not permit it.
        Unavailable: No answer came in time, or nobody serves JetStream there.
    """
    try:
        yield
    except NotConnected as e:
        raise BackendLost(e.message, may_have_run=False) from e
    except ConnectionLost as e:
        raise BackendLost(f"the connection to {bus.url} broke") from e
    except PermissionDenied as e:
        raise PermissionDenied(f"{bus.url}: {e.message}: name credentials in the link's config") from e
    except DeadlineExceeded as e:
        raise Unavailable(f"{bus.url} gave no answer in time; what was asked may have been done") from e
    except NatsError as e:
        raise Unavailable(f"{bus.url}: {e}") from e


@contextmanager
def refusing(bus: Bus) -> Iterator[None]:
    """Like `asking`, where no refusal is expected: it is `Unavailable`, with JetStream's reason."""
    with asking(bus):
        try:
            yield
        except JetStreamError as e:
            raise Unavailable(f"{bus.url}: {e.message}") from e
