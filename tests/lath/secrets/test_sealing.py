"""Sealing and opening, and what this process shows of what it has opened."""

from __future__ import annotations

import base64
import json
import traceback
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lath import telemetry
from lath.errors import ConnectionLost, InvalidArgument, LathError
from lath.model import SealedSecret
from lath.provider.errors import reason_of
from lath.redact import HIDDEN, hide, redacted, scrubbed
from lath.secrets import SECRET_BYTES_MAX, LatticeKeys, new_seed, seal, unseal

KEYS = LatticeKeys("default", [new_seed()]).of("pg")
LONG = "".join(chr(0x4E00 + i) for i in range(SECRET_BYTES_MAX // 3))


@given(st.one_of(st.text(), st.binary()))
def test_what_was_sealed_is_opened_as_it_was(value: str | bytes) -> None:
    secret = seal(KEYS.public_key, "pg", "password", value)
    read = SealedSecret.model_validate_json(secret.model_dump_json())
    assert unseal(KEYS, "password", read) == value


def test_a_value_of_the_largest_size_can_be_sealed_and_no_larger_one() -> None:
    assert unseal(KEYS, "long", seal(KEYS.public_key, "pg", "long", LONG)) == LONG
    with pytest.raises(InvalidArgument, match="has 65539 bytes, and may have 65536") as caught:
        seal(KEYS.public_key, "pg", "long", LONG + "wxyz")
    assert "wxyz" not in str(caught.value)
    with pytest.raises(InvalidArgument, match="not UTF-8"):
        seal(KEYS.public_key, "pg", "odd", "\udc80")


def test_the_same_value_sealed_twice_looks_different() -> None:
    once, again = (seal(KEYS.public_key, "pg", "password", "open sesame") for _ in range(2))
    assert once.sealed != again.sealed


@pytest.mark.parametrize("participant", ["host", "_client", "", "a.b", "*"])
def test_nothing_is_sealed_for_nobody(participant: str) -> None:
    with pytest.raises(InvalidArgument):
        seal(KEYS.public_key, participant, "password", "x")


def test_a_secret_that_is_stored_under_another_name_is_refused() -> None:
    """Who may write the bucket cannot have a component show one secret as another."""
    secret = seal(KEYS.public_key, "pg", "password", "open sesame")
    with pytest.raises(InvalidArgument, match="sealed as another one"):
        unseal(KEYS, "motd", secret)
    for_web = seal(KEYS.public_key, "web", "password", "open sesame")
    with pytest.raises(InvalidArgument, match="sealed as another one"):
        unseal(KEYS, "password", for_web)


def test_a_damaged_secret_is_refused() -> None:
    secret = seal(KEYS.public_key, "pg", "password", "open sesame")
    box = bytearray(base64.b64decode(secret.sealed))
    box[-1] ^= 1
    for sealed in (base64.b64encode(box).decode(), "", "AAAA", "no base64!"):
        with pytest.raises(InvalidArgument, match=r"secret pg\.password cannot be opened"):
            unseal(KEYS, "password", SealedSecret(public_key=KEYS.public_key, sealed=sealed))


# --- what is shown -----------------------------------------------------------------------------------

VALUE = 'tricky-"pass\\word"/ä& of seventeen'


def opened(value: str | bytes) -> None:
    unseal(KEYS, "password", seal(KEYS.public_key, "pg", "password", value))


@pytest.mark.parametrize(
    "form",
    [VALUE, json.dumps(VALUE), json.dumps(VALUE, ensure_ascii=False), repr(VALUE), quote(VALUE, safe=""),
     repr(VALUE.encode()), base64.b64encode(VALUE.encode()).decode()],
)  # fmt: skip
def test_an_opened_value_is_hidden_in_every_text_however_it_is_written(form: str) -> None:
    opened(VALUE)
    text = f"cannot connect to redis://:{form}@host:6379"
    assert HIDDEN in scrubbed(text) and "tricky" not in scrubbed(text)
    assert "tricky" not in ConnectionLost(text).message
    assert "tricky" not in str(InvalidArgument(text)) and "tricky" not in repr(LathError(text))
    assert "tricky" not in reason_of(OSError(text))
    assert "tricky" not in redacted({"url": text})["url"]


def test_each_line_of_a_key_is_hidden() -> None:
    line = base64.b64encode(new_seed() * 2).decode()
    opened(f"-----BEGIN PRIVATE KEY-----\n{line}\n-----END PRIVATE KEY-----\n".encode())
    assert line not in scrubbed(f"could not parse {line!r}")


@pytest.mark.parametrize("told", ["hunter%40two", "hunter@two"])
def test_the_password_of_a_url_is_hidden_by_itself_too(told: str) -> None:
    hide("postgres://me:hunter%40two@db.example:5432/things")
    assert scrubbed(f"no entry for 'me' with {told} at db.example") == (
        f"no entry for 'me' with {HIDDEN} at db.example"
    )


def test_of_many_values_each_is_hidden() -> None:
    values = [f"{number:06x}-{number}" for number in range(500)]
    for value in values:
        hide(value)
    text = " ".join(values)
    assert scrubbed(f"x{text}y") == "x" + " ".join([HIDDEN] * 500) + "y"
    assert scrubbed(values[7][:-1]) == values[7][:-1] and scrubbed("abc") == "abc" and scrubbed("") == ""


def test_what_is_shorter_than_four_characters_is_not_looked_for() -> None:
    hide("abc")
    assert scrubbed("abcdef") == "abcdef"


def test_logs_and_tracebacks_show_no_opened_value(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure_logging("info", "json")
    opened(VALUE)
    try:
        raise ValueError(f"bad url: {VALUE}")
    except ValueError:
        assert "tricky" in traceback.format_exc(), "so it is the log that hides it"
        telemetry.get_logger("lath.spec").exception("it broke", url=VALUE)
    err = capsys.readouterr().err
    assert "bad url" in err and HIDDEN in err and "tricky" not in err
