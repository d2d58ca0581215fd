"""A snapshot written by hand, or by an older reader, says the same under other names."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ip_remediator.common.document import typed_by_people
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import Cluster, NetworkInterface, Node
from ip_remediator.snapshot.model_vpc import Route, Subnet, TransitGateway

OUTPOST = "arn:aws:outposts:eu-west-1:111122223333:outpost/op-0a1"


def interface(**fields: Any) -> NetworkInterface:
    return typed_by_people(NetworkInterface, {"id": "eni-1", "subnet_id": "subnet-1", **fields})


def node(**fields: Any) -> Node:
    return typed_by_people(Node, {"name": "n", **fields})


@pytest.mark.parametrize("name", ["network_card", "network_card_index", "card", "card_index"])
def test_given_the_card_of_an_eni_under_any_of_its_names_then_it_is_read(name: str) -> None:
    assert interface(**{name: 3}).network_card == 3


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, None),
        ({"interface_type": "trunk"}, "trunk"),
        ({"type": "efa-only"}, "efa-only"),
        ({"kind": "efa_only"}, "efa-only"),
        ({"trunk": True}, "trunk"),
        ({"is_trunk": True}, "trunk"),
        ({"trunk": False}, "interface"),
        ({"efa_only": True}, "efa-only"),
        ({"efa": True}, "efa"),
    ],
)
def test_given_the_type_of_an_eni_under_any_of_its_names_then_it_is_ec2s(fields: dict[str, Any], kind: str) -> None:
    assert interface(**fields).interface_type == kind


@pytest.mark.parametrize(
    ("fields", "supported"),
    [
        ({}, None),
        ({"hypervisor": "xen"}, False),
        ({"hypervisor": "nitro"}, True),
        ({"nitro": False}, False),
        ({"prefixes_supported": False}, False),
        ({"supports_prefixes": True}, True),
        ({"prefix_delegation": False}, False),
    ],
)
def test_given_what_tells_of_prefixes_then_it_is_one_fact(fields: dict[str, Any], supported: bool | None) -> None:
    assert node(**fields).supports_prefixes is supported


@pytest.mark.parametrize("name", ["default_card_enis", "max_enis_default_card", "max_enis_per_card", "card_enis"])
@pytest.mark.parametrize("value", [2, [2, 1, 1]])
def test_given_the_enis_of_the_default_card_then_they_are_read(name: str, value: Any) -> None:
    if name in ("default_card_enis", "max_enis_default_card") and isinstance(value, list):
        with pytest.raises(ValidationError, match="default_card_enis"):
            node(**{name: value})
        return
    assert node(**{name: value}).default_card_enis == 2


@pytest.mark.parametrize("fields", [{"unschedulable": True}, {"cordoned": True}, {"schedulable": False}])
def test_given_a_cordoned_node_then_it_is_known_under_any_name(fields: dict[str, Any]) -> None:
    assert node(**fields).unschedulable
    assert not node().unschedulable


@pytest.mark.parametrize("name", ["outpost_arn", "outpost", "outpost_id"])
def test_given_an_outpost_then_nodes_and_subnets_tell_it(name: str) -> None:
    assert node(**{name: OUTPOST}).outpost_arn == OUTPOST
    subnet = Subnet.model_validate({"id": "subnet-1", "zone": "eu-west-1a", "cidr": "10.0.0.0/24", name: OUTPOST})
    assert subnet.outpost_arn == OUTPOST


@pytest.mark.parametrize("name", ["subnets", "subnet_ids", "control_plane_subnets", "cluster_subnets"])
def test_given_the_clusters_own_subnets_then_they_are_read(name: str) -> None:
    assert Cluster.model_validate({"name": "shop", name: ["subnet-1"]}).subnets == ("subnet-1",)
    assert Cluster(name="shop").subnets is None


@pytest.mark.parametrize(
    ("fields", "propagated"),
    [
        ({}, None),
        ({"propagated": True}, True),
        ({"origin": "EnableVgwRoutePropagation"}, True),
        ({"origin": "CreateRoute"}, False),
    ],
)
def test_given_a_route_then_whether_it_was_propagated_is_read(fields: dict[str, Any], propagated: bool | None) -> None:
    route = Route.model_validate({"destination": "10.1.0.0/16", "target": "vgw-1", "route_table": "rtb-1", **fields})
    assert route.propagated is propagated


@pytest.mark.parametrize(
    "fields",
    [
        {"routes": ["10.20.0.0/16"], "blackholes": ["100.64.0.0/10"]},
        {"routes": ["10.20.0.0/16"], "blackhole_routes": ["100.64.0.0/10"]},
        {"routes": ["10.20.0.0/16"], "dropped": ["100.64.0.0/10"]},
        *(
            {"routes": [{name: "10.20.0.0/16", "state": "active"}, {name: "100.64.0.0/10", "state": "blackhole"}]}
            for name in ("destination", "cidr", "range")
        ),
        {"routes": ["10.20.0.0/16", {"destination": "100.64.0.0/10", "blackhole": True}]},
    ],
)
def test_given_blackholes_of_a_transit_gateway_then_they_are_kept_apart(fields: dict[str, Any]) -> None:
    gateway = TransitGateway.model_validate({"id": "tgw-1", "attachment": "tgw-attach-1", **fields})
    assert gateway.routes == ("10.20.0.0/16",)
    assert gateway.blackholes == ("100.64.0.0/10",)
    assert TransitGateway.model_validate_json(gateway.model_dump_json()) == gateway


def test_given_an_older_gateway_then_its_blackholes_are_not_known() -> None:
    gateway = TransitGateway(id="tgw-1", attachment="tgw-attach-1", routes=("100.64.0.0/10",))
    assert gateway.blackholes is None


@pytest.mark.parametrize(
    ("vpc", "unread", "expected"),
    [
        ({"routes": []}, [], True),
        ({"routes": []}, ["ec2:DescribeRouteTables was refused"], False),
        ({"routes": []}, ["route tables: denied"], False),
        ({"routes": []}, ["routes of transit gateway tgw-1: denied"], True),
        ({"routes": [], "routes_read": True}, ["route tables: denied"], True),
        ({"routes_read": False}, [], False),
        ({}, [], False),
    ],
)
def test_given_route_tables_that_a_document_names_as_unread_then_the_routes_are_not_known(
    vpc: dict[str, Any], unread: list[str], expected: bool
) -> None:
    facts = typed_by_people(Snapshot, {"cluster": {"name": "c"}, "vpc": {"id": "vpc-1", **vpc}, "unread": unread})
    assert facts.routes_known is expected
    assert typed_by_people(Snapshot, facts.model_dump(mode="json")).routes_known is expected


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (lambda: node(hypervisor="kvm"), "supports_prefixes"),
        (lambda: interface(card=0, network_card=1), "card"),
        (lambda: interface(crad=0), "crad"),
        (
            lambda: TransitGateway.model_validate(
                {"id": "tgw-1", "attachment": "a", "routes": [{"destination": "10.0.0.0/8", "stat": "blackhole"}]}
            ),
            "stat",
        ),
    ],
)
def test_given_a_name_or_value_that_nothing_means_then_it_is_refused_by_name(made: Any, named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        made()
