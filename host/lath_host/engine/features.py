"""The WebAssembly proposals that a host may have on or off, under the names of wasmtime's own `-W` flags.

Those of WebAssembly 2.0 are always on. Left out beside them: shared memories, which slots do not have, and
proposals that change the names of imports and exports, which lath reads by the rules of today.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from wasmtime import _ffi as ffi

from lath.errors import InvalidArgument
from lath.names import shown


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal.

    Attributes:
        is_default: Whether it is on where nobody says otherwise, as in wasmtime 50.
        signs: What wasmtime says, in one of these wordings, of a component that needs it while it is off.
    """

    is_default: bool
    signs: tuple[str, ...] = ()


PROPOSALS: Final[Mapping[str, Proposal]] = {
    "compact-imports": Proposal(False, ("compact import",)),
    "component-model-async": Proposal(True, ("component model async feature",)),
    "component-model-async-stackful": Proposal(False, ("async stackful feature",)),
    "component-model-more-async-builtins": Proposal(False, ("more async builtins feature",)),
    "custom-page-sizes": Proposal(False, ("custom page sizes proposal",)),
    "exceptions": Proposal(True, ("exceptions proposal", "exceptions support")),
    "function-references": Proposal(True, ("function references support", "function references required")),
    "gc": Proposal(True, ("gc feature", "gc support", "gc proposal")),
    "memory64": Proposal(True, ("memory64 must be enabled",)),
    "multi-memory": Proposal(True, ("multiple memories", "multi-memory")),
    "relaxed-simd": Proposal(True, ("relaxed SIMD support",)),
    "stack-switching": Proposal(False, ("stack switching",)),
    "tail-call": Proposal(True, ("tail calls support",)),
    "threads": Proposal(True, ("threads support", "threads must be enabled")),
    "wide-arithmetic": Proposal(True, ("wide arithmetic support",)),
}
_ON: Final = {"on": True, "off": False}


class WasmFeatures:
    """Which proposals are on.

    Args:
        asked: By name, whether it shall be on; the others are as by default.

    Raises:
        InvalidArgument: There is no proposal of that name; the message lists those that there are.

    Attributes:
        changed: By name, those that are not as by default.
    """

    def __init__(self, asked: Mapping[str, bool] | None = None) -> None:
        asked = asked or {}
        for name in asked:
            if name not in PROPOSALS:
                raise InvalidArgument(f"unknown wasm feature {shown(name)}; known: {', '.join(PROPOSALS)}")
        self.changed = {name: on for name, on in sorted(asked.items()) if on != PROPOSALS[name].is_default}

    @classmethod
    def parse(cls, options: Iterable[str]) -> Self:
        """Reads `NAME`, `NAME=on` and `NAME=off`; of two for one name the later holds.

        Raises:
            InvalidArgument: Another form, or an unknown name.
        """
        asked = {}
        for option in options:
            name, _, value = option.partition("=")
            if (value or "on") not in _ON:
                raise InvalidArgument(
                    f"wasm feature {shown(option)} is not of the form NAME, NAME=on, NAME=off"
                )
            asked[name] = _ON[value or "on"]
        return cls(asked)

    @property
    def enabled(self) -> tuple[str, ...]:
        """The names of those that are on."""
        return tuple(name for name in PROPOSALS if self.is_on(name))

    @property
    def labels(self) -> dict[str, str]:
        """Labels of a host that say what is not as by default, by which components choose one."""
        return {f"wasm.{name}": "on" if on else "off" for name, on in self.changed.items()}

    @property
    def key(self) -> str:
        """Tells compiled code apart; empty where all is as by default."""
        return "".join(f"-{name}={'on' if on else 'off'}" for name, on in self.changed.items())

    def is_on(self, name: str) -> bool:
        return self.changed.get(name, PROPOSALS[name].is_default)

    def apply(self, config: Any) -> None:
        """Sets what is changed on the config of an engine, given by its pointer."""
        for name, on in self.changed.items():
            getattr(ffi, f"wasmtime_config_wasm_{name.replace('-', '_')}_set")(config, on)

    def advice(self, refusal: str) -> str:
        """What to do about a component of which wasmtime says `refusal`; empty where that cannot be told."""
        for name, proposal in PROPOSALS.items():
            if not self.is_on(name) and any(sign in refusal for sign in proposal.signs):
                return f"it needs {name}, which this host has off: start the host with --wasm-feature {name}"
        return ""
