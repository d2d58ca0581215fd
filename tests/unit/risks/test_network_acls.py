"""Network ACLs: entries in order, the first match decides, both directions."""

from __future__ import annotations

import re
import shlex
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.risks.model import Risk, Severity
from ip_remediator.risks.network_acls import passes, stopped, stretches
from ip_remediator.snapshot.model_vpc import AclEntry, NetworkAcl
from tests.unit.support.facts import Part, subnet, zone
from tests.unit.support.moving import FULL, acl, allow, deny, ordinary, risks

NEW, OTHERS = "network-acl-of-new-subnets", "network-acls-old-ranges"
DATABASES = Part(subnets=(subnet("f", id="subnet-db", network_acl="acl-db", cidr="10.0.50.0/24"),))


def of_nodes(*entries: AclEntry) -> Risk | None:
    return risks(ordinary(network_acls=(acl("acl-a", *entries),))).get(NEW)


def of_databases(*entries: AclEntry) -> Risk | None:
    return risks(ordinary(FULL, DATABASES, network_acls=(acl("acl-a"), acl("acl-db", *entries)))).get(OTHERS)


def both(number: int, cidr: str) -> tuple[AclEntry, AclEntry]:
    return allow(number, cidr), allow(number, cidr, egress=True)


def test_given_acls_that_let_everything_pass_then_there_is_no_risk() -> None:
    by_id = risks(ordinary(FULL, DATABASES, network_acls=(acl("acl-a"), acl("acl-db"))))
    assert not {NEW, OTHERS} & set(by_id)


def test_given_the_nodes_acl_for_the_vpcs_range_alone_then_pods_are_cut_off_and_the_command_helps() -> None:
    risk = of_nodes(*both(100, "10.0.0.0/16"))
    assert risk is not None
    assert risk.severity is Severity.HIGH
    assert risk.found.startswith("acl-a stops everything from 100.64.0.0/22")
    assert risk.remedy == (
        "`aws ec2 create-network-acl-entry --network-acl-id acl-a --ingress --rule-number 32766 --protocol -1 "
        "--cidr-block 100.64.0.0/22 --rule-action allow`; likewise for 1 other"
    )


def test_given_an_entry_that_denies_the_shared_range_first_then_the_remedy_goes_before_it() -> None:
    risk = of_nodes(allow(9, "10.9.0.0/16"), deny(10, "100.64.0.0/10"), *both(100, "0.0.0.0/0"))
    assert risk is not None
    assert "stops everything from 100.64.0.0/22" in risk.found
    assert "--rule-number 8 " in risk.remedy


def test_given_an_entry_that_denies_it_after_one_that_allows_it_then_it_never_counts() -> None:
    assert of_nodes(*both(100, "0.0.0.0/0"), deny(200, "100.64.0.0/10")) is None


def test_given_both_ranges_by_entries_of_their_own_then_there_is_no_risk() -> None:
    assert of_nodes(*both(100, "10.0.0.0/16"), *both(110, "100.64.0.0/22")) is None
    assert of_nodes(*both(100, "10.0.0.0/16"), *both(110, "100.64.0.0/23"), *both(120, "100.64.2.0/23")) is None
    assert of_nodes(*both(100, "10.0.0.0/16"), *both(110, "100.64.0.0/23")) is not None


def test_given_one_direction_alone_then_the_other_is_named() -> None:
    risk = of_nodes(*both(100, "10.0.0.0/16"), allow(110, "100.64.0.0/22"))
    assert risk is not None
    assert "stops everything to 100.64.0.0/22" in risk.found
    assert "from 100.64.0.0/22" not in risk.found


def test_given_a_single_subnet_whose_acl_does_not_name_itself_then_pods_of_the_new_one_lose_it() -> None:
    # given nodes that never had to pass their own ACL to reach CoreDNS
    risk = of_nodes(*both(100, "100.64.0.0/22"), *both(110, "172.31.0.0/16"))
    assert risk is not None
    assert "from 10.0.0.0/24" in risk.found


def test_given_answers_on_linuxs_ports_alone_then_they_suffice() -> None:
    entries = [
        AclEntry(number=100 + 2 * n + out, egress=bool(out), allow=True, cidr="0.0.0.0/0", protocol=protocol,
                 from_port=low, to_port=high)
        for n, (protocol, low, high) in enumerate(
            [("6", 53, 53), ("17", 53, 53), ("6", 32768, 65535), ("17", 32768, 65535)]
        )
        for out in (0, 1)
    ]  # fmt: skip
    assert of_nodes(*entries) is None
    assert of_nodes(*(entry for entry in entries if entry.to_port != 53)) is not None


