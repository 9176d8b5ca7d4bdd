"""Greets people: asks another component about their names, and a keyvalue provider who came before."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import greet
from wit_world.imports import atomics, stats, store

BUCKET = ""
"""The link's own bucket: which one that is, the link's config says."""
LAST = "last"
VISITS = "visits."
"""Before a name: how often that person came."""


class Greet(exports.Greet):
    def hello(self, name: str) -> str:
        counted = stats.count(name)
        if not counted.letters:
            raise Err("a name needs a letter")
        try:
            with store.open(BUCKET) as bucket:
                visits = atomics.increment(bucket, key_of(name), 1)
                before = bucket.get(LAST)
                bucket.set(LAST, name.encode())
        except Err as error:
            raise Err(reason(error)) from None
        letters = "1 letter" if counted.letters == 1 else f"{counted.letters} letters"
        who = f"before you came {before.decode()}" if before else "nobody came before you"
        return (
            f"Hello, {stats.shout(name)} ({letters}, backwards {stats.reverse(name)}). Visit {visits}; {who}."
        )

    def visitors(self) -> list[greet.Visitor]:
        try:
            with store.open(BUCKET) as bucket:
                keys = sorted(all_keys(bucket))
                return [greet.Visitor(name_of(key), int(bucket.get(key) or 0)) for key in keys]
        except Err as error:
            raise Err(reason(error)) from None


def all_keys(bucket: store.Bucket) -> list[str]:
    """The keys of everybody's visits, page by page."""
    keys: list[str] = []
    cursor = None
    while True:
        page = bucket.list_keys(cursor)
        keys += (key for key in page.keys if key.startswith(VISITS))
        if page.cursor is None:
            return keys
        cursor = page.cursor


def key_of(name: str) -> str:
    """A key of safe characters: keys of keyvalue stores have no spaces."""
    return VISITS + name.encode().hex()


def name_of(key: str) -> str:
    return bytes.fromhex(key.removeprefix(VISITS)).decode()


def reason(error: Err) -> str:
    value = error.value
    return value.value if isinstance(value, store.Error_Other) else type(value).__name__
