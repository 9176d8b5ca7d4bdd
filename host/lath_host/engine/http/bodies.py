"""The bodies of HTTP: bytes between a guest and others, with trailers, sizes and error codes."""

from __future__ import annotations

from lath.http import Header, Trailers
from lath_host.engine.http.messages import HttpFailure, code_of
from lath_host.engine.wasi import bodies
from lath_host.engine.wasi.streams import IoError


class Source(bodies.Source):
    """A body that comes from outside.

    Args:
        chunks: All of it, or its chunks; None: it is empty.
        release: Called once nobody wants any more of it.

    Attributes:
        trailing: Gives the trailers, at its end; None: there are none.
    """

    trailing: Trailers | None = None

    def trailers(self) -> list[Header]:
        """Those that came after its end."""
        return self.trailing() if self.trailing is not None else []

    def told(self, failure: Exception) -> IoError:
        return IoError(str(failure), code_of(failure))


class Pipe(bodies.Pipe):
    """A body that a guest writes.

    Args:
        expected: Its size in bytes, where the header says it.
        mismatch: What is wrong with a body of another size, as a case of `error-code`.

    Attributes:
        trailers: Complete once it has ended.
    """

    def __init__(self, expected: int | None, mismatch: str) -> None:
        self.trailers: list[Header] = []
        self._expected = expected
        self._mismatch = mismatch

    def told(self, failure: Exception) -> IoError:
        return IoError(str(failure), code_of(failure))

    def put(self, data: bytes) -> None:
        if self._expected is not None and self.sent + len(data) > self._expected:
            self.sent += len(data)
            self.fail(self._wrong_size())
            self.room()  # raises what the guest is told
        if data:
            self._add(data)

    def finish(self, trailers: list[Header]) -> dict[str, object] | None:
        """The guest has written all of it; the `error-code` that it is refused with, None where it is not."""
        if self._failure is not None:
            return code_of(self._failure)
        if self.taken and self._expected is not None and self.sent != self._expected:
            wrong = self._wrong_size()
            self.fail(wrong)
            return wrong.code
        self.trailers.extend(trailers)
        self.complete()
        return None

    def _wrong_size(self) -> HttpFailure:
        return HttpFailure(self._mismatch, self.sent)