def test_given_databases_behind_an_acl_for_the_old_range_then_their_port_and_the_answers_are_named() -> None:
    risk = of_databases(allow(100, "10.0.0.0/16", (5432, 5432)), allow(100, "10.0.0.0/16", (1024, 65535), egress=True))
    assert risk is not None
    assert risk.severity is Severity.HIGH
    assert risk.found == ("acl-db stops tcp 5432 from 100.64.0.0/22, acl-db stops tcp 1024-65535 to 100.64.0.0/22")
    assert "subnet-db" in risk.breaks


def test_given_databases_behind_an_acl_that_never_let_pods_pass_then_nothing_that_works_stops() -> None:
    assert of_databases(*both(100, "10.0.50.0/24")) is None


def test_given_an_acl_of_no_subnet_then_it_is_no_risk() -> None:
    assert OTHERS not in risks(ordinary(network_acls=(acl("acl-a"), acl("acl-idle", *both(100, "10.0.0.0/16")))))


@pytest.mark.parametrize(("lets_pass", "at_risk"), [("10.0.60.0/24", True), ("10.0.0.0/16", False)])
def test_given_an_existing_subnet_of_the_plan_then_its_own_acl_is_what_counts(lets_pass: str, at_risk: bool) -> None:
    pods = Part(subnets=(subnet("a", id="subnet-pods", cidr="10.0.60.0/24", network_acl="acl-pods"),))
    facts = ordinary(FULL, pods, network_acls=(acl("acl-a"), acl("acl-pods", *both(100, lets_pass))))
    by_id = risks(facts, block=None, existing=("10.0.60.0/24",), source="existing-subnets")
    assert (NEW in by_id) is at_risk
    assert not at_risk or "acl-pods stops tcp 53 from 10.0.0.0/24" in by_id[NEW].found


@pytest.mark.parametrize("acls", [(), (NetworkAcl(id="acl-a"),), (acl("acl-z"),)])
def test_given_entries_that_were_not_read_then_that_is_said_and_nothing_is_assumed(
    acls: tuple[NetworkAcl, ...],
) -> None:
    by_id = risks(ordinary(network_acls=acls))
    assert by_id["network-acls-unread"].severity is Severity.LOW
    assert "Name=association.subnet-id,Values=subnet-a" in by_id["network-acls-unread"].remedy
    assert NEW not in by_id
    assert "network-acls-unread" not in risks(ordinary())


def test_given_200_acls_of_40_entries_then_the_text_stays_short() -> None:
    others = [subnet("b", id=f"subnet-{n}", cidr=f"10.0.{n}.0/24", network_acl=f"acl-{n}") for n in range(200)]
    narrow = [allow(100 + port, "10.0.0.0/16", (1000 + 2 * port, 1000 + 2 * port)) for port in range(20)]
    facts = ordinary(
        zone("a"),
        Part(subnets=tuple(others)),
        network_acls=(acl("acl-a"), *(acl(f"acl-{n}", *narrow) for n in range(200))),
    )
    risk = risks(facts)[OTHERS]
    assert risk.found.endswith(" and 3,997 more")
    assert max(len(risk.found), len(risk.breaks), len(risk.remedy)) < 600


def test_given_no_free_number_before_the_entry_that_denies_then_the_remedy_says_so() -> None:
    risk = of_nodes(deny(1, "100.64.0.0/10"), *both(100, "0.0.0.0/0"))
    assert risk is not None
    assert risk.remedy == "give the entries of acl-a higher numbers, and put one before them that allows 100.64.0.0/22"


def typed(command: str) -> AclEntry:
    """The entry that a remedy's command makes."""
    words = shlex.split(command)
    options = {name: value for name, value in pairwise(words) if name.startswith("--")}
    ports = re.match(r"From=(\d+),To=(\d+)", options.get("--port-range", ""))
    return AclEntry(
        number=int(options["--rule-number"]),
        egress="--egress" in words,
        allow=options["--rule-action"] == "allow",
        cidr=options["--cidr-block"],
        protocol={"tcp": "6", "udp": "17"}.get(options["--protocol"], "-1"),
        from_port=int(ports[1]) if ports else None,
        to_port=int(ports[2]) if ports else None,
    )


