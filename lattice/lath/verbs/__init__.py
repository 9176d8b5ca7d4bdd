"""Link verbs: ping, vping, purge, pull, and puts that wait; served by participants, asked by operators.

`VerbServer` answers for a `LinkHolder`; `LinkOps` asks everybody and joins the answers.
"""

from lath.verbs.holder import LinkHolder, digest_of
from lath.verbs.ops import PING_TIMEOUT_MS, WAIT_TIMEOUT_MS, LinkOps
from lath.verbs.serve import VerbServer

__all__ = ["PING_TIMEOUT_MS", "WAIT_TIMEOUT_MS", "LinkHolder", "LinkOps", "VerbServer", "digest_of"]
