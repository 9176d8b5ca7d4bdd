"""Writes docs/protocol/ from `lath.subjects`, `lath.model` and others: run it after changing one.

    python docs/protocol/generate.py            # writes
    python docs/protocol/generate.py --check    # exits 1 when what stands there differs

The test tests/house/test_protocol_docs.py runs the check.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from pathlib import Path

from pydantic import BaseModel

from lath import errors, model, subjects
from lath.http import wire
from lath.names import InterfaceName
from lath.rpc import streams
from lath.streamed import signature

HERE = Path(__file__).parent


def example_subjects() -> list[tuple[str, str, str]]:
    """What each subject looks like, who serves it, and what for, made by the real functions."""
    store = InterfaceName.parse("wasi:keyvalue/store")
    tail = subjects.call_tail("greeter", "default", store, "[method]bucket.get")
    lattice = "default"
    return [
        (
            subjects.call_any(lattice, "kv", tail),
            "queue group `{target}`",
            "a call from one that knows no instance",
        ),
        (subjects.call_instance(lattice, "kv", "i7", tail), "that instance", "a call, addressed"),
        (
            subjects.call_instance(
                lattice, "kv", "i7", subjects.call_tail("greeter", "default", store, subjects.CANCEL_FUNCTION)
            ),
            "that instance",
            "cancels the call whose id is in the `Lath` header",
        ),
        *(
            (subjects.handle_notice(lattice, "counters", "i7", "greeter", function), "that instance", what)
            for function, what in (
                (subjects.RELEASE_FUNCTION, "nobody holds these handles of its resources any more"),
                (subjects.RENEW_FUNCTION, "somebody still holds these handles of its resources"),
            )
        ),
        *(
            (subjects.link_verb(lattice, verb, *who), "hosts, provider instances", f"link {verb}: {whom}")
            for verb in subjects.LINK_VERBS
            for who, whom in (
                ((), "to all"),
                (("kv",), "to one participant"),
                (("kv", "i7"), "to one instance"),
            )
        ),
        (subjects.link_event(lattice, "kv", "i7"), "-", "an instance's link changed its state"),
        (subjects.wasmbus_event(lattice, "host_started"), "-", "wasmCloud's events, CloudEvents 1.0"),
        (subjects.ctl(lattice, "host", "ping"), "hosts", "wasmCloud's control interface"),
        (
            subjects.ctl(lattice, "secret", "key", "kv"),
            "one host",
            "lath's: the public key that a participant's secrets are sealed to (SecretKey)",
        ),
        (
            subjects.ctl(lattice, "secret", "rekey"),
            "one host",
            "lath's: seals secrets to the current key (RekeySecrets, Rekeyed)",
        ),
    ]


def example_buckets() -> list[tuple[str, str, str]]:
    lattice = "default"
    return [
        (
            subjects.bucket("links", lattice),
            subjects.link_key("greeter", "kv", "wasi", "keyvalue", "default"),
            "StoredLink",
        ),
        (subjects.bucket("config", lattice), "kv-settings", "map of string to string"),
        (subjects.bucket("secrets", lattice), subjects.secret_key("kv", "password"), "SealedSecret"),
        (
            subjects.schedule_stream(lattice).removeprefix("KV_"),
            subjects.schedule_record(lattice, "clock", "DIGEST").removeprefix(
                subjects.schedule_prefix(lattice)
            ),
            "the last tick of a schedule ([schedule.md](../schedule.md#once-per-lattice))",
        ),
        (subjects.bucket("presence", lattice), subjects.presence_key("kv", "i7"), "Presence"),
        (subjects.bucket("presence", lattice), subjects.host_presence_key("NABC"), "Presence"),
    ]


def headers() -> list[tuple[str, str]]:
    return sorted(
        (f"`{name}`", f"`{value}`")
        for name, value in vars(subjects).items()
        if name.startswith("HEADER_") and isinstance(value, str)
    )


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    def cell(text: str) -> str:
        return text.replace("|", "\\|")

    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell(c) for c in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def error_rows() -> list[tuple[str, str, str]]:
    return [
        (
            f"`{kind}`",
            "may have run" if cls.may_have_run else "did not run",
            (inspect.getdoc(cls) or "").split("\n")[0],
        )
        for kind, cls in errors.KINDS.items()
    ]


def records() -> list[type[BaseModel]]:
    found = [
        item
        for name in model.__all__
        if inspect.isclass(item := getattr(model, name))
        and issubclass(item, BaseModel)
        and item is not model.Ctl
    ]
    return sorted(found, key=lambda cls: cls.__name__)


def pages() -> dict[Path, str]:
    """Every generated file with its text."""
    subject_rows = [(f"`{s}`", who, what) for s, who, what in example_subjects()]
    text = (
        "# The protocol\n\n"
        "Generated by `docs/protocol/generate.py` from `lath.subjects`, `lath.errors`, `lath.model`,\n"
        "`lath.rpc.streams`, `lath.http.wire` and `lath.streamed.signature`: do not edit. The examples are\n"
        "of lattice `default`, a component `greeter`, and a provider `kv` whose instance is `i7`.\n\n"
        "## Subjects\n\n"
        + table(("subject", "who serves", "what"), subject_rows)
        + "\n## Buckets\n\n"
        + table(("bucket", "key", "value"), [(f"`{b}`", f"`{k}`", v) for b, k, v in example_buckets()])
        + "\n## Headers\n\n"
        + table(("constant", "header"), headers())
        + "\n## Errors\n\nA reply that is an error carries its kind in `Lath-Error`.\n\n"
        + table(("kind", "may the call have run?", "meaning"), error_rows())
        + "\n## Streams\n\n"
        + (inspect.getdoc(streams) or "")
        + "\n\n## HTTP\n\n"
        + (inspect.getdoc(wire) or "")
        + "\n\n## Values as streams\n\n"
        + (inspect.getdoc(signature) or "")
        + "\n\n## Records\n\n"
        + table(
            ("record", "what", "schema"),
            [
                (
                    f"`{cls.__name__}`",
                    (inspect.getdoc(cls) or "").split("\n")[0],
                    f"[{cls.__name__}](schemas/{cls.__name__}.json)",
                )
                for cls in records()
            ],
        )
    )
    found = {HERE / "README.md": text}
    for cls in records():
        schema = cls.model_json_schema(mode="serialization")
        found[HERE / "schemas" / f"{cls.__name__}.json"] = json.dumps(schema, indent=2, sort_keys=True) + "\n"
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when something differs")
    check = parser.parse_args().check
    wanted = pages()
    present = {*(HERE / "schemas").glob("*.json"), HERE / "README.md"}
    differing = [p for p, text in wanted.items() if not p.exists() or p.read_text() != text]
    differing += [p for p in present if p not in wanted]
    if check:
        for path in differing:
            sys.stderr.write(f"{path.relative_to(HERE.parents[1])} differs from the code\n")
        return 1 if differing else 0
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in present - set(wanted):
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
