"""What the guests of one component log and print, as lines of the host's own log.

`wasi:logging/logging` is answered here where no link for it exists; standard output and error come the same
way. Each line has the component, the instance, and, as every line has, the ids of the trace that it belongs
to. A guest decides neither how many lines there are, nor how long they get, nor what a terminal does with
them.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any, Final

from lath.errors import InvalidArgument, NotFound
from lath.names import InterfaceName
from lath.telemetry import get_logger

LINES_PER_WINDOW_MAX: Final = 1000
"""Of one component on one host. At 30 µs a line the host's loop has 97 % of its time for other things."""
WINDOW_S: Final = 1.0
MESSAGE_CHARS_MAX: Final = 8192
"""As much as a line of what a guest prints has."""
CONTEXT_CHARS_MAX: Final = 256
"""It groups messages; longer ones are messages."""

_LEVELS: Final = {
    "trace": logging.DEBUG,  # structured logs know none below it
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
_HARMFUL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of text. Tabs and line ends are shown escaped anyway,
by either format of the log."""

_log = get_logger("lath.guest")


def is_guest_log(interface: InterfaceName) -> bool:
    """Whether an imported interface is one that this module answers."""
    return interface.unversioned == "wasi:logging/logging"


class GuestLog:
    """The log of one component on this host.

    Args:
        component_id: Whose.
        instance_id: Its run here.
    """

    def __init__(self, component_id: str, instance_id: str) -> None:
        self._log = _log.bind(component_id=component_id, instance_id=instance_id)
        self._window_ends = 0.0
        self._lines = 0
        self._dropped = 0
        self._telling: asyncio.TimerHandle | None = None

    def answer(self, function: str, params: list[Any]) -> None:
        """Answers one call of `wasi:logging/logging`; wire values in.

        Raises:
            NotFound: There is no such function.
            InvalidArgument: The parameters do not fit it.
        """
        if function != "log":
            raise NotFound(f"wasi:logging has no function {function}")
        if len(params) != 3 or params[0] not in _LEVELS or not all(isinstance(p, str) for p in params):
            raise InvalidArgument("wasi:logging log takes a level, a context and a message")
        level, context, message = params
        if not self._log.isEnabledFor(_LEVELS[level]) or not self._admitted():
            return
        fields = {"context": _harmless(context, CONTEXT_CHARS_MAX)} if context else {}
        if level == "trace":
            fields["wasi_level"] = level
        self._log.log(
            _LEVELS[level], "component logs", message=_harmless(message, MESSAGE_CHARS_MAX), **fields
        )

    def says(self, stream: str, line: str) -> None:
        """Takes a line that a guest has printed.

        Args:
            stream: `stdout` or `stderr`.
            line: Without its end.
        """
        if self._admitted():
            self._log.info("component says", stream=stream, line=_harmless(line, MESSAGE_CHARS_MAX))

    def close(self) -> None:
        """Tells at once what is still to tell."""
        if self._telling is not None:
            self._tell_dropped()

    def _admitted(self) -> bool:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now >= self._window_ends:
            self._window_ends = now + WINDOW_S
            self._lines = 0
        self._lines += 1
        if self._lines <= LINES_PER_WINDOW_MAX:
            return True
        self._dropped += 1
        if self._telling is None:
            self._telling = loop.call_at(self._window_ends, self._tell_dropped)
        return False

    def _tell_dropped(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        dropped, self._dropped = self._dropped, 0
        self._log.warning("component logs too much", dropped=dropped, lines_per_second=LINES_PER_WINDOW_MAX)


def _harmless(text: str, chars_max: int) -> str:
    """`text` as any log or terminal may have it: what is too long is cut, what would act is written out."""
    shown = _HARMFUL.sub(_escaped, text[:chars_max])
    return shown if len(text) <= chars_max else f"{shown}… ({len(text)} characters)"


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
