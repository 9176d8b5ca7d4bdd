"""The link store: how links are written, by operators' clients and by hosts that serve the control interface.

For one source, package, link name and interface there is one target. All keys of one source, package and
link name are a *slot*; every write of a link compares against the slot's highest sequence, so of writers
that race, one wins and the others look again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lath import subjects
from lath.bus.buckets import BucketStore
from lath.bus.connection import Bus
from lath.bus.entry import Entry
from lath.errors import Conflict, InvalidArgument, NotFound
from lath.links.record import read_config, read_link
from lath.model import Link, LinkSelector, LinkSpec, Revision, StoredLink

_ATTEMPTS_MAX: Final = 60
"""Lost races before a write gives up. Of n writers to one slot the last one loses n - 1."""
_PAUSE_MIN_S: Final = 0.005
_PAUSE_MAX_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class LinkListing:
    """All links of a bucket at one moment.

    Attributes:
        links: By key.
        unreadable: By key, what is wrong with a value that is no link.
    """

    links: dict[str, Link]
    unreadable: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Resolved:
    """The named configs of a link, read."""

    source_values: dict[str, str]
    target_values: dict[str, str]
    revisions: dict[str, Revision]


@dataclass(frozen=True, slots=True)
class _Slot:
    """What stands in a slot. `sequence` was read first: a write that compares with it sees later changes."""

    filter: str
    sequence: int
    incarnation: int
    entries: dict[str, Entry]


class LinkStore:
    """Reads and writes the links of a lattice.

    Args:
        bus: A connection that may read and write the buckets of links and config.
    """

    def __init__(self, bus: Bus) -> None:
        self._links = BucketStore(bus, "links")
        self._configs = BucketStore(bus, "config")

    async def put(self, spec: LinkSpec) -> Link:
        """Writes a link, with its configs resolved. An earlier one with the same key is replaced.

        Raises:
            Conflict: Another target holds one of its interfaces; the message names it.
            NotFound: A named config does not exist; the message names it.
            Unavailable: The lattice has no buckets, or JetStream no leader.
        """
        slot_filter = subjects.link_slot_filter(
            spec.source_id, spec.wit_namespace, spec.wit_package, spec.name
        )
        for attempt in range(_ATTEMPTS_MAX):
            resolved = await self._resolve(spec)
            slot = await self._slot(slot_filter)
            _refuse_second_target(spec, slot)
            stored = _stored(spec, slot.incarnation, resolved)
            try:
                sequence = await self._links.put_if(
                    spec.key, _bytes(stored), expected_sequence=slot.sequence, expected_filter=slot_filter
                )
            except Conflict:
                await _pause(attempt)
                continue
            return _link(stored, sequence)
        raise Conflict(f"link {spec.key} was not stored: others kept changing the links beside it")

    async def delete(
        self, source_id: str, wit_namespace: str, wit_package: str, name: str, *, target: str | None = None
    ) -> Link | None:
        """Removes a link and returns what it was; None when there was none (or only an unreadable value).

        Args:
            source_id: Who calls.
            wit_namespace: Of its interfaces.
            wit_package: Of its interfaces.
            name: The link name.
            target: Which one, where links to several targets differ in nothing else.

        Raises:
            Conflict: Several links match and `target` is not given; the message lists them.
            Unavailable: The lattice has no buckets, or JetStream no leader.
        """
        slot_filter = subjects.link_slot_filter(source_id, wit_namespace, wit_package, name)
        wanted = subjects.link_key(source_id, target, wit_namespace, wit_package, name) if target else None
        for attempt in range(_ATTEMPTS_MAX):
            slot = await self._slot(slot_filter)
            keys = [wanted] if wanted in slot.entries else [] if wanted else sorted(slot.entries)
            if not keys:
                return None
            if len(keys) > 1:
                raise Conflict(f"several links match, name the target of one: {', '.join(map(str, keys))}")
            entry = slot.entries[str(keys[0])]
            try:
                await self._links.delete_if(
                    entry.key, expected_sequence=slot.sequence, expected_filter=slot_filter
                )
            except Conflict:
                await _pause(attempt)
                continue
            return _readable(entry)
        raise Conflict(f"the link in {slot_filter} was not deleted: others kept changing it")

    async def get(self, key: str) -> Link | None:
        """One link, by its key.

        Raises:
            InvalidArgument: What stands there is no link.
        """
        entry = await self._links.get(key)
        return None if entry is None else read_link(entry)

    async def list(self, selector: LinkSelector | None = None) -> LinkListing:
        """The links that a selector matches (None: all), and the values that are no links."""
        selector = selector or LinkSelector()
        listing = LinkListing({}, {})
        for entry in await self._links.list(_filter_of(selector)):
            try:
                link = read_link(entry)
            except InvalidArgument as e:
                listing.unreadable[entry.key] = e.message
                continue
            if selector.matches(link):
                listing.links[entry.key] = link
        return listing

    async def naming(self, config: str) -> Sequence[Link]:
        """The links that name a config, by key."""
        links = (await self.list()).links
        return [
            links[key]
            for key in sorted(links)
            if config in links[key].source_config or config in links[key].target_config
        ]

    async def refresh(self, key: str) -> Link | None:
        """Resolves the configs of a link again, and stores it again if any of them changed.

        A config that is gone leaves the link as it is.

        Returns:
            The link as it stands now; None when there is none under this key.

        Raises:
            InvalidArgument: What stands there is no link.
            Conflict: Others kept changing it.
        """
        return (await self.refreshed(key))[0]

    async def refreshed(self, key: str) -> tuple[Link | None, bool]:
        """Like `refresh`; says also whether it was this call that stored the link again."""
        for attempt in range(_ATTEMPTS_MAX):
            link = await self.get(key)
            if link is None:
                return None, False
            try:
                resolved = await self._resolve(link)
            except NotFound:
                return link, False
            incarnation = await self._links.incarnation()
            if link.config_revisions == resolved.revisions and link.incarnation == incarnation:
                return link, False
            stored = _stored(link, incarnation, resolved)
            try:
                sequence = await self._links.put_if(
                    key, _bytes(stored), expected_sequence=link.revision.sequence
                )
            except Conflict:
                await _pause(attempt)
                continue
            return _link(stored, sequence), True
        raise Conflict(f"link {key} was not refreshed: others kept changing it")

    async def _resolve(self, spec: LinkSpec) -> _Resolved:
        names = list(dict.fromkeys((*spec.source_config, *spec.target_config)))
        resolved = _Resolved({}, {}, {})
        if not names:
            return resolved
        incarnation = await self._configs.incarnation()
        entries = await asyncio.gather(*(self._configs.get(name) for name in names))
        values: dict[str, dict[str, str]] = {}
        for name, entry in zip(names, entries, strict=True):
            if entry is None:
                raise NotFound(f"config {name} does not exist: put it before the link that names it")
            values[name] = read_config(entry)
            resolved.revisions[name] = Revision(incarnation=incarnation, sequence=entry.sequence)
        for name in spec.source_config:
            resolved.source_values.update(values[name])
        for name in spec.target_config:
            resolved.target_values.update(values[name])
        return resolved

    async def _slot(self, slot_filter: str) -> _Slot:
        last = await self._links.last(slot_filter)
        if last is None:
            return _Slot(slot_filter, 0, await self._links.incarnation(), {})
        incarnation, keys = await self._links.state(slot_filter)
        others = [key for key in keys if key != last.key]
        entries = [last, *await asyncio.gather(*(self._links.last(key) for key in others))]
        live = {entry.key: entry for entry in entries if entry is not None and not entry.deleted}
        return _Slot(slot_filter, last.sequence, incarnation, live)


def _refuse_second_target(spec: LinkSpec, slot: _Slot) -> None:
    for entry in slot.entries.values():
        other = _readable(entry)
        if other is None or other.key == spec.key:
            continue
        shared = sorted(set(spec.interfaces) & set(other.interfaces))
        if shared:
            package = f"{spec.wit_namespace}:{spec.wit_package}"
            raise Conflict(
                f"{spec.source_id} is linked to {other.target} for {package}/{', '.join(shared)} under link "
                f"name {spec.name}: delete that link first, or use another link name"
            )


def _readable(entry: Entry) -> Link | None:
    try:
        return read_link(entry)
    except InvalidArgument:
        return None


def _stored(spec: LinkSpec, incarnation: int, resolved: _Resolved) -> StoredLink:
    return StoredLink(
        **{name: getattr(spec, name) for name in LinkSpec.model_fields},
        incarnation=incarnation,
        source_config_values=resolved.source_values,
        target_config_values=resolved.target_values,
        config_revisions=resolved.revisions,
    )


def _link(stored: StoredLink, sequence: int) -> Link:
    return Link(**dict(stored), revision=Revision(incarnation=stored.incarnation, sequence=sequence))


def _bytes(stored: StoredLink) -> bytes:
    return stored.model_dump_json().encode()


def _filter_of(selector: LinkSelector) -> str:
    """The narrowest filter that has all keys a selector can match."""
    if selector.key is not None:
        return selector.key
    ends = (selector.source_id, selector.target, selector.wit_namespace, selector.wit_package, selector.name)
    return ">" if not any(ends) else ".".join(end or "*" for end in ends)


async def _pause(attempt: int) -> None:
    await asyncio.sleep(random.uniform(0, min(_PAUSE_MAX_S, _PAUSE_MIN_S * 2.0 ** min(attempt, 8))))
