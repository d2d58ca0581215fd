"""What is behind the ways out of the VPC, and who else uses 100.64.0.0/10."""

from __future__ import annotations

from typing import Any

import pytest

from ip_remediator.risks.model import Risk, Severity
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_vpc import NatGateway, Peering, Route, TransitGateway
from tests.unit.support.facts import CUSTOM, Part, eni_config, node, subnet
from tests.unit.support.moving import FULL, ordinary, risks

EXTERNAL = {"AWS_VPC_K8S_CNI_EXTERNALSNAT": "true"}
EXCLUDED = {"AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS": "10.8.0.0/16, 10.9.0.0/16"}
INTERNET = Route(destination="0.0.0.0/0", target="nat-1", route_table="rtb-a")


def route(destination: str, target: str = "tgw-1", **fields: Any) -> Route:
    return Route(**({"destination": destination, "target": target, "route_table": "rtb-a"} | fields))


def facts(*routes: Route, env: dict[str, str] | None = None, **of_vpc: Any) -> Snapshot:
    base = ordinary(routes=(INTERNET, *routes), **of_vpc)
    return base.model_copy(update={"cni": base.cni.model_copy(update={"env": env or {}})})


def extension(env: dict[str, str], **of_vpc: Any) -> dict[str, Risk]:
    """Pods that live in 100.64.0.0/24 already get more of the same CIDR."""
    host = node("a", enis=(1, 1))
    first, second = host.interfaces
    on_pods = second.model_copy(update={"subnet_id": "subnet-pods"})
    part = Part(
        nodes=(host.model_copy(update={"interfaces": (first, on_pods)}),),
        subnets=(subnet("a"), subnet("a", id="subnet-pods", cidr="100.64.0.0/24")),
        eni_configs=(eni_config("a", subnet="subnet-pods"),),
    )
    base = ordinary(part, **of_vpc)
    cidrs = (*base.vpc.cidrs, base.vpc.cidrs[0].model_copy(update={"cidr": "100.64.0.0/16"})) if base.vpc else ()
    vpc = base.vpc.model_copy(update={"cidrs": cidrs}) if base.vpc else None
    base = base.model_copy(update={"vpc": vpc, "cni": base.cni.model_copy(update={"env": CUSTOM | env})})
    return risks(base, strategy="custom-networking-extension", source="existing-cidr", block="100.64.4.0/22")


@pytest.mark.parametrize("target", ["tgw-1", "vgw-1", "pcx-1", "eni-1"])
def test_given_external_snat_and_a_route_to_others_then_they_may_not_answer(target: str) -> None:
    risk = risks(facts(route("10.8.0.0/16", target), env=EXTERNAL))["external-snat"]
    assert risk.severity is Severity.HIGH
    assert f"10.8.0.0/16 to {target}" in risk.found
    assert "100.64.0.0/22" in risk.breaks


def test_given_external_snat_and_nat_gateways_alone_then_they_translate_the_new_range_too() -> None:
    assert risks(facts(env=EXTERNAL))["external-snat"].severity is Severity.LOW


def test_given_external_snat_and_routes_that_were_not_read_then_the_worst_is_assumed() -> None:
    unread = facts(env=EXTERNAL)
    assert unread.vpc is not None
    vpc = unread.vpc.model_copy(update={"routes": (), "routes_read": False})
    assert risks(unread.model_copy(update={"vpc": vpc}))["external-snat"].severity is Severity.HIGH


def test_given_routes_of_a_table_that_new_subnets_do_not_get_then_they_do_not_count() -> None:
    elsewhere = route("10.8.0.0/16", route_table="rtb-z")
    assert risks(facts(elsewhere, env=EXTERNAL))["external-snat"].severity is Severity.LOW


def pods_of_another_table(table: str) -> Snapshot:
    """Pods have a subnet with a route table and network ACL of its own; only `table` leads to others."""
    host = node("a", enis=(1, 1))
    first, second = host.interfaces
    on_pods = second.model_copy(update={"subnet_id": "subnet-pods"})
    part = Part(
        nodes=(host.model_copy(update={"interfaces": (first, on_pods)}),),
        subnets=(
            subnet("a"),
            subnet("a", id="subnet-pods", cidr="10.0.64.0/24", route_table="rtb-p", network_acl="acl-p"),
        ),
        eni_configs=(eni_config("a", subnet="subnet-pods"),),
    )
    elsewhere = route("10.8.0.0/16", route_table=table)
    base = ordinary(part, routes=(INTERNET, elsewhere, route("0.0.0.0/0", "nat-1", route_table="rtb-p")))
    return base.model_copy(update={"cni": base.cni.model_copy(update={"env": CUSTOM | EXTERNAL})})


@pytest.mark.parametrize(("table", "severity"), [("rtb-p", Severity.HIGH), ("rtb-a", Severity.LOW)])
def test_given_an_extension_then_the_table_of_the_pods_present_subnet_counts_which_the_new_one_gets(
    table: str, severity: Severity
) -> None:
    name = eni_config("a").name
    risks_by_id = risks(pods_of_another_table(table), strategy="custom-networking-extension", eni_configs=(name,))
    assert risks_by_id["external-snat"].severity is severity


