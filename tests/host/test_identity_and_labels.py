"""Who a host is, and the labels that it carries."""

from __future__ import annotations

import pytest

from lath.errors import InvalidArgument
from lath_host.identity import lath_version, make_identity
from lath_host.labels import LABELS_MAX, Labels


def test_a_host_id_is_an_nkey_of_a_server_and_its_seed_gives_it_again() -> None:
    first = make_identity()
    assert first.id.startswith("N") and len(first.id) == 56
    assert make_identity(seed=first.seed).id == first.id
    assert make_identity().id != first.id


def test_the_seed_of_a_host_is_not_shown() -> None:
    identity = make_identity()
    assert identity.seed.startswith("SN")
    assert identity.seed not in repr(identity)


def test_the_name_is_made_up_unless_it_is_given() -> None:
    assert make_identity().name.count("-") == 2
    assert make_identity(name="rack-4").name == "rack-4"


@pytest.mark.parametrize(
    "given",
    [
        {"seed": "nonsense"},
        {"seed": "SUAMK2FG4MI6UE3ACF3FK3OIQBCEIEZV7NSWFFEW63UXMRLFM2XLAXK4GY"},
        {"name": "no dots.please"},
        {"host_id": "a.b"},
        {"host_id": "H", "seed": "S"},
    ],
)
def test_a_hosts_identity_of_the_wrong_kind_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument):
        make_identity(**given)


def test_the_version_is_semver_since_clients_of_the_interface_parse_it() -> None:
    assert len(lath_version().split(".")) == 3


def test_labels_say_what_the_machine_is_and_nobody_may_set_those() -> None:
    labels = Labels({"zone": "a"})
    assert set(labels.all()) == {"zone", "hostcore.os", "hostcore.osfamily", "hostcore.arch"}
    for key in ("hostcore.os", "hostcore.anything", "HostCore.os", ""):
        with pytest.raises(InvalidArgument):
            labels.put(key, "x")
    with pytest.raises(InvalidArgument):
        labels.delete("hostcore.arch")


def test_a_host_matches_constraints_when_it_has_all_of_them() -> None:
    labels = Labels({"zone": "a", "disk": "fast"})
    assert labels.match({})
    assert labels.match({"zone": "a", "disk": "fast"})
    assert not labels.match({"zone": "a", "disk": "slow"})
    assert not labels.match({"gpu": "yes"})


def test_deleting_a_label_that_is_not_there_is_no_error() -> None:
    labels = Labels({"zone": "a"})
    labels.delete("zone")
    labels.delete("zone")
    assert "zone" not in labels.all()


def test_labels_are_bounded() -> None:
    labels = Labels({f"k{i}": "v" for i in range(LABELS_MAX)})
    labels.put("k0", "other")
    with pytest.raises(InvalidArgument, match=str(LABELS_MAX)):
        labels.put("one-more", "v")
