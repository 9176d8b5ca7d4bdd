"""Which components run from different bytes on different hosts: meant while an update goes round."""

from __future__ import annotations

from collections.abc import Iterable

from lath_control.client.models import ComponentOnHost

DIGEST_CHARS = 12
"""Enough of a digest to tell it apart."""


def differing(found: Iterable[ComponentOnHost]) -> dict[str, dict[str, list[str]]]:
    """Names of hosts by digest, by the id of each component whose hosts run different bytes."""
    hosts: dict[str, dict[str, list[str]]] = {}
    for component in sorted(found, key=lambda c: (c.id, c.host_name)):
        if component.digest is not None:
            hosts.setdefault(component.id, {}).setdefault(component.digest, []).append(component.host_name)
    return {component_id: by_digest for component_id, by_digest in hosts.items() if len(by_digest) > 1}


def in_words(component_id: str, by_digest: dict[str, list[str]]) -> str:
    """`echo runs from different bytes: sha256 1f0c… on one; sha256 9a2e… on three, two`."""
    each = (f"sha256 {digest[:DIGEST_CHARS]}… on {', '.join(names)}" for digest, names in by_digest.items())
    return f"{component_id} runs from different bytes: {'; '.join(each)}"


def way_out(component_id: str) -> str:
    """What ends that."""
    return f"'lath update {component_id} REF' gives every host the same"
