"""Every subject, header, bucket and stream name of lath: this module *is* the protocol on the bus.

Subjects are made by functions that check each token, so that no caller can smuggle a wildcard or a dot in.
Patterns for subscriptions end in `_pattern` or `_all`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from lath.errors import InvalidArgument
from lath.names import NO_LINK, InterfaceName, check_function, check_name, check_wit_id, function_token

# --- headers -----------------------------------------------------------------------------------------

HEADER_CALL: Final = "Lath"
"""What every call needs, packed: `{ms left},{call id},{link revision},{interface version},{app version}`."""
HEADER_TRACEPARENT: Final = "traceparent"
HEADER_TRACESTATE: Final = "tracestate"
HEADER_ERROR: Final = "Lath-Error"
"""The error kind of a reply; see `lath.errors`."""
HEADER_SERVICE_ERROR: Final = "Nats-Service-Error"
HEADER_SERVICE_ERROR_CODE: Final = "Nats-Service-Error-Code"
HEADER_BULK: Final = "Lath-Bulk"
"""On a call or reply whose payload is pulled in chunks: its size in bytes. On a pull: `{offset},{length}`."""
HEADER_STREAM: Final = "Lath-Stream"
"""On a call or reply whose payload goes on as a stream of bytes: `open`. On the messages of such a stream:
`{verb},{bytes}`; see `lath.rpc.streams`."""
HEADER_ASK: Final = "Lath-Ask"
"""On a message to the reply subject of a call that takes long: whether its caller still waits. One that does
not answers it."""
HEADER_NEAR: Final = "Lath-Near"
"""On a call that may make a resource: the token, in hex, of a handle that its caller holds. The resource then
lives in the same instance as that one, so that the two may meet in one call."""
HEADER_EXPECTED_SEQUENCE: Final = "Nats-Expected-Last-Subject-Sequence"
HEADER_EXPECTED_SUBJECT: Final = "Nats-Expected-Last-Subject-Sequence-Subject"
HEADER_TTL: Final = "Nats-TTL"
HEADER_KV_OPERATION: Final = "KV-Operation"
HEADER_MARKER_REASON: Final = "Nats-Marker-Reason"
ACK_REPLY_PREFIX: Final = "$JS.ACK"
"""A handler refuses messages with such a reply: they come from a consumer aimed at it."""
NEVER_REPLY_PREFIXES: Final = ("$", "lath.", "wasmbus.")
"""A call whose reply begins so is not answered: answering would let its caller send control requests,
acknowledgements or KV writes with the callee's permissions instead of its own."""

# --- buckets -----------------------------------------------------------------------------------------

BucketKind: TypeAlias = Literal["links", "config", "secrets", "presence", "apps"]
BUCKET_KINDS: Final[tuple[BucketKind, ...]] = ("links", "config", "secrets", "presence", "apps")


def bucket(kind: BucketKind, lattice: str) -> str:
    """The name of a bucket: `lath-links-default`."""
    return f"lath-{kind}-{check_name(lattice, 'lattice')}"


def stream(kind: BucketKind, lattice: str) -> str:
    """The stream behind a bucket."""
    return f"KV_{bucket(kind, lattice)}"


def key_prefix(kind: BucketKind, lattice: str) -> str:
    """What stands before a key in its subject: `$KV.lath-links-default.`."""
    return f"$KV.{bucket(kind, lattice)}."


def key_subject(kind: BucketKind, lattice: str, key: str) -> str:
    """The subject of a key, or of a filter of keys."""
    return key_prefix(kind, lattice) + key


def artifact_store(lattice: str) -> str:
    """The object store that holds components sent over the bus."""
    return f"lath-artifacts-{check_name(lattice, 'lattice')}"


def schedule_stream(lattice: str) -> str:
    """The stream behind the bucket `lath-schedule-{lattice}`: which ticks of schedules were taken."""
    return f"KV_lath-schedule-{check_name(lattice, 'lattice')}"


def schedule_prefix(lattice: str) -> str:
    """What stands before a key in that bucket; its keys are `{provider}.{digest of the link's key}`."""
    return f"$KV.lath-schedule-{check_name(lattice, 'lattice')}."


def schedule_record(lattice: str, provider: str, link_digest: str) -> str:
    """The subject of a schedule's record; `*` for the digest: of all records of a provider."""
    return f"{schedule_prefix(lattice)}{check_name(provider, 'provider id')}.{link_digest}"


# --- keys --------------------------------------------------------------------------------------------


def link_key(source: str, target: str, namespace: str, package: str, name: str) -> str:
    """The key of a link."""
    return ".".join(
        (
            check_name(source, "source"),
            check_name(target, "target"),
            check_wit_id(namespace, "namespace"),
            check_wit_id(package, "package"),
            check_name(name, "link name"),
        )
    )


def link_slot_filter(source: str, namespace: str, package: str, name: str) -> str:
    """The filter over all targets of one source, package and link name: what a link put compares against."""
    return (
        f"{check_name(source, 'source')}.*.{check_wit_id(namespace, 'namespace')}"
        f".{check_wit_id(package, 'package')}.{check_name(name, 'link name')}"
    )


