"""Instances that are pinned: callers hold handles of resources that live in them.

A pinned instance keeps its permit, is not given back to the pool, and serves the calls that name one of its
handles, one at a time, in the order in which they came. It is released with its last handle; all of them are
dropped where no call and no renewal has touched it for its lease. What fails in it ends it, and its handles.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lath.codec import ComponentHandle
from lath.errors import Draining, InvalidArgument, LathError, NotFound
from lath.telemetry import get_logger
from lath_host.engine.handles import Given, Home
from lath_host.engine.leases import Leases
from lath_host.engine.values import ExportedHandle

if TYPE_CHECKING:
    from lath_host.engine.admission import Admission
    from lath_host.engine.guest import Guest

Named = Sequence[tuple[ExportedHandle, ComponentHandle]]
"""The handles that a call names, and the types that it wants them to have."""

_log = get_logger(__name__)


class Pin:
    """A pinned instance.

    Attributes:
        guest: The instance.
        turn: Held while a call runs in it.
        tokens: The handles that calls may name.
        leaving: Those that are dropped, and about to be destroyed.
        due: When its lease is over, in the loop's time.
        ended: Whether it is pinned no more.
        counted: Whether it counts among the pins that keep others out.
    """

    __slots__ = ("counted", "due", "ended", "guest", "leaving", "tokens", "turn")

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.turn = asyncio.Lock()
        self.tokens: set[bytes] = set()
        self.leaving: set[bytes] = set()
        self.due = 0.0
        self.ended = False
        self.counted = False

    @property
    def lease_seconds(self) -> int:
        """As its handles say, by which those who hold them renew."""
        return self.guest.handles.lease_seconds


class Pins:
    """The pinned instances of one pool.

    Args:
        home: Where they live.
        admission: Is told how many permits pins keep.
        drop: Runs a guest's destructor of what somebody held a handle of; False where there is no way to.
            Raises `LathError` when that fails.
        rest: Takes a guest that is pinned no more.
        throw: Discards a guest, and gives its permit back.
        destructor_context: Makes what is given to every import that destructors call.
    """

    def __init__(
        self,
        home: Home,
        admission: Admission,
        *,
        drop: Callable[[Guest, Given, Any], Awaitable[bool]],
        rest: Callable[[Guest], None],
        throw: Callable[[Guest], None],
        destructor_context: Callable[[], Any],
    ) -> None:
        self._home = home
        self._admission = admission
        self._drop = drop
        self._rest = rest
        self._throw = throw
        self._destructor_context = destructor_context
        self._by_token: dict[bytes, Pin] = {}
        self._pins: Leases[Pin] = Leases(self._expire)
        self._dropping: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._shut = False

    def __len__(self) -> int:
        return len(self._pins)

    # -- calls -----------------------------------------------------------------------------------------------

    def find(self, named: Named) -> Pin:
        """The instance that a call with these handles has to run in. Ask again once it is its turn.

        Raises:
            NotFound: A handle is not known here: it has expired or was dropped, or its instance is gone.
            InvalidArgument: The handles live in several instances, are of another resource, or one that is
                given away is named twice.
            Draining: The pool serves no handles any more.
        """
        if self._shut:
            raise Draining(f"{self._home.component} is stopping, and its handles with it")
        pins = {self._pin_of(handle, named_handle): None for handle, named_handle in named}
        if len(pins) > 1:
            raise InvalidArgument(
                f"the handles of one call must live in one instance of {self._home.component}; "
                f"these live in {len(pins)}: get them from calls of the same instance"
            )
        self._check_given_away(named)
        return next(iter(pins))

    def near(self, token: bytes) -> Pin | None:
        """The instance that a handle lives in; None where it is not known here any more."""
        return None if self._shut else self._by_token.get(token)

    def _pin_of(self, handle: ExportedHandle, named: ComponentHandle) -> Pin:
        what = f"the handle of {handle.resource} of {handle.interface}"
        home = self._home
        if named.component != home.component:
            raise NotFound(f"{what} is one of component {named.component}, not of {home.component}")
        if named.instance != home.instance:
            raise NotFound(f"{what} lives in instance {named.instance} of {home.component}, which is gone")
        pin = self._by_token.get(named.token)
        if pin is None:
            raise NotFound(
                f"{what} is not known to {home.component}: its lease of {named.lease_seconds} s has expired, "
                "it was dropped, or the instance that it lived in is gone"
            )
        known = pin.guest.handles.given[named.token].handle
        if (known.interface, known.resource) != (handle.interface, handle.resource):
            raise InvalidArgument(f"expected {what}, got one of {known.resource} of {known.interface}")
        return pin

    def _check_given_away(self, named: Named) -> None:
        away = {each.token for handle, each in named if handle.mode == "own"}
        if away and len({each.token for _, each in named}) < len(named):
            for handle, each in named:
                if each.token in away and sum(other.token == each.token for _, other in named) > 1:
                    raise InvalidArgument(
                        f"a handle of {handle.resource} is given away and named again in the same call"
                    )

    def settle(self, guest: Guest) -> None:
        """After a call: the instance is pinned by the handles that it has given out, or is so no more.

        It must be pinned already, or have a permit and have given out a handle.
        """
        pin = guest.pin
        if pin is None:
            pin = guest.pin = Pin(guest)
            self._empty.clear()
        given = guest.handles.given
        for token in pin.tokens - given.keys():
            self._by_token.pop(token, None)
        pin.tokens &= given.keys()
        for token in given.keys() - pin.tokens - pin.leaving:
            pin.tokens.add(token)
            self._by_token[token] = pin
        self._count(pin, bool(pin.tokens))
        if not given:
            self._unpin(pin)
            self._rest(guest)
        elif self._shut:
            self.end(pin)
        else:
            self._pins.renew(pin)

    def end(self, pin: Pin) -> None:
        """Throws a pinned instance away, and its handles with it."""
        if not pin.ended:
            self._unpin(pin)
            self._throw(pin.guest)

    # -- what holders tell -----------------------------------------------------------------------------------

    def renew(self, tokens: Iterable[bytes]) -> None:
        """Somebody still holds these."""
        for pin in dict.fromkeys(self._by_token[token] for token in tokens if token in self._by_token):
            self._pins.renew(pin)

    def release(self, tokens: Iterable[bytes]) -> None:
        """Nobody holds these any more: their destructors run, and instances without handles are released.

        Args:
            tokens: Which. Those that are not known are passed over.
        """
        gone: dict[Pin, list[bytes]] = {}
        for token in tokens:
            pin = self._by_token.pop(token, None)
            if pin is not None:
                pin.tokens.discard(token)
                pin.leaving.add(token)
                gone.setdefault(pin, []).append(token)
        for pin, dropped in gone.items():
            if not pin.tokens:
                self._count(pin, False)
            task = asyncio.get_running_loop().create_task(self._drop_all(pin, dropped))
            self._dropping.add(task)
            task.add_done_callback(self._dropping.discard)

    async def _drop_all(self, pin: Pin, tokens: Sequence[bytes]) -> None:
        async with pin.turn:
            if pin.ended:
                return
            handles, context = pin.guest.handles, self._destructor_context()
            try:
                for token in tokens:
                    pin.leaving.discard(token)
                    given = handles.given.get(token)  # none: it was given away by the call that ran meanwhile
                    if given and not await self._drop(pin.guest, given, context):
                        self.end(pin)  # what it holds cannot be freed but with all of it
                        return
            except LathError as error:
                _log.warning("a destructor failed", component_id=self._home.component, error=str(error))
                self.end(pin)
                return
            except Exception as error:
                _log.error("a destructor failed", component_id=self._home.component, exc_info=error)
                self.end(pin)
                return
            self.settle(pin.guest)

    # -- the end ---------------------------------------------------------------------------------------------

    async def emptied(self) -> None:
        """Returns once nothing is pinned."""
        await self._empty.wait()

    def shut(self) -> None:
        """Serves no handles any more: instances go, those in which a call runs after it."""
        self._shut = True
        for pin in list(self._pins):
            if not pin.turn.locked():
                self.end(pin)

    async def close(self) -> None:
        """Returns once nothing of this runs. Shut it first, and end what runs."""
        self._pins.close()
        if self._dropping:
            await asyncio.wait(self._dropping)

    # -- inside ----------------------------------------------------------------------------------------------

    def _expire(self, pin: Pin) -> None:
        """Its lease is over. One in which a call runs is in use, and has a whole lease when that ends."""
        self._pins.renew(pin)  # for as long as the destructors run
        if not pin.turn.locked():
            self.release(list(pin.tokens))

    def _unpin(self, pin: Pin) -> None:
        pin.ended = True
        pin.guest.pin = None
        self._pins.end(pin)
        for token in pin.tokens:
            self._by_token.pop(token, None)
        self._count(pin, False)
        if not self._pins:
            self._empty.set()

    def _count(self, pin: Pin, counted: bool) -> None:
        self._admission.pinned += counted - pin.counted
        pin.counted = counted
