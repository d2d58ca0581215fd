"""Which networks see the pods' own addresses: pods with security groups, blackholes, and a VPC with no way out."""

from __future__ import annotations

from typing import Any

import pytest

from ip_remediator.common.cidr import CGNAT
from ip_remediator.risks.model import Severity
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import Cni
from ip_remediator.snapshot.model_vpc import Route, TransitGateway
from ip_remediator.snapshot.taken_ranges import taken_ranges
from tests.unit.support.facts import snapshot
from tests.unit.support.moving import FULL, ordinary_vpc, risks

LEAVES = "security-group-pods-leave"
OUT = Route(destination="10.200.0.0/16", target="tgw-1", route_table="rtb-a")
NAT = Route(destination="0.0.0.0/0", target="nat-1", route_table="rtb-a")


def facts(*routes: Route, read: bool = True, gateways: tuple[Any, ...] = (), **env: str) -> Snapshot:
    network = ordinary_vpc(routes=routes, routes_read=read, transit_gateways=gateways)
    return snapshot(FULL, vpc=network, cni=Cni(owner="addon", version="v1.20.4", env=env))


@pytest.mark.parametrize("mode", [{}, {"POD_SECURITY_GROUP_ENFORCING_MODE": "strict"}])
def test_given_security_groups_for_pods_in_strict_mode_and_a_way_out_then_it_is_a_high_risk(
    mode: dict[str, str],
) -> None:
    by_id = risks(facts(OUT, NAT, ENABLE_POD_ENI="true", **mode))
    assert by_id[LEAVES].severity is Severity.HIGH
    assert "10.200.0.0/16 to tgw-1" in by_id[LEAVES].found
    # and the sentence about the node's address names the exception
    assert "except that of pods with security groups" in by_id["return-routes"].breaks


@pytest.mark.parametrize(
    "env",
    [
        {"ENABLE_POD_ENI": "true", "POD_SECURITY_GROUP_ENFORCING_MODE": "standard"},
        {"ENABLE_POD_ENI": "false"},
        {},
    ],
)
def test_given_standard_mode_or_no_such_pods_then_nothing_of_the_kind_is_said(env: dict[str, str]) -> None:
    by_id = risks(facts(OUT, NAT, **env))
    assert LEAVES not in by_id
    assert "security groups" not in by_id["return-routes"].breaks


def test_given_no_way_to_other_networks_then_pods_with_security_groups_are_no_risk() -> None:
    assert LEAVES not in risks(facts(NAT, ENABLE_POD_ENI="true"))
    assert LEAVES in risks(facts(read=False, ENABLE_POD_ENI="true"))


def test_given_discovery_then_branch_enis_stay_where_they_are_and_nobody_sees_the_new_range() -> None:
    assert LEAVES not in risks(facts(OUT, ENABLE_POD_ENI="true"), strategy="subnet-discovery")


def test_given_external_snat_and_local_routes_only_then_there_is_no_high_risk() -> None:
    external = {"AWS_VPC_K8S_CNI_EXTERNALSNAT": "true"}
    assert risks(facts(**external))["external-snat"].severity is Severity.LOW
    assert risks(facts(read=False, **external))["external-snat"].severity is Severity.HIGH


@pytest.mark.parametrize(
    "gateway",
    [
        {"routes": ["10.20.0.0/16"], "blackholes": ["100.64.0.0/10"]},
        {"routes": ["10.20.0.0/16"], "dropped": ["100.64.0.0/10"]},
        {
            "routes": [
                {"destination": "10.20.0.0/16", "state": "active"},
                {"cidr": "100.64.0.0/10", "state": "blackhole"},
            ]
        },
        {"routes": [{"range": "10.20.0.0/16"}, {"range": "100.64.0.0/10", "blackhole": True}]},
    ],
)
def test_given_a_range_that_the_gateway_drops_then_it_is_nobodys(gateway: dict[str, Any]) -> None:
    reachable = TransitGateway.model_validate({"id": "tgw-1", "attachment": "a", **gateway})
    assert (reachable.routes, reachable.blackholes) == (("10.20.0.0/16",), ("100.64.0.0/10",))
    # and a route of the VPC that leads there excludes nothing either
    to_it = Route(destination="100.64.0.0/10", target="tgw-1", route_table="rtb-a")
    base = facts(to_it, gateways=(reachable,))
    assert not [cidr for cidr in taken_ranges(base) if cidr == str(CGNAT)]


def test_given_a_document_that_does_not_tell_blackholes_then_the_reason_asks() -> None:
    old = TransitGateway(id="tgw-1", attachment="a", routes=("100.64.0.0/10",))
    assert "unless that route is a blackhole" in taken_ranges(facts(gateways=(old,)))["100.64.0.0/10"]
    new = old.model_copy(update={"blackholes": ()})
    assert taken_ranges(facts(gateways=(new,)))["100.64.0.0/10"] == "range that tgw-1 routes elsewhere"


@pytest.mark.parametrize(
    "origin", [{"propagated": True}, {"origin": "EnableVgwRoutePropagation"}, {"origin": "propagated"}]
)
def test_given_a_propagated_route_then_its_origin_may_be_told_as_ec2_does(origin: dict[str, Any]) -> None:
    assert Route.model_validate(
        {"destination": "10.0.0.0/8", "target": "vgw-1", "route_table": "rtb", **origin}
    ).propagated
    assert not Route.model_validate(
        {"destination": "10.0.0.0/8", "target": "vgw-1", "route_table": "rtb", "origin": "CreateRoute"}
    ).propagated
