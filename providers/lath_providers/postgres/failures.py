"""What went wrong, in the words of the standard: each with its SQLSTATE, and never with a secret."""

from __future__ import annotations

from typing import Final

import asyncpg
from asyncpg import exceptions

from lath.codec import Variant
from lath.provider import BackendLost, OpError
from lath_providers.postgres.values import Misfit, Unsupported

PARAMS_CLASSES: Final = ("22",)
"""Classes of SQLSTATE: a value is not one that it should be."""
QUERY_CLASSES: Final = ("42", "0A", "26", "2F", "3D", "3F")
"""Classes of SQLSTATE: the statement is not one that this database runs."""
LOST_STATES: Final = ("57P01", "57P02", "57P03", "57P05")
"""The server ends connections, or takes none: a shutdown, a crash, a start."""
NOT_RUN_CLASSES: Final = ("28", "53")
"""Classes of SQLSTATE of a connection that was refused: who connects, and for want of room."""
_OUT_OF_STEP: Final = "cannot switch to state"
"""How asyncpg refuses a statement where the server has said, since the one before, that it ends the
connection, and the end itself was not read yet."""


def lost(error: BaseException, place: object) -> BackendLost | None:
    """That the backend is gone, where an error of a statement says so."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        if state.startswith("08") or state in LOST_STATES:
            return BackendLost(f"{place}: {_told(error)}")
        return None
    hung_up = isinstance(error, exceptions.InterfaceError) and "closed" in str(error)
    ending = isinstance(error, exceptions.InternalClientError) and _OUT_OF_STEP in str(error)
    if hung_up or ending or isinstance(error, OSError):
        return BackendLost(f"{place}: the connection was closed: {error}")
    return None


def refused(error: BaseException, place: object) -> BackendLost:
    """Why no connection could be made."""
    if isinstance(error, asyncpg.PostgresError):
        return BackendLost(f"{place}: {_told(error)}", may_have_run=False)
    if isinstance(error, TimeoutError):
        return BackendLost(f"{place}: no connection was made in time", may_have_run=False)
    words = str(error) or type(error).__name__
    return BackendLost(f"{place}: no connection could be made: {words}", may_have_run=False)


def query_error(error: BaseException) -> Variant | None:
    """The standard's `query-error` of what a statement raised; None where it is none of a statement's."""
    if isinstance(error, Misfit):
        return Variant("invalid-params", str(error))
    if isinstance(error, Unsupported):
        return Variant("invalid-query", str(error))
    if isinstance(error, exceptions.UnsupportedClientFeatureError):
        return Variant("invalid-query", f"there are no values for a type in the statement: {error}")
    if isinstance(error, asyncpg.PostgresError):
        return Variant(_case_of(error.sqlstate or ""), _told(error))
    if isinstance(error, exceptions.InterfaceError | exceptions.InternalClientError):
        return Variant("unexpected", str(error))
    return None


def unexpected(words: str) -> OpError:
    """The case `unexpected` of any of the standard's errors."""
    return OpError(Variant("unexpected", words))


def _case_of(state: str) -> str:
    if state.startswith(PARAMS_CLASSES):
        return "invalid-params"
    return "invalid-query" if state.startswith(QUERY_CLASSES) else "unexpected"


def _told(error: asyncpg.PostgresError) -> str:
    """Its SQLSTATE, its message, and what more it says: `23505: duplicate key … (Key (id)=(1) exists.)`."""
    words = f"{error.sqlstate}: {error.args[0] if error.args else type(error).__name__}"
    detail = getattr(error, "detail", None)
    hint = getattr(error, "hint", None)
    more = " ".join(part for part in (detail, hint) if part)
    return f"{words} ({more})" if more else words