def links_of_source_filter(source: str) -> str:
    return f"{check_name(source, 'source')}.>"


def links_of_target_filter(target: str) -> str:
    return f"*.{check_name(target, 'target')}.>"


def secret_key(participant: str, name: str) -> str:
    """The key of a secret: that of the participant that may open it comes first."""
    return f"{check_name(participant, 'participant')}.{check_name(name, 'secret')}"


def secrets_of_participant_filter(participant: str) -> str:
    return f"{check_name(participant, 'participant')}.*"


def presence_key(target: str, instance: str) -> str:
    return f"{check_name(target, 'target')}.{check_name(instance, 'instance')}"


def host_presence_key(host: str) -> str:
    return f"host.{check_name(host, 'host id')}"


# --- calls -------------------------------------------------------------------------------------------

CANCEL_FUNCTION: Final = "_cancel"
"""Stands where the function stands, in a message that cancels a call (its id is in the `Lath` header)."""
RELEASE_FUNCTION: Final = "_release"
"""Likewise in a message that tells an instance which handles of its resources nobody holds any more: the
payload is a msgpack array of tokens. It is not answered."""
RENEW_FUNCTION: Final = "_renew"
"""Likewise in a message that tells an instance which handles of its resources somebody still holds."""
_RESERVED_FUNCTIONS: Final = frozenset({CANCEL_FUNCTION, RELEASE_FUNCTION, RENEW_FUNCTION})


@dataclass(frozen=True, slots=True)
class CallSubject:
    """A call's subject, taken apart. `instance` is empty for a call to the queue group."""

    lattice: str
    target: str
    instance: str
    source: str
    link: str
    namespace: str
    package: str
    interface: str
    function: str


def call_tail(source: str, link: str, interface: InterfaceName | None, function: str) -> str:
    """The part of a call's subject after target and instance. Callers keep it per imported function.

    `interface` is None for a function of the world itself.
    """
    path = (
        f"{interface.namespace}.{interface.package}.{interface.interface}"
        if interface
        else f"{NO_LINK}.{NO_LINK}.{NO_LINK}"
    )
    token = function if function in _RESERVED_FUNCTIONS else function_token(function)
    return f"{check_name(source, 'source')}.{check_name(link, 'link name')}.{path}.{token}"


def call_any(lattice: str, target: str, tail: str) -> str:
    """A call to whichever instance of `target` the queue group picks."""
    return f"lath.rpc.{check_name(lattice, 'lattice')}.{check_name(target, 'target')}.{tail}"


def call_instance(lattice: str, target: str, instance: str, tail: str) -> str:
    """A call to one instance."""
    return (
        f"lath.rpci.{check_name(lattice, 'lattice')}.{check_name(target, 'target')}"
        f".{check_name(instance, 'instance')}.{tail}"
    )


def handle_notice(lattice: str, target: str, instance: str, source: str, function: str) -> str:
    """A message to one instance about handles of its resources.

    Args:
        lattice: The lattice.
        target: The component whose resources they are.
        instance: The instance that they live in.
        source: Who tells.
        function: `RELEASE_FUNCTION` or `RENEW_FUNCTION`.
    """
    return call_instance(lattice, target, instance, call_tail(source, NO_LINK, None, function))


def call_any_pattern(lattice: str, target: str) -> str:
    """What an instance subscribes to in the queue group `target`."""
    return f"lath.rpc.{check_name(lattice, 'lattice')}.{check_name(target, 'target')}.>"


def call_instance_pattern(lattice: str, target: str, instance: str) -> str:
    """What an instance subscribes to for itself."""
    return call_instance(lattice, target, instance, ">")


def call_patterns_of(lattice: str, target: str = "") -> tuple[str, str]:
    """What sees every call to `target`, or to anybody, however it is addressed. For operators."""
    name = check_name(lattice, "lattice")
    token = check_name(target, "target") if target else "*"
    return f"lath.rpc.{name}.{token}.>", f"lath.rpci.{name}.{token}.*.>"


def parse_call(subject: str) -> CallSubject:
    """Takes a call's subject apart.

    Raises:
        InvalidArgument: It is not a call's subject.
    """
    tokens = subject.split(".")
    if len(tokens) == 10 and tokens[1] == "rpc":
        _, _, lattice, target, source, link, ns, pkg, interface, function = tokens
        instance = ""
    elif len(tokens) == 11 and tokens[1] == "rpci":
        _, _, lattice, target, instance, source, link, ns, pkg, interface, function = tokens
    else:
        raise InvalidArgument(f"{subject[:200]!r} is not the subject of a call")
    if function not in _RESERVED_FUNCTIONS:
        function = check_function(function.replace("~", "."))
    return CallSubject(lattice, target, instance, source, link, ns, pkg, interface, function)


# --- link verbs --------------------------------------------------------------------------------------

LinkVerb: TypeAlias = Literal["ping", "vping", "purge", "pull"]
LINK_VERBS: Final[tuple[LinkVerb, ...]] = ("ping", "vping", "purge", "pull")


