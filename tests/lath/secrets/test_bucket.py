"""The bucket of secrets: what stands there is sealed; rekeying; the links of a provider that name some."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from lath import subjects, telemetry
from lath.bus import BucketStore, Bus
from lath.errors import LinkFailed
from lath.model import SealedSecret
from lath.provider import BackendLost, Call, Link, Provider, operation
from lath.redact import HIDDEN
from lath.secrets import LatticeKeys, SecretStore, new_seed, read_secret, seal, unseal
from lath.testing import eventually
from lath.testing.provider import Linked, ProviderTest

OLD, NEW = new_seed(), new_seed()
VALUE = "the-value-that-nobody-may-see"


class Safe(Provider):
    """Answers with the password that a link was opened with, and counts what is open."""

    wit = """
        package test:safe@1.0.0;
        interface safe { tell: func(fail: bool) -> result<string, string>; }
    """

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.changes: list[Mapping[str, str]] = []

    async def config_changed(self, config: Mapping[str, str]) -> None:
        self.changes.append(dict(config))

    async def open_link(self, link: Link) -> str:
        password = link.config["password"]
        if "refuse" in link.config:
            raise RuntimeError(f"cannot sign in with {password}")
        if "down" in link.config:
            raise BackendLost(f"nobody answers {password}")
        self.opened.append(password)
        return password

    async def close_link(self, link: Link, held: str) -> None:
        self.closed.append(held)

    @operation("test:safe/safe")
    async def tell(self, call: Call[str], fail: bool) -> str:
        if fail:
            raise RuntimeError(f"it broke with {call.held}")
        assert call.link.config["password"] == call.held and VALUE not in repr(call.link)
        return call.held


async def put(bus: Bus, keys: LatticeKeys, value: str | bytes, name: str = "pw", whose: str = "safe") -> None:
    await SecretStore(bus).put(whose, name, seal(keys.of(whose).public_key, whose, name, value))


def keys_of(bus: Bus, *seeds: bytes) -> LatticeKeys:
    return LatticeKeys(bus.lattice, seeds or [OLD])


async def tells(linked: Linked, value: str) -> None:
    async def there() -> bool:
        try:
            return bool(await linked.call("test:safe/safe", "tell", False) == value)
        except LinkFailed:
            return False

    await eventually(there)


# --- the bucket --------------------------------------------------------------------------------------


async def test_what_stands_in_the_bucket_is_sealed_and_only_the_last_write_of_it(bus: Bus) -> None:
    keys = keys_of(bus)
    for value in ("first-" + VALUE, VALUE):
        await put(bus, keys, value)
    bucket = BucketStore(bus, "secrets")
    entry = await bucket.get("safe.pw")
    assert entry is not None and VALUE.encode() not in entry.value
    assert unseal(keys.of("safe"), "pw", read_secret(entry)) == VALUE
    info = await bus.nc.jetstream().stream_info(subjects.stream("secrets", bus.lattice))
    assert info.state.messages == 1


async def test_rekeying_seals_all_to_the_current_key_and_names_what_it_cannot_open(bus: Bus) -> None:
    store = SecretStore(bus)
    old, both = keys_of(bus, OLD), keys_of(bus, NEW, OLD)
    await put(bus, old, VALUE)
    await put(bus, both, b"\x00\xff", "blob")
    await put(bus, old, "x" * 10, whose="other")
    await put(bus, keys_of(bus, new_seed()), "y" * 10, "lost")
    assert (await store.rekey(both, "other")).resealed == 1
    report = await store.rekey(both)
    assert (report.resealed, report.current) == (1, 2)
    assert list(report.failed) == ["safe.lost"] and "another key" in report.failed["safe.lost"]
    now = keys_of(bus, NEW)
    secrets = (await store.list()).secrets
    assert unseal(now.of("safe"), "pw", secrets["safe", "pw"]) == VALUE
    assert unseal(now.of("safe"), "blob", secrets["safe", "blob"]) == b"\x00\xff"
    assert unseal(now.of("other"), "pw", secrets["other", "pw"]) == "x" * 10
    assert (await store.rekey(both)).resealed == 0


async def test_listing_and_deleting(bus: Bus) -> None:
    store, keys = SecretStore(bus), keys_of(bus)
    await put(bus, keys, VALUE)
    await put(bus, keys, VALUE, whose="other")
    await BucketStore(bus, "secrets").put("safe.nonsense", b"{}")
    listing = await store.list()
    assert list(listing.secrets) == [("other", "pw"), ("safe", "pw")]
    assert list(listing.unreadable) == ["safe.nonsense"]
    assert list((await store.list("other")).secrets) == [("other", "pw")]
    assert isinstance(listing.secrets["safe", "pw"], SealedSecret)
    assert await store.delete("safe", "pw") and not await store.delete("safe", "pw")


# --- links that name secrets -------------------------------------------------------------------------


@pytest.fixture
def secrets() -> Mapping[str, str]:
    return {"password": "pw"}


async def test_a_link_is_opened_with_the_value_of_its_secret(bus: Bus, secrets: Mapping[str, str]) -> None:
    keys = keys_of(bus)
    await put(bus, keys, VALUE)
    async with ProviderTest(bus, Safe(), provider_id="safe", secret_keys=keys.of("safe")) as test:
        linked = await test.link(config={"user": "me", "password": "from config"}, secrets=secrets)
        assert await linked.call("test:safe/safe", "tell", False) == VALUE
        stored = await BucketStore(bus, "links").get(linked.link.key)
        assert stored is not None and VALUE.encode() not in stored.value and b'"pw"' in stored.value
        assert test.instance.values(linked.link.key) == {"user": "me", "password": HIDDEN}
        linked_without = await test.link(source="plain", config={"password": "from config"})
        assert await linked_without.call("test:safe/safe", "tell", False) == "from config"


async def test_the_secrets_of_a_deleted_link_are_not_kept(bus: Bus, secrets: Mapping[str, str]) -> None:
    keys = keys_of(bus)
    await put(bus, keys, VALUE)
    async with ProviderTest(bus, Safe(), provider_id="safe", secret_keys=keys.of("safe")) as test:
        linked = await test.link(secrets=secrets)
        opened = test.instance._opener.secrets_of
        assert opened(linked.link.key) == {"password": VALUE}
        await test.delete(linked.link)
        await eventually(lambda: opened(linked.link.key) == {})


async def test_a_changed_secret_opens_the_links_that_name_it_anew_and_no_others(
    bus: Bus, secrets: Mapping[str, str]
) -> None:
    keys, safe = keys_of(bus), Safe()
    await put(bus, keys, VALUE)
    await put(bus, keys, "the other one", "pw2")
    async with ProviderTest(bus, safe, provider_id="safe", secret_keys=keys.of("safe")) as test:
        linked = await test.link(secrets=secrets)
        await test.link(source="second", secrets={"password": "pw2"})
        await put(bus, keys, "rotated-" + VALUE)
        await tells(linked, "rotated-" + VALUE)
        assert safe.opened == [VALUE, "the other one", "rotated-" + VALUE] and safe.closed == [VALUE]


async def test_a_link_whose_secret_is_missing_fails_saying_so_and_heals_when_it_is_put(
    bus: Bus, secrets: Mapping[str, str]
) -> None:
    keys = keys_of(bus)
    async with ProviderTest(bus, Safe(), provider_id="safe", secret_keys=keys.of("safe")) as test:
        link = await test.put(secrets=secrets)
        held = await test.settled(link)
        assert held.state == "failed" and "`lath secret put safe pw`" in (held.error or "")
        await put(bus, keys, VALUE)
        await tells(test.by(link), VALUE)
        await SecretStore(bus).delete("safe", "pw")

        async def failed() -> bool:
            return (await test.settled(link)).state == "failed"

        await eventually(failed)


@pytest.mark.parametrize(
    ("seeds", "value", "said"),
    [
        ([NEW], VALUE, "sealed to another key"),
        ([], VALUE, "has no key to open secret pw with"),
        ([OLD], b"\xff\xfe", "bytes that are not UTF-8"),
    ],
)
async def test_a_link_whose_secret_cannot_be_opened_fails_saying_why(
    bus: Bus, secrets: Mapping[str, str], seeds: list[bytes], value: str | bytes, said: str
) -> None:
    await put(bus, keys_of(bus), value)
    own = keys_of(bus, *seeds).of("safe") if seeds else None
    async with ProviderTest(bus, Safe(), provider_id="safe", secret_keys=own) as test:
        held = await test.settled(await test.put(secrets=secrets))
        assert held.state == "failed" and said in (held.error or "")


async def test_a_new_key_reopens_what_the_old_one_could_not(bus: Bus, secrets: Mapping[str, str]) -> None:
    await put(bus, keys_of(bus, NEW), VALUE)
    old, both = keys_of(bus, OLD), keys_of(bus, NEW, OLD)
    async with ProviderTest(bus, Safe(), provider_id="safe", secret_keys=old.of("safe")) as test:
        link = await test.put(secrets=secrets)
        assert (await test.settled(link)).state == "failed"
        await test.instance.update({}, both.of("safe"))
        await tells(test.by(link), VALUE)


async def test_a_backends_error_with_the_value_in_it_shows_it_nowhere(
    bus: Bus, secrets: Mapping[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry.configure_logging("debug", "json")
    keys = keys_of(bus)
    await put(bus, keys, VALUE)
    async with ProviderTest(bus, Safe(), provider_id="safe", secret_keys=keys.of("safe")) as test:
        link = await test.put(source="refused", config={"refuse": "yes"}, secrets=secrets)
        held = await test.settled(link)
        assert held.error == f"RuntimeError: cannot sign in with {HIDDEN}"
        link = await test.put(source="lost", config={"down": "yes"}, secrets=secrets)
        assert (await test.settled(link)).error == f"nobody answers {HIDDEN}"
        linked = await test.link(secrets=secrets)
        with pytest.raises(Exception, match="it broke with") as caught:
            await linked.call("test:safe/safe", "tell", True)
        assert VALUE not in str(caught.value) and HIDDEN in str(caught.value)
    assert VALUE not in capsys.readouterr().err


async def test_a_provider_is_told_of_its_own_config_while_it_runs(bus: Bus) -> None:
    safe = Safe()
    async with ProviderTest(bus, safe, config={"size": "1"}) as test:
        await test.instance.update({"size": "1"}, None)
        await test.instance.update({"size": "2"}, None)
        assert safe.changes == [{"size": "2"}] == [dict(safe.context.config)]
