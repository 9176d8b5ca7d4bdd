"""The lengths of HTTP/2 frames, looked at before they have come.

h2 looks at a frame once it has all of it: a client that says 16 MiB could have a server keep as much.
"""

from __future__ import annotations

from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client of HTTP/2 begins with (RFC 9113, 3.4); to HTTP/1.1 it is malformed, by design."""
_HEAD_BYTES: Final = 9
_LENGTH_BYTES: Final = 3


class FrameLengths:
    """Follows what a client sends, from the preface on.

    Args:
        bytes_max: What the server takes in one frame.
    """

    def __init__(self, bytes_max: int) -> None:
        self._max = bytes_max
        self._skip = len(PREFACE)
        self._head = b""

    def fit(self, data: bytes) -> bool:
        """Whether no frame that begins in `data`, which comes next, is too long."""
        at = 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
                continue
            piece = data[at : at + _HEAD_BYTES - len(self._head)]
            at += len(piece)
            self._head += piece
            if len(self._head) == _HEAD_BYTES:
                self._skip, self._head = int.from_bytes(self._head[:_LENGTH_BYTES], "big"), b""
                if self._skip > self._max:
                    return False
        return True
