"""What each kind of participant may do on the bus: blocks for nats-server's configuration.

A provider gets as little as it can do with. It reads its own links and secrets, and nothing else of any
bucket: no `STREAM.INFO`, whose subject filter lists every key, no `CONSUMER.INFO` or `.DELETE`, which reach
others' consumers. Its replies come to an inbox prefix of its own: connect with
`Credentials(inbox_prefix=…)` as `lath.subjects.inbox_prefix` gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from lath import subjects
from lath.bus.jetstream import API, FLOW_CONTROL_PREFIX
from lath.names import check_name, check_target

RESPONSES_MAX: Final = 1000
"""Messages to one reply subject: a large result is pulled in many chunks. The server's default is 1."""
RESPONSES_EXPIRE_S: Final = 600
"""The longest time-out of a call, and of a link verb."""

Permissions = dict[str, Any]


WRITERS_EVENTS: Final = ("linkdef_set", "linkdef_deleted", "config_set", "config_deleted")
"""What whoever writes links and config tells of it."""


def provider_permissions(
    lattice: str, provider: str, *, responses_expire_s: int = RESPONSES_EXPIRE_S
) -> Permissions:
    """For a provider.

    Args:
        lattice: The one lattice that it may join.
        provider: Its id: it may be nobody else.
        responses_expire_s: How long it may take to answer a call.

    Raises:
        InvalidArgument: A name is not valid.
    """
    check_target(provider, "provider id")
    own: dict[subjects.BucketKind, tuple[str, ...]] = {
        "links": (subjects.links_of_source_filter(provider), subjects.links_of_target_filter(provider)),
        "secrets": (subjects.secrets_of_participant_filter(provider),),
    }
    verbs: list[str] = []
    for verb in subjects.LINK_VERBS:
        to_it = subjects.link_verb(lattice, verb, provider)
        verbs += [subjects.link_verb(lattice, verb), to_it, f"{to_it}.*"]
    return {
        "publish": {
            "allow": [
                *(subject for kind, filters in own.items() for subject in _reading(kind, lattice, filters)),
                subjects.presence_of_target_pattern(lattice, provider),
                subjects.link_events_of_participant_pattern(lattice, provider),
                *subjects.calls_of_source_patterns(lattice, provider),
            ]
        },
        "subscribe": {
            "allow": [
                f"{subjects.inbox_prefix(provider)}.>",
                *verbs,
                *subjects.calls_to_target_patterns(lattice, provider),
                subjects.MICRO_PATTERN,
            ]
        },
        "allow_responses": {"max": RESPONSES_MAX, "expires": f"{responses_expire_s}s"},
    }


def _reading(kind: subjects.BucketKind, lattice: str, filters: Sequence[str]) -> Sequence[str]:
    """Reading and watching some keys of a bucket, and no others."""
    stream = subjects.stream(kind, lattice)
    keys = [subjects.key_subject(kind, lattice, filter_) for filter_ in filters]
    return [
        *(f"{API}CONSUMER.CREATE.{stream}.*.{key}" for key in keys),
        *(f"{API}DIRECT.GET.{stream}.{key}" for key in keys),
        f"{FLOW_CONTROL_PREFIX}{stream}.>",
    ]


def host_permissions(lattice: str, host: str) -> Permissions:
    """For a host: everything in its lattice, and nothing of others.

    Args:
        lattice: The one lattice that it may join.
        host: Its name or id, for its inbox prefix.
    """
    inbox = f"{subjects.inbox_prefix(host)}.>"
    common = [
        subjects.lattice_pattern(lattice),
        subjects.ctl_pattern(lattice),
        subjects.wasmbus_events_pattern(lattice),
        subjects.MICRO_PATTERN,
    ]
    return {
        "publish": {"allow": [*_buckets(lattice), *common]},
        "subscribe": {"allow": [inbox, *common]},
        "allow_responses": {"max": RESPONSES_MAX, "expires": f"{RESPONSES_EXPIRE_S}s"},
    }


def client_permissions(lattice: str, client: str) -> Permissions:
    """For an operator's client: all that the command line does, but for `lath spy` (others' calls).

    It serves nothing but its own inbox.

    Args:
        lattice: The one lattice that it may control.
        client: A name, for its inbox prefix.
    """
    inbox = f"{subjects.inbox_prefix(client)}.>"
    return {
        "publish": {
            "allow": [
                *_buckets(lattice),
                subjects.lattice_pattern(lattice),
                subjects.ctl_pattern(lattice),
                *(subjects.wasmbus_event(lattice, name) for name in WRITERS_EVENTS),
                subjects.MICRO_PATTERN,
            ]
        },
        "subscribe": {
            "allow": [
                inbox,
                subjects.lath_events_pattern(lattice),
                subjects.wasmbus_events_pattern(lattice),
            ]
        },
        "allow_responses": {"max": RESPONSES_MAX, "expires": f"{RESPONSES_EXPIRE_S}s"},
    }


def without_vping(permissions: Permissions, lattice: str) -> Permissions:
    """The same permissions, except for asking what the values of links are."""
    everybody = subjects.link_verb(lattice, "vping")
    publish = dict(permissions["publish"])
    publish["deny"] = [*publish.get("deny", ()), everybody, f"{everybody}.>"]
    return {**permissions, "publish": publish}


def user(name: str, password: str, permissions: Permissions | None = None) -> dict[str, Any]:
    """A user with a password, for `authorization { users: […] }`; without permissions: may do anything."""
    entry: dict[str, Any] = {"user": check_name(name, "user"), "password": password}
    if permissions is not None:
        entry["permissions"] = permissions
    return entry


def _buckets(lattice: str) -> Sequence[str]:
    """Making, reading and writing the buckets of one lattice, and its store of artifacts."""
    store = subjects.artifact_store(lattice)
    streams = {subjects.stream(kind, lattice): subjects.key_subject(kind, lattice, ">")
               for kind in subjects.BUCKET_KINDS}  # fmt: skip
    streams[subjects.object_store_stream(store)] = ""
    allowed = [
        f"{API}INFO",
        f"{API}STREAM.NAMES",  # nats-py looks up the stream behind the object store by its subject
        f"{API}STREAM.PURGE.{subjects.object_store_stream(store)}",
        *streams.values(),
        *subjects.object_store_patterns(store),
    ]
    for stream in streams:
        allowed += [
            *(f"{API}STREAM.{verb}.{stream}" for verb in ("CREATE", "UPDATE", "INFO")),
            f"{API}STREAM.MSG.GET.{stream}",
            f"{API}DIRECT.GET.{stream}",
            f"{API}DIRECT.GET.{stream}.>",
            f"{API}CONSUMER.*.{stream}",
            f"{API}CONSUMER.*.{stream}.>",
            f"{FLOW_CONTROL_PREFIX}{stream}.>",
        ]
    return [subject for subject in allowed if subject]
