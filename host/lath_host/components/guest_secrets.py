"""`wasmcloud:secrets` for components: opaque handles, whose value crosses into the guest only by `reveal`.

A handle is the sealed value itself, as it stood when it was got: nothing has to be kept for it, and whoever
else comes to hold one, on another host or in a component beside it, has nothing that he could open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgpack
from msgpack import ExtType

from lath import subjects
from lath.bus.entry import Entry
from lath.codec import PROVIDER_RESOURCE
from lath.errors import InvalidArgument, LathError, NotFound, PermissionDenied, Unavailable
from lath.mirror import Mirror
from lath.model import SealedSecret
from lath.names import InterfaceName
from lath.secrets import ParticipantKeys, read_secret, unseal
from lath.telemetry import span

_INTERFACES: Final = frozenset({"store", "reveal"})


def is_guest_secrets(interface: InterfaceName) -> bool:
    """Whether an imported interface is one that this module answers."""
    return (
        interface.namespace == "wasmcloud"
        and interface.package == "secrets"
        and interface.interface in _INTERFACES
    )


class GuestSecrets:
    """The secrets of one component.

    Args:
        component_id: Whose.
        mirror: Of the bucket of secrets; read by the host for all components.
        keys: The component's, as they are now; None where the host has none.
    """

    def __init__(
        self, component_id: str, mirror: Mirror, keys: Callable[[str], ParticipantKeys | None]
    ) -> None:
        self._id = component_id
        self._mirror = mirror
        self._keys = keys
        self._handles: dict[str, tuple[Entry, ParticipantKeys, ExtType]] = {}

    def answer(self, function: str, params: list[Any]) -> Any:
        """Answers one call; wire values in and out.

        Raises:
            NotFound: There is no such function.
            InvalidArgument: The parameters do not fit it, or the handle is none.
            PermissionDenied: The handle is of another component's secret.
            Unavailable: The key that the secret is sealed to is gone.
        """
        match function, params:
            case "get", [str() as name]:
                return self._get(name)
            case "reveal", [ExtType() as handle]:
                return self._reveal(handle)
        if function in ("get", "reveal"):
            raise InvalidArgument(
                f"wasmcloud:secrets {function} was called with other parameters than it has"
            )
        raise NotFound(f"wasmcloud:secrets has no function {function}")

    def _get(self, name: str) -> Mapping[str, Any]:
        try:
            entry = self._mirror.entries.get(subjects.secret_key(self._id, name))
        except InvalidArgument:  # nothing can have such a name
            return {"err": {"not-found": None}}
        try:
            keys = self._keys(self._id)
            if keys is None:
                raise Unavailable("this host has no key for secrets: start it with --secrets-key")
            if entry is None:
                if not self._mirror.ever_synced:
                    raise Unavailable("the secrets of the lattice have not been read yet")
                self._handles.pop(name, None)
                return {"err": {"not-found": None}}
            return {"ok": self._handle(keys, name, entry)}
        except LathError as e:
            return {"err": {"upstream": str(e)}}

    def _handle(self, keys: ParticipantKeys, name: str, entry: Entry) -> ExtType:
        known = self._handles.get(name)
        if known is not None and known[0] is entry and known[1] is keys:
            return known[2]
        secret = read_secret(entry)
        unseal(keys, name, secret)  # `reveal` has no way to say that it cannot be opened
        content = [self._id, name, secret.public_key, secret.sealed]
        handle = ExtType(PROVIDER_RESOURCE, msgpack.packb(content))
        self._handles[name] = entry, keys, handle
        return handle

    def _reveal(self, handle: ExtType) -> Mapping[str, str | bytes]:
        owner, name, secret = _read_handle(handle)
        if owner != self._id:
            raise PermissionDenied(
                f"the handle is of a secret of {owner}, and {self._id} may reveal its own alone"
            )
        keys = self._keys(self._id)
        if keys is None:
            raise Unavailable(f"the host of {self._id} has no key for secrets any more")
        told = {"lath.component": self._id, "lath.secret": name}
        with span("wasmcloud:secrets/reveal.reveal", attributes=told):
            value = unseal(keys, name, secret)
        return {"string": value} if isinstance(value, str) else {"bytes": value}


def _read_handle(handle: ExtType) -> tuple[str, str, SealedSecret]:
    if handle.code == PROVIDER_RESOURCE:
        try:
            content = msgpack.unpackb(handle.data)
        except (ValueError, msgpack.UnpackException):
            content = None
        match content:
            case [str() as owner, str() as name, str() as key, str() as sealed]:
                return owner, name, SealedSecret.model_construct(public_key=key, sealed=sealed)
    raise InvalidArgument("the handle is of no secret of this lattice")
