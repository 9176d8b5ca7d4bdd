"""The error side of a WIT function that returns a `result`."""

from __future__ import annotations

from typing import Any


class OpError(Exception):
    """The `err` case of a function's `result`, as an exception.

    An operation raises it: its caller gets `err(payload)`. `ProviderInstance.call` raises it when what it
    called answered so.

    Attributes:
        payload: The value of the error type, in the friendly form of `lath.codec.values`: `Variant("other",
            "disk full")`, a str, None where the error carries nothing.
    """

    def __init__(self, payload: Any = None) -> None:
        super().__init__(payload)
        self.payload = payload
