"""`wasmcloud:secrets` in components, the keys of hosts, and what providers under a host are given."""

from __future__ import annotations

import asyncio
from pathlib import Path

import guests
import pytest
from msgpack import ExtType
from secret_guests import KEEPER, NOT_FOUND, keeper

from lath.errors import InvalidArgument, LathError, PermissionDenied, Unavailable
from lath.names import check_name
from lath.secrets import LatticeKeys, SecretStore, new_seed, seal
from lath.secrets.keyfile import add_seed, read_lattice_keys
from lath.secrets.keys import key_text
from lath.testing import eventually
from lath_host.components.guest_secrets import GuestSecrets
from lath_host.host import Host
from lath_host.testing import InProcessLattice

ECHO = "test:words/echo@1.0.0"
WORDS = (Path(__file__).parents[1] / "support/words_provider.py").as_uri()
VALUE = "the-value-that-nobody-may-see"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "secrets.key"
    add_seed(path)
    return path


def keep_the_newest(path: Path) -> None:
    seeds = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    path.write_text(seeds[0] + "\n")


def spoil(path: Path) -> None:
    path.write_text("nonsense\n")


def remove(path: Path) -> None:
    path.unlink()


def open_to_all(path: Path) -> None:
    path.chmod(0o644)


class Vault:
    """A lattice with a host that has a key file."""

    def __init__(self, lattice: InProcessLattice, host: Host) -> None:
        self.lattice = lattice
        self.host = host
        self.store = SecretStore(lattice.bus)

    async def put(self, participant: str, name: str, value: str | bytes) -> None:
        reply = await self.lattice.ask("secret", "key", participant)
        assert reply.success, reply.message
        assert reply.response["participant"] == participant
        secret = seal(reply.response["public_key"], participant, name, value)
        await self.store.put(participant, name, secret)

    async def start(self, component_id: str, source: str, **scale: object) -> None:
        event = await self.lattice.start_component(component_id, source, host=self.host, **scale)
        assert event.name == "component_scaled", event.data

    async def says(self, expected: str, function: str = "say", name: str = "pw", who: str = "keeper") -> None:
        seen: list[str] = []

        async def there() -> bool:
            seen[:] = [await self.lattice.call(who, KEEPER, function, name)]
            return seen == [expected]

        await eventually(there, what=f"{expected!r}")


@pytest.fixture
async def vault(lattice_in_process: InProcessLattice, key_file: Path) -> Vault:
    lattice = lattice_in_process
    (keyless,) = lattice.hosts
    (host,) = await lattice.add_hosts(1, secrets_key=key_file)
    await keyless.stop()  # what any host answers, this one does
    lattice.hosts.remove(keyless)
    return Vault(lattice, host)


@pytest.mark.parametrize("version", ["0.1.0-draft", "1.0.0"])
async def test_a_component_reveals_its_secret_without_a_link(vault: Vault, version: str) -> None:
    await vault.put("keeper", "pw", VALUE)
    await vault.put("keeper", "blob", b"bytes too")
    await vault.start("keeper", keeper(version))
    await vault.says(VALUE)
    await vault.says("bytes too", name="blob")


async def test_a_secret_that_is_not_there_is_not_found(vault: Vault) -> None:
    await vault.start("keeper", keeper())
    await vault.put("other", "pw", VALUE)
    for name in ("pw", "", "..", "other.pw", ">", "*", "x" * 100_000, "\0", "ключ"):
        await vault.says(NOT_FOUND, name=name)
    await vault.put("keeper", "pw", VALUE)
    await vault.says(VALUE)
    await vault.store.delete("keeper", "pw")
    await vault.says(NOT_FOUND)


async def test_a_changed_value_is_seen_at_the_next_get_and_a_handle_keeps_what_it_had(vault: Vault) -> None:
    await vault.put("keeper", "pw", VALUE)
    await vault.start("keeper", keeper(), count=1, component_limits={"reuse": True})
    await vault.says("", "hold")
    await vault.put("keeper", "pw", "rotated-" + VALUE)
    await vault.says(VALUE, "show")
    await vault.says("rotated-" + VALUE)


async def test_an_unrevealed_handle_has_no_value_in_the_guest(vault: Vault) -> None:
    """Nor in the host: the value is opened to see that it can be, and then at each `reveal`."""
    await vault.put("keeper", "pw", VALUE)
    await vault.start("keeper", keeper(), count=1, component_limits={"reuse": True})
    await vault.says("", "hold")
    (pool,) = vault.host.services.components.get("keeper")._pools
    held = [repr(each) for guest in pool._linkage.guests.values() for each in guest.handles.held.values()]
    assert held and VALUE not in "".join(held)


async def test_revealing_is_counted(vault: Vault) -> None:
    await vault.put("keeper", "pw", VALUE)
    await vault.start("keeper", keeper())
    for _ in range(3):
        await vault.lattice.call("keeper", KEEPER, "say", "pw")
    await vault.lattice.call("keeper", KEEPER, "hold", "pw")
    stats = vault.host.services.components.get("keeper").describe().stats or {}
    assert stats["host_calls.wasmcloud:secrets/reveal@0.1.0-draft"] == 3
    assert stats["host_calls.wasmcloud:secrets/store@0.1.0-draft"] == 4


