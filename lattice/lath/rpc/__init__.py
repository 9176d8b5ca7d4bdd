"""Calls over the bus: `Caller` makes them, `CallServer` serves them."""

from lath.rpc.balance import FailedAttempt, may_retry
from lath.rpc.bulk import INLINE_BYTES_MAX, PAYLOAD_BYTES_MAX
from lath.rpc.call import Following, Handler, IncomingCall, Streamed
from lath.rpc.caller import Caller
from lath.rpc.exchange import Answer, Exchanges
from lath.rpc.header import TIMEOUT_MS_DEFAULT, TIMEOUT_MS_MAX, CallHeader
from lath.rpc.micro import Micro, Service
from lath.rpc.server import CallServer
from lath.rpc.stats import CallStats

__all__ = [
    "INLINE_BYTES_MAX",
    "PAYLOAD_BYTES_MAX",
    "TIMEOUT_MS_DEFAULT",
    "TIMEOUT_MS_MAX",
    "Answer",
    "CallHeader",
    "CallServer",
    "CallStats",
    "Caller",
    "Exchanges",
    "FailedAttempt",
    "Following",
    "Handler",
    "IncomingCall",
    "Micro",
    "Service",
    "Streamed",
    "may_retry",
]
