"""Two clusters in one VPC: each is healed from the same CIDR, and a rollback of the first leaves the second alone."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations
from typing import Any

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident
from tests.integration.support.lab import Lab
from tests.integration.support.neighbours import neighbours
from tests.integration.support.patient import CGNAT, Patient
from tests.integration.support.rollbacks import dump, roll_back

pytestmark = pytest.mark.slow


def healed(cluster: Patient) -> Incident:
    ended, incident = cluster.lab.remediate(cluster.name)
    assert incident.outcome is Outcome.HEALED, (ended, incident.failure)
    cluster.settle(running=10, stuck=0)
    assert len(cluster.moved()) == 2
    return incident


def own(dumped: dict[str, Any], incident: Incident) -> dict[str, Any]:
    """What of a dump is this cluster's own: its incident's subnets, and what lives in the Kubernetes API and EKS."""
    subnets = set(incident.subnets.values())
    return {
        "subnets": {id_: subnet for id_, subnet in dumped["subnets"].items() if id_ in subnets},
        **{name: dumped[name] for name in ("crd", "eni_configs", "aws_node", "nodes", "addon")},
    }


def in_the_vpc(dumped: dict[str, Any]) -> dict[str, Any]:
    return {name: dumped[name] for name in ("vpc", "subnets", "route_tables", "network_acls", "security_groups")}


def test_given_two_clusters_in_one_vpc_when_both_are_healed_and_the_first_is_rolled_back_then_the_second_is_unaffected(
    lab: Lab,
) -> None:
    with neighbours(lab) as both:
        before = dump(both.first)
        first = healed(both.first)
        second = healed(both.second)

        # One CIDR serves both, and no two subnets overlap.
        assert second.plan is not None
        assert second.plan.source == "existing-cidr"
        cidrs = [IPv4Network(one["cidr"]) for one in both.first.subnets().values()]
        assert len([cidr for cidr in cidrs if cidr.subnet_of(CGNAT)]) == 4
        assert not any(one.overlaps(other) for one, other in combinations(cidrs, 2))

        addresses, theirs = both.second.addresses(), own(dump(both.second), second)
        ended = roll_back(lab, first.id, confirmed=True, evict=True)

        assert ended.status == "SUCCEEDED", ended
        assert not set(first.subnets.values()) & set(both.first.subnets())
        assert both.second.addresses() == addresses
        assert own(dump(both.second), second) == theirs
        assert lab.incidents.get(second.id).outcome is Outcome.HEALED

        # The CIDR stays for the second one, and leaves with it.
        assert any(IPv4Network(cidr).subnet_of(CGNAT) for cidr in both.second.cidrs())
        ended = roll_back(lab, second.id, confirmed=True, evict=True)
        assert ended.status == "SUCCEEDED", ended
        assert in_the_vpc(dump(both.first)) == in_the_vpc(before)