async def test_a_host_without_a_key_says_so(lattice_in_process: InProcessLattice) -> None:
    lattice = lattice_in_process
    await lattice.start_component("keeper", keeper())
    said = await lattice.call("keeper", KEEPER, "say", "pw")
    assert said.startswith("unavailable: this host has no key for secrets")
    reply = await lattice.ask("secret", "key", "keeper")
    assert not reply.success and "--secrets-key" in reply.message


async def test_a_secret_sealed_to_another_key_is_refused_with_the_reason(vault: Vault) -> None:
    await vault.start("keeper", keeper())
    other = LatticeKeys(vault.lattice.bus.lattice, [new_seed()]).of("keeper")
    await vault.store.put("keeper", "pw", seal(other.public_key, "keeper", "pw", VALUE))

    async def refused() -> bool:
        said: str = await vault.lattice.call("keeper", KEEPER, "say", "pw")
        return said.startswith("unavailable: it is sealed to another key")

    await eventually(refused)


async def test_a_new_key_is_taken_up_without_a_restart_and_old_secrets_are_sealed_to_it(
    vault: Vault, key_file: Path
) -> None:
    await vault.put("keeper", "pw", VALUE)
    await vault.start("keeper", keeper())
    before = (await vault.store.list()).secrets["keeper", "pw"].public_key
    await asyncio.to_thread(add_seed, key_file)
    reply = await vault.lattice.ask("secret", "rekey")
    assert reply.success and (reply.response["resealed"], reply.response["failed"]) == (1, {})
    assert (await vault.store.list()).secrets["keeper", "pw"].public_key != before
    await vault.says(VALUE)
    keep_the_newest(key_file)
    await vault.host.services.secret_keys.refresh()
    await vault.says(VALUE)


async def test_a_key_file_that_was_spoilt_leaves_the_keys_as_they_were(vault: Vault, key_file: Path) -> None:
    await vault.put("keeper", "pw", VALUE)
    await vault.start("keeper", keeper())
    spoil(key_file)
    await vault.host.services.secret_keys.refresh()
    remove(key_file)
    await vault.host.services.secret_keys.refresh()
    await vault.says(VALUE)


async def test_a_host_does_not_start_with_a_key_file_that_others_may_read(
    lattice_in_process: InProcessLattice, key_file: Path
) -> None:
    open_to_all(key_file)
    with pytest.raises(LathError, match="can be read by others"):
        await lattice_in_process.add_hosts(1, secrets_key=key_file)


async def test_a_handle_of_another_component_opens_nothing(vault: Vault) -> None:
    """A component beside it, or a provider, may be given one; what it carries is sealed to its owner."""
    await vault.put("keeper", "pw", VALUE)
    await vault.start("keeper", keeper())
    await vault.says(VALUE)
    keys, mirror = vault.host._secret_keys.of, vault.host._secrets
    handle = GuestSecrets("keeper", mirror, keys).answer("get", ["pw"])["ok"]
    assert GuestSecrets("keeper", mirror, keys).answer("reveal", [handle]) == {"string": VALUE}
    assert VALUE.encode() not in handle.data
    with pytest.raises(PermissionDenied, match="of a secret of keeper, and thief may reveal its own alone"):
        GuestSecrets("thief", mirror, keys).answer("reveal", [handle])
    forged = ExtType(handle.code, handle.data.replace(b"keeper", b"robber"))
    with pytest.raises(Unavailable, match="another key of robber"):
        GuestSecrets("robber", mirror, keys).answer("reveal", [forged])
    for nonsense in (ExtType(1, b""), ExtType(1, b"\x93\x01\x02\x03"), ExtType(2, handle.data)):
        with pytest.raises(InvalidArgument, match="of no secret"):
            GuestSecrets("keeper", mirror, keys).answer("reveal", [nonsense])


# --- providers ---------------------------------------------------------------------------------------


async def test_a_provider_process_opens_its_own_secrets_and_learns_of_new_keys(
    vault: Vault, key_file: Path
) -> None:
    lattice, host = vault.lattice, vault.host
    await vault.put("words", "prefix", VALUE)
    async with lattice.events() as events:
        fields = {"provider_id": "words", "provider_ref": WORDS, "host_id": host.id}
        assert (await lattice.ask("provider", "start", host.id, **fields)).success
        await events.wait("provider_started", host_id=host.id)
    await lattice.start_component("front", guests.relay(), host=host)
    link = {"source_id": "front", "target": "words", "wit_namespace": "test", "wit_package": "words"}
    asked = await lattice.ask("link", "put", **link, interfaces=["echo"], target_secrets={"prefix": "prefix"})
    assert asked.success, asked.message

    async def answers(expected: str) -> None:
        async def there() -> bool:
            try:
                return bool(await lattice.call("front", "test:words/front@1.0.0", "say", "x") == expected)
            except LathError:
                return False

        await eventually(there)

    await answers(f"{VALUE}x")
    await asyncio.to_thread(add_seed, key_file)
    await vault.put("words", "prefix", "rotated-" + VALUE)  # sealed to the new key, which the host tells of
    await answers(f"rotated-{VALUE}x")


async def test_the_keys_of_a_provider_are_in_no_inventory_and_no_argument(
    vault: Vault, key_file: Path
) -> None:
    keys = read_lattice_keys(key_file, check_name(vault.lattice.bus.lattice)).of("words")
    line = vault.host._keys_of_provider("words")
    assert line == tuple(key_text(key) for key in keys.private)
    inventory = vault.host.inventory().model_dump_json()
    assert line[0] not in inventory and str(key_file) not in inventory
