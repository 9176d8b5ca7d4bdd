"""Who should answer a link verb, and who of the silent is to be named. Pure logic, no bus.

Three sources, joined: presence when the request goes out; what hosts' replies say should be running
(`expected`); and whom hosts, or the asker itself, lost in the last ten minutes.

An id without an answer is named silent unless one of these rules lets it go:

1. It said goodbye: its presence was withdrawn meanwhile, and nobody lost it.
2. It was ended or replaced: the host that supervises it answered, and does not name it among those that
   should be running. For its own providers a host's word is final. So an instance that was lost, and that its
   supervisor started anew under another id, is not silent for ever; one that it still counts on is.
3. A lost instance that came back is in presence again, and is judged like any other there.

A provider that stands alone has no supervisor: lost, it is named until ten minutes have passed. So are a lost
host and the providers that it supervised, unless that host is back and answers for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from lath.model import LinkSelector, LostParticipant, PingReply, Presence, VerbAck
from lath.model.link import LinkSpec


@dataclass(slots=True)
class Participant:
    """Somebody who may answer a link verb.

    Attributes:
        id: The provider id, or the host id.
        host_id: The supervising host; for a host, its own id; empty for a provider that stands alone.
        serves: The ids whose links it should hold, as far as presence tells; its own answer knows better.
        present: Whether it was in presence when last looked.
    """

    kind: Literal["host", "provider"]
    id: str
    instance_id: str
    host_id: str = ""
    name: str = ""
    serves: set[str] = field(default_factory=set)
    present: bool = False

    @property
    def label(self) -> str:
        """Its name for people."""
        return self.name or (self.id if self.kind == "host" else f"{self.id}/{self.instance_id}")


class Expectation:
    """The set of those who should answer, growing as hosts answer.

    Args:
        present: Presence now.
        lost: Whom the asker itself lost.
        relevant: Ids of the participants that the request is about; None for all. Hosts always are.

    Attributes:
        required: Instance ids to wait for; those without an answer are silent unless a rule lets them go.
        hoped: Instance ids of others, who hold what they should not, if anything.
    """

    def __init__(
        self,
        present: Iterable[Presence],
        lost: Iterable[LostParticipant] = (),
        *,
        relevant: frozenset[str] | None = None,
    ) -> None:
        self._relevant = relevant
        self.participants: dict[str, Participant] = {}
        self.required: set[str] = set()
        self.hoped: set[str] = set()
        self._wanted_by_host: dict[str, frozenset[str]] = {}
        self._lost: dict[str, LostParticipant] = {}
        self.look(present)
        self.add_lost(lost)

    def look(self, present: Iterable[Presence]) -> None:
        """Takes in presence as it is now: newcomers are added, and who is gone is marked."""
        now = tuple(present)
        for participant in self.participants.values():
            participant.present = False
        for entry in now:
            if entry.kind != "component":
                known = self._add(entry.kind, entry.target, entry.instance_id, entry.host_id, entry.name)
                known.present = True
        for entry in now:
            if entry.kind == "component" and entry.host_id in self.participants:
                self.participants[entry.host_id].serves.add(entry.target)

    def add_lost(self, lost: Iterable[LostParticipant]) -> None:
        """Takes in whom somebody lost."""
        gone = tuple(lost)
        for one in gone:
            self._lost[one.instance_id] = one
            if one.kind != "component":
                self._add(one.kind, one.target, one.instance_id, one.host_id, "")
        for one in gone:
            if one.kind == "component" and (host := self.participants.get(one.host_id)) is not None:
                host.serves.add(one.target)

    def heard(self, reply: PingReply | VerbAck) -> None:
        """Takes in an answer: who answered, and, from a host, who else should."""
        self._add(reply.kind, reply.id, reply.instance_id, reply.host_id, "")
        if reply.kind != "host":
            return
        self._wanted_by_host[reply.id] = frozenset(one.instance_id for one in reply.expected)
        for one in reply.expected:
            self._add("provider", one.target, one.instance_id, reply.id, "")
        self.add_lost(reply.lost)

    def silent(self, answered: Iterable[str]) -> set[str]:
        """Who is to be named, given who answered: rules 1 to 3 above."""
        return {i for i in self.required.difference(answered) if not self._released(self.participants[i])}

    def _released(self, participant: Participant) -> bool:
        if participant.kind == "provider":
            wanted = self._wanted_by_host.get(participant.host_id)
            if wanted is not None:
                return participant.instance_id not in wanted
        return not participant.present and participant.instance_id not in self._lost

    def _add(
        self, kind: Literal["host", "provider"], id: str, instance_id: str, host_id: str, name: str
    ) -> Participant:
        known = self.participants.get(instance_id)
        name = name if kind == "host" else ""  # many instances share a provider's name
        if known is None:
            serves = {id} if kind == "provider" else set[str]()
            host_id = id if kind == "host" else host_id
            known = Participant(kind, id, instance_id, host_id, name, serves)
            self.participants[instance_id] = known
            needed = kind == "host" or self._relevant is None or id in self._relevant
            (self.required if needed else self.hoped).add(instance_id)
        known.host_id = known.host_id or host_id
        known.name = known.name or name
        return known


def relevant_to(selector: LinkSelector, links: Mapping[str, LinkSpec]) -> frozenset[str] | None:
    """The ids of the participants that may hold a selected link; None when that may be anybody.

    Args:
        selector: Which links.
        links: Those of KV that match.
    """
    named = {selector.source_id, selector.target, selector.participant}
    if selector.key is not None:
        named.update(selector.key.split(".")[:2])
    named.discard(None)
    if not named:
        return None
    ends = {end for link in links.values() for end in (link.source_id, link.target)}
    return frozenset(ends.union(name for name in named if name is not None))