def link_verb(lattice: str, verb: LinkVerb, participant: str = "", instance: str = "") -> str:
    """A link verb to all, to every instance of one participant, or to one instance."""
    subject = f"lath.link.{check_name(lattice, 'lattice')}.{verb}"
    if participant:
        subject += f".{check_name(participant, 'participant')}"
    if instance:
        subject += f".{check_name(instance, 'instance')}"
    return subject


# --- events ------------------------------------------------------------------------------------------


def link_event(lattice: str, participant: str, instance: str) -> str:
    """Where an instance tells of its links' states."""
    return (
        f"lath.evt.{check_name(lattice, 'lattice')}.link"
        f".{check_name(participant, 'participant')}.{check_name(instance, 'instance')}"
    )


def lath_events_pattern(lattice: str) -> str:
    return f"lath.evt.{check_name(lattice, 'lattice')}.>"


def wasmbus_event(lattice: str, name: str) -> str:
    """Where wasmCloud's events go: `wasmbus.evt.default.host_started`."""
    return f"wasmbus.evt.{check_name(lattice, 'lattice')}.{check_name(name, 'event')}"


def wasmbus_events_pattern(lattice: str) -> str:
    return f"wasmbus.evt.{check_name(lattice, 'lattice')}.>"


# --- control interface -------------------------------------------------------------------------------

CTL_PREFIX: Final = "wasmbus.ctl.v1"


def ctl(lattice: str, *tokens: str) -> str:
    """A subject of the control interface: `ctl("default", "host", "get", host_id)`."""
    return ".".join((CTL_PREFIX, check_name(lattice, "lattice"), *(check_name(t, "token") for t in tokens)))


def ctl_pattern(lattice: str) -> str:
    return f"{CTL_PREFIX}.{check_name(lattice, 'lattice')}.>"


CTL_QUEUE: Final = "lath-ctl"
"""The queue group of hosts for control requests that exactly one host answers."""

# --- NATS micro --------------------------------------------------------------------------------------

MICRO_PATTERN: Final = "$SRV.>"
"""`$SRV.{PING,INFO,STATS}[.{name}[.{id}]]`: how `nats micro ls` asks who is there."""
MicroVerb: TypeAlias = Literal["PING", "INFO", "STATS"]
MICRO_RESPONSES: Final[dict[MicroVerb, str]] = {
    "PING": "io.nats.micro.v1.ping_response",
    "INFO": "io.nats.micro.v1.info_response",
    "STATS": "io.nats.micro.v1.stats_response",
}


def parse_micro(subject: str) -> tuple[MicroVerb, str, str]:
    """The verb, the name and the id that a micro request asks for; empty: all.

    Raises:
        InvalidArgument: It is not the subject of a micro request.
    """
    prefix, _, rest = subject.partition(".")
    verb, *names = rest.split(".")
    if prefix == "$SRV" and len(names) <= 2:
        for known in MICRO_RESPONSES:
            if verb == known:
                name, service_id = [*names, "", ""][:2]
                return known, name, service_id
    raise InvalidArgument(f"{subject[:200]!r} is not the subject of a micro request")


# --- patterns for permissions -----------------------------------------------------------------------


def lattice_pattern(lattice: str) -> str:
    """Every subject of lath's own in a lattice: calls, link verbs, events."""
    return f"lath.*.{check_name(lattice, 'lattice')}.>"


def calls_of_source_patterns(lattice: str, source: str) -> tuple[str, str]:
    """Every call that `source` can make: to a queue group, and to an instance."""
    name, caller = check_name(lattice, "lattice"), check_name(source, "source")
    return f"lath.rpc.{name}.*.{caller}.>", f"lath.rpci.{name}.*.*.{caller}.>"


def calls_to_target_patterns(lattice: str, target: str) -> tuple[str, str]:
    """Every call to `target`: through its queue group, and to any of its instances."""
    name, callee = check_name(lattice, "lattice"), check_name(target, "target")
    return f"lath.rpc.{name}.{callee}.>", f"lath.rpci.{name}.{callee}.>"


def link_events_of_participant_pattern(lattice: str, participant: str) -> str:
    """What a participant may say of its links."""
    return f"lath.evt.{check_name(lattice, 'lattice')}.link.{check_name(participant, 'participant')}.>"


def presence_of_target_pattern(lattice: str, target: str) -> str:
    """The presence of every instance of a target."""
    return key_subject("presence", lattice, f"{check_name(target, 'target')}.*")


def object_store_patterns(store: str) -> tuple[str, str]:
    """The chunks and the descriptions of an object store."""
    return f"$O.{store}.C.>", f"$O.{store}.M.>"


def object_store_stream(store: str) -> str:
    """The stream behind an object store."""
    return f"OBJ_{store}"


def inbox_prefix(participant: str) -> str:
    """Where a participant with credentials of its own gets its replies; nobody else may listen there."""
    return f"_INBOX_{check_name(participant, 'participant')}"