def test_given_a_carrier_gateway_then_it_translates() -> None:
    wavelength = facts(route("0.0.0.0/0", "cagw-1"), env=EXTERNAL)
    assert risks(wavelength)["external-snat"].severity is Severity.LOW


def test_given_a_private_nat_gateway_then_the_remedy_names_it() -> None:
    nat = NatGateway(id="nat-p", subnet_id="subnet-a", private=True)
    risk = risks(facts(route("10.8.0.0/16"), env=EXTERNAL, nat_gateways=(nat,)))["external-snat"]
    assert "the private NAT gateway nat-p" in risk.remedy


def test_given_excluded_ranges_outside_the_vpc_then_they_see_pods_and_may_not_answer() -> None:
    risk = risks(facts(env=EXCLUDED))["snat-exclusions"]
    assert risk.severity is Severity.HIGH
    assert "10.8.0.0/16, 10.9.0.0/16" in risk.found


@pytest.mark.parametrize(
    "env", [{}, EXTERNAL | EXCLUDED, {"AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS": "10.0.64.0/18"}], ids=["none", "off", "own"]
)
def test_given_exclusions_without_effect_then_there_is_no_such_risk(env: dict[str, str]) -> None:
    assert "snat-exclusions" not in risks(facts(env=env))


def test_given_an_existing_subnet_beside_a_new_cidr_then_the_new_one_is_still_unknown_outside() -> None:
    base = facts(route("10.8.0.0/16"), env=EXTERNAL)
    assert "external-snat" in risks(base, existing=("10.0.60.0/24",))
    assert "external-snat" not in risks(base, block=None, existing=("10.0.60.0/24",), source="existing-subnets")


def test_given_pods_that_leave_with_addresses_of_that_cidr_already_then_nothing_changes() -> None:
    by_id = extension(EXTERNAL, routes=(route("10.8.0.0/16"),))
    assert not {"external-snat", "return-routes"} & set(by_id)
    assert "snat-exclusions" not in extension(EXCLUDED)


@pytest.mark.parametrize(
    ("routes", "severity"), [((route("10.8.0.0/16"),), Severity.HIGH), ((), None)], ids=["others", "internet"]
)
def test_given_nodes_in_the_new_range_then_their_own_addresses_leave(
    routes: tuple[Route, ...], severity: Severity | None
) -> None:
    risk = risks(facts(*routes), strategy="node-group").get("node-addresses-leave")
    assert (risk.severity if risk else None) is severity
    assert "node-addresses-leave" not in risks(facts(*routes))


def test_given_ways_into_the_vpc_then_callers_of_pods_need_a_route() -> None:
    peering = Peering(id="pcx-1", status="active", cidrs=("10.8.0.0/16",))
    risk = risks(facts(route("10.9.0.0/16"), peerings=(peering,)))["return-routes"]
    assert risk.severity is Severity.LOW
    assert "pcx-1, tgw-1" in risk.found
    gone = peering.model_copy(update={"status": "deleted"})
    assert "return-routes" not in risks(facts(peerings=(gone,)))


def test_given_a_dead_route_in_the_copied_table_then_it_is_known() -> None:
    risk = risks(facts(route("10.8.0.0/16", "pcx-9", state="blackhole")))["blackhole-routes"]
    assert risk.severity is Severity.LOW
    assert "aws ec2 delete-route --route-table-id rtb-a --destination-cidr-block 10.8.0.0/16" in risk.remedy
    assert "blackhole-routes" not in risks(facts(route("10.8.0.0/16", "pcx-9", state="blackhole", route_table="rtb-z")))


@pytest.mark.parametrize(
    ("routes", "of_vpc", "named"),
    [
        ((route("100.64.0.0/10", prefix_list="pl-1"),), {}, "100.64.0.0/10 (pl-1) to tgw-1"),
        ((), {"transit_gateways": (TransitGateway(id="tgw-1", attachment="a", routes=("100.64.1.0/24",)),)}, "tgw-1"),
        ((), {"peerings": (Peering(id="pcx-1", status="active", cidrs=("100.64.0.0/16",)),)}, "peer pcx-1"),
    ],
)
def test_given_the_block_in_use_on_a_path_then_hosts_there_are_lost(
    routes: tuple[Route, ...], of_vpc: dict[str, Any], named: str
) -> None:
    risk = risks(facts(*routes, **of_vpc))["cgnat-on-paths"]
    assert risk.severity is Severity.HIGH
    assert named in risk.found
    assert "ExcludedCidrs" in risk.remedy


def test_given_the_shared_range_in_use_beside_the_block_then_it_is_only_known() -> None:
    beside = TransitGateway(id="tgw-1", attachment="a", routes=("100.80.0.0/16", "10.8.0.0/16"))
    assert risks(facts(transit_gateways=(beside,)))["cgnat-on-paths"].severity is Severity.LOW