@pytest.mark.parametrize(
    "entries",
    [
        both(100, "10.0.0.0/16"),
        (deny(10, "100.64.0.0/10"), *both(100, "0.0.0.0/0")),
        (deny(10, "100.64.1.0/24", (80, 80)), deny(50, "100.64.0.0/10"), *both(100, "10.0.0.0/16")),
        (allow(100, "10.0.0.0/16", (5432, 5432)), allow(100, "10.0.0.0/16", (1024, 65535), egress=True)),
    ],
)
def test_given_the_commands_of_the_remedy_one_after_the_other_then_the_risk_is_gone(
    entries: tuple[AclEntry, ...],
) -> None:
    # given databases or nodes behind an ACL that is too narrow
    for assessed, risk_id in ((of_nodes, NEW), (of_databases, OTHERS)):
        mended = list(entries)
        risk = assessed(*mended)
        assert risk is not None

        # when what the remedy names is typed, again and again
        for _ in range(20):
            command = re.match(r"`(aws ec2 create-network-acl-entry .+?)`", risk.remedy)
            assert command, (risk_id, risk.remedy)
            mended.append(typed(command[1]))
            risk = assessed(*mended)
            if risk is None:
                break

        # then nothing is stopped any more
        assert risk is None, (risk_id, risk)


# A world of 16 addresses and 8 ports, in which everything can be tried.
BASE = int(IPv4Address("10.0.0.0"))
CIDRS = st.builds(
    lambda address, prefix: IPv4Network((BASE + address, prefix), strict=False), st.integers(0, 15), st.integers(28, 32)
)
PORTS = st.none() | st.tuples(st.integers(0, 7), st.integers(0, 7)).map(lambda ports: (min(ports), max(ports)))
ENTRIES = st.lists(
    st.builds(
        lambda number, egress, permit, cidr, protocol, ports: AclEntry(
            number=number,
            egress=egress,
            allow=permit,
            cidr=str(cidr),
            protocol=protocol,
            from_port=ports[0] if ports else None,
            to_port=ports[1] if ports else None,
        ),
        st.integers(1, 30),
        st.booleans(),
        st.booleans(),
        CIDRS,
        st.sampled_from(["-1", "6", "17", "1"]),
        PORTS,
    ),
    max_size=8,
    unique_by=lambda entry: (entry.number, entry.egress),
)


def let_through(entries: list[AclEntry], address: IPv4Address, *, egress: bool, protocol: str, port: int) -> bool:
    """One packet, as the VPC User Guide tells it."""
    for entry in sorted(entries, key=lambda entry: entry.number):
        right_kind = entry.protocol == "-1" or (
            entry.protocol == protocol and (entry.from_port is None or entry.from_port <= port <= (entry.to_port or 0))
        )
        if entry.egress == egress and right_kind and address in IPv4Network(entry.cidr):
            return entry.allow
    return False


@given(
    entries=ENTRIES, remote=CIDRS, egress=st.booleans(), protocol=st.sampled_from(["6", "17"]), port=st.integers(0, 8)
)
def test_a_range_passes_exactly_if_each_of_its_addresses_does(
    entries: list[AclEntry], remote: IPv4Network, egress: bool, protocol: str, port: int
) -> None:
    answers = [let_through(entries, address, egress=egress, protocol=protocol, port=port) for address in remote]
    assert passes(entries, remote, egress=egress, protocol=protocol, port=port) == all(answers)


@given(entries=ENTRIES, old=CIDRS, new=CIDRS)
def test_what_is_stopped_is_exactly_what_passed_from_the_present_range_and_does_not_from_the_new(
    entries: list[AclEntry], old: IPv4Network, new: IPv4Network
) -> None:
    def through(remote: IPv4Network, egress: bool, protocol: str, port: int) -> bool:
        return all(let_through(entries, one, egress=egress, protocol=protocol, port=port) for one in remote)

    result = stopped(NetworkAcl(id="acl", entries=tuple(entries)), [old], new)
    for egress in (False, True):
        for protocol in ("6", "17"):
            for port in range(9):
                reported = any(
                    (item.egress, item.protocol) == (egress, protocol) and item.ports[0] <= port <= item.ports[1]
                    for item in result
                )
                assert reported == (through(old, egress, protocol, port) and not through(new, egress, protocol, port))


@given(entries=ENTRIES)
def test_stretches_hold_every_port_once(entries: list[AclEntry]) -> None:
    parts = stretches(entries)
    assert parts[0][0] == 0
    assert parts[-1][1] == 65535
    assert all(after[0] == before[1] + 1 for before, after in pairwise(parts))
