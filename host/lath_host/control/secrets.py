"""Operations about secrets: what they are sealed to, and sealing them anew. One host answers.

Putting one is not here: a client seals it and writes it itself, so that no value crosses the bus in clear.
"""

from __future__ import annotations

from lath.model import CtlReply, RekeySecrets, SecretKey
from lath.names import check_target
from lath_host.control.operation import Operation, Request, done
from lath_host.services import Services


async def key(host: Services, request: Request) -> CtlReply:
    """A participant's public key, whether it runs anywhere or not."""
    participant = check_target(request.argument, "participant")
    await host.secret_keys.refresh()
    public = host.secret_keys.lattice_keys().of(participant).public_key
    return done(response=SecretKey(participant=participant, public_key=public, host_id=host.identity.id))


async def rekey(host: Services, request: Request) -> CtlReply:
    """Seals what is sealed to an older key to the current one."""
    asked = request.read(RekeySecrets, "rekey request")
    await host.secret_keys.refresh()
    return done(response=await host.secrets.rekey(host.secret_keys.lattice_keys(), asked.participant))


OPERATIONS = (
    Operation("secret", "key", "one", key, takes_argument=True),
    Operation("secret", "rekey", "one", rekey),
)