@pytest.mark.parametrize("destination", ["0.0.0.0/0", "64.0.0.0/2", "10.8.0.0/16"])
def test_given_ways_out_and_other_ranges_then_nobody_uses_the_shared_one(destination: str) -> None:
    assert "cgnat-on-paths" not in risks(facts(route(destination)))


def test_given_the_local_route_of_a_cidr_that_the_vpc_has_then_it_is_nobody_elses() -> None:
    assert "cgnat-on-paths" not in extension({}, routes=(route("100.64.0.0/16", "local"),))


def test_given_the_vpcs_own_range_on_its_gateway_then_that_is_nobody_elses() -> None:
    by_id = extension({}, transit_gateways=(TransitGateway(id="tgw-1", attachment="a", routes=("100.64.0.0/16",)),))
    assert "cgnat-on-paths" not in by_id


def test_given_a_block_outside_the_shared_range_then_its_other_users_do_not_matter() -> None:
    assert "cgnat-on-paths" not in risks(facts(route("100.64.0.0/10")), block="10.1.0.0/22")


def test_given_a_gateway_of_another_account_then_its_unknown_routes_are_said() -> None:
    dark = facts(transit_gateways=(TransitGateway(id="tgw-1", attachment="a"),))
    risk = risks(dark)["transit-gateway-unread"]
    assert risk.severity is Severity.MEDIUM
    assert "Values=100.64.0.0/10" in risk.remedy
    assert "transit-gateway-unread" not in risks(dark, source="existing-cidr")


def test_given_tailscale_then_its_nodes_drop_what_comes_from_the_shared_range() -> None:
    base = facts()
    base = base.model_copy(
        update={"cluster": base.cluster.model_copy(update={"overlays": ("DaemonSet tailscale/ts",)})}
    )
    risk = risks(base)["overlay-on-cgnat"]
    assert risk.severity is Severity.HIGH
    assert "DaemonSet tailscale/ts" in risk.found
    assert "overlay-on-cgnat" not in risks(base, block="10.1.0.0/22")
    assert "overlay-on-cgnat" not in risks(facts())


@pytest.mark.parametrize(
    ("block", "public"),
    [
        ("8.8.8.0/24", True),
        ("100.0.0.0/16", True),
        ("100.64.0.0/16", False),
        ("172.31.0.0/16", False),
        ("192.168.0.0/22", False),
    ],
)
def test_given_a_block_of_the_internet_then_its_hosts_are_lost(block: str, public: bool) -> None:
    assert ("public-range" in risks(facts(), block=block)) is public


def test_given_1000_routes_then_the_text_stays_short() -> None:
    many = [route(f"10.{n // 250 + 8}.{n % 250}.0/24", state="blackhole") for n in range(1000)]
    shared = [route(f"100.{n // 250 + 64}.{n % 250}.0/24", f"tgw-{n:017}") for n in range(1000)]
    for risk in risks(facts(*many, *shared, env=EXTERNAL)).values():
        assert max(len(risk.found), len(risk.breaks), len(risk.remedy)) < 600, risk.id


# A present subnet with a route table of its own

PODS = "100.64.8.0/24"


def isolated(*routes: Route, env: dict[str, str], read: bool = True) -> Risk | None:
    """The risk of giving pods a present subnet with the route table rtb-pods, whose routes are these."""
    own = subnet("a", id="subnet-pods", cidr=PODS, route_table="rtb-pods")
    base = ordinary(FULL, Part(subnets=(own,)), routes=(INTERNET, *routes) if read else (), routes_read=read)
    world = base.model_copy(update={"cni": base.cni.model_copy(update={"env": env})})
    return risks(world, source="existing-subnets", block=None, existing=(PODS,)).get("routes-missing")


@pytest.mark.parametrize("env", [EXTERNAL, {"ENABLE_POD_ENI": "true"}], ids=["all pods", "pods with security groups"])
def test_given_pods_that_leave_with_their_own_addresses_then_a_subnet_without_the_nodes_routes_is_a_high_risk(
    env: dict[str, str],
) -> None:
    risk = isolated(env=env)
    assert risk is not None
    assert risk.severity is Severity.HIGH
    assert "subnet-pods (rtb-pods) has no route to 0.0.0.0/0" in risk.found
    assert "--route-table-id rtb-pods --destination-cidr-block 0.0.0.0/0 --nat-gateway-id nat-1" in risk.remedy
    assert isolated(INTERNET.model_copy(update={"route_table": "rtb-pods"}), env=env) is None


def test_given_nodes_that_translate_or_routes_that_were_not_read_then_no_route_is_missed() -> None:
    assert isolated(env={}) is None
    assert isolated(env={"ENABLE_POD_ENI": "true", "POD_SECURITY_GROUP_ENFORCING_MODE": "standard"}) is None
    assert isolated(env=EXTERNAL, read=False) is None


def test_given_a_dead_route_in_the_subnets_table_then_it_leads_nowhere() -> None:
    dead = INTERNET.model_copy(update={"route_table": "rtb-pods", "state": "blackhole"})
    assert isolated(dead, env=EXTERNAL) is not None
