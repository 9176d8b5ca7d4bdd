"""Interceptors: what every call of a provider goes through, around the operation.

    async def audited(call: Call[Any], operation: Operation, args: Sequence[Any], next: Next) -> Any:
        result = await next(args)
        call.log.info("served", operation=operation.title)
        return result

    class Shelf(Provider):
        interceptors = (audited,)

An interceptor gives `next` the arguments, those that it got or others, as often as it likes: once, several
times (a retry), never (a cache, a quota). What `next` returns is what the method returned, in the friendly
form of `lath.codec`; what it raises is what the method raised, `OpError` included. It runs within the link,
the deadline and the span of the call; cancelling the call cancels it, and what it awaits. A provider without
interceptors pays nothing for them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from lath.provider.call import Call

if TYPE_CHECKING:
    from lath.provider.base import Operation

Next: TypeAlias = Callable[[Sequence[Any]], Awaitable[Any]]
"""The next interceptor, or the operation itself."""


class Interceptor(Protocol):
    """An async function, or an object with such a `__call__`."""

    async def __call__(
        self, call: Call[Any], operation: Operation, args: Sequence[Any], next: Next, /
    ) -> Any:
        """Goes on with a call, or answers it.

        Args:
            call: The call.
            operation: Which operation it is of.
            args: Its arguments, resources already made of their handles.
            next: Goes on.

        Returns:
            What the operation would return.

        Raises:
            OpError: The call answers `err`.
            LathError: The call fails; `Overloaded`, say, for a quota.
        """


async def intercepted(
    interceptors: Sequence[Interceptor],
    method: Callable[..., Awaitable[Any]],
    call: Call[Any],
    operation: Operation,
    args: Sequence[Any],
) -> Any:
    """Runs a method inside of interceptors, the first outermost."""

    async def served(args: Sequence[Any]) -> Any:
        return await method(call, *args)

    proceed: Next = served
    for interceptor in reversed(interceptors):
        proceed = _step(interceptor, call, operation, proceed)
    return await proceed(args)


def _step(interceptor: Interceptor, call: Call[Any], operation: Operation, next: Next) -> Next:
    def step(args: Sequence[Any]) -> Awaitable[Any]:
        return interceptor(call, operation, args, next)

    return step
