"""A second opinion: in random small worlds the simulator's ipamd hands out addresses until nothing moves, then the
diagnosis judges the snapshot, and then the cure is applied, to see who was right."""

from __future__ import annotations

from ipaddress import IPv4Network

from hypothesis import assume, event, given
from hypothesis import strategies as st

from ip_remediator.common.enums import Verdict
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.diagnosis.model import Diagnosis
from ip_remediator.planning.model import RequestedStrategy
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.snapshot.node_room.pools import growth_options
from local.cluster.ipamd.settings import NodeLimits
from tests.unit.support.ipamd_world import Host, Range, World
from tests.unit.support.plans import first_plan

CUSTOM = "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"
POD_SUBNET, NEW_SUBNET = "subnet-pods", "subnet-new"
MANY = 110
# Pods find addresses; a full home subnet may launch no further node.
WELL = (Verdict.RECOVERED, Verdict.NODE_LAUNCH)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    env = {
        "CLUSTER_NAME": "shop",
        **draw(
            st.sampled_from(
                [
                    {},
                    {"WARM_ENI_TARGET": "0"},
                    {"WARM_ENI_TARGET": "2"},
                    {"WARM_IP_TARGET": "1"},
                    {"WARM_IP_TARGET": "9"},
                    {"WARM_IP_TARGET": "1", "MINIMUM_IP_TARGET": "30"},
                    {"WARM_IP_TARGET": "2", "MINIMUM_IP_TARGET": "4"},
                    {"MINIMUM_IP_TARGET": "3"},
                    {"ENABLE_PREFIX_DELEGATION": "true", "WARM_PREFIX_TARGET": "1"},
                    {"ENABLE_PREFIX_DELEGATION": "true", "WARM_PREFIX_TARGET": "2"},
                    {"ENABLE_PREFIX_DELEGATION": "true", "WARM_IP_TARGET": "5", "MINIMUM_IP_TARGET": "20"},
                ]
            )
        ),
        **draw(
            st.sampled_from(
                [
                    {},
                    {},
                    {"ENABLE_SUBNET_DISCOVERY": "false"},
                    {"DISABLE_NETWORK_RESOURCE_PROVISIONING": "true"},
                    {"MAX_ENI": "2"},
                ]
            )
        ),
    }
    most = int(env.get("MAX_ENI", 5))
    custom = draw(st.booleans())
    ranges = [draw(subnet("subnet-home", "10.0.0.0"))]
    if draw(st.booleans()):
        tags = st.sampled_from([{}, {"kubernetes.io/role/cni": "1"}, {"kubernetes.io/role/cni": "0"}])
        ranges.append(draw(subnet("subnet-other", "10.0.1.0", tags)))
    if custom:
        env[CUSTOM] = "true"
        ranges.append(draw(subnet(POD_SUBNET, "10.0.2.0")))
    hosts = [
        Host(f"node-{number}", "subnet-home", draw(limits(most)), draw(st.integers(0, 14)))
        for number in range(draw(st.integers(1, 3)))
    ]
    assume(len(ranges[0].free) >= len(hosts))
    return World(ranges, hosts, env, POD_SUBNET if custom else None)


def limits(most_enis: int) -> st.SearchStrategy[NodeLimits]:
    """Of a small instance type, some of them on Xen, which has no prefixes."""
    return st.builds(
        NodeLimits,
        max_enis=st.integers(1, most_enis),
        slots_per_eni=st.integers(2, 6),
        max_pods=st.just(MANY),
        prefixes_supported=st.sampled_from([True, True, False]),
    )


@st.composite
def subnet(draw: st.DrawFn, name: str, base: str, tags: st.SearchStrategy[dict[str, str]] | None = None) -> Range:
    made = Range(name, IPv4Network(f"{base}/{draw(st.sampled_from((27, 26)))}"), draw(tags) if tags is not None else {})
    most_free = draw(st.integers(0, 24))
    together = draw(st.booleans())
    free = made.free if together else draw(st.permutations(made.free))
    made.occupied |= set(free[: max(0, len(free) - most_free)])
    return made


def cure(world: World) -> None:
    """What a plan by custom networking does: a roomy new subnet, the ENIConfig of the zone, and the flag."""
    world.ec2.ranges[NEW_SUBNET] = Range(NEW_SUBNET, IPv4Network("100.64.0.0/22"))
    world.eni_config = NEW_SUBNET
    if CUSTOM not in world.env:
        world.env[CUSTOM] = "true"
        world.restart()


def judged(world: World) -> Diagnosis:
    world.settle()
    return diagnose(world.snapshot())


@given(worlds())
def test_given_a_world_at_rest_then_pods_hang_if_and_only_if_the_diagnosis_says_so(world: World) -> None:
    result = judged(world)
    stuck = sum(world.stuck().values())
    event(result.verdict)
    [zone] = result.zones
    assert zone.stuck_pods == stuck
    if stuck:
        assert result.verdict is not Verdict.RECOVERED
    else:
        assert result.verdict in (*WELL, Verdict.SUBNET_EXHAUSTED, Verdict.PREFIX_FRAGMENTED)
        assert_short_before_anybody_waits(world, result)
    # No subnet is said to have room that ipamd, left to itself, does not take.
    assert "can use that, yet" not in result.summary


def assert_short_before_anybody_waits(world: World, diagnosis: Diagnosis) -> None:
    """More pods come: with a shortage that nobody waits for yet no node gets more addresses, else some node does."""
    snapshot = world.snapshot()
    able = any(growth_options(snapshot, node) for node in snapshot.nodes)
    before = world.addresses_occupied
    for host in world.hosts:
        host.pods += MANY
    world.settle()
    assert (world.addresses_occupied > before) == (able and diagnosis.verdict in WELL), diagnosis.summary


@given(worlds())
def test_given_a_world_at_rest_when_it_is_cured_then_pods_get_addresses_where_and_only_where_it_was_foretold(
    world: World,
) -> None:
    # given what the diagnosis promises
    result = judged(world)
    before = world.stuck()
    relieved = {node.name for node in result.nodes if node.relieved_now} if result.curable else set()
    event(f"{result.verdict}, {len(relieved & before.keys())} of {len(before)} nodes are to be relieved")

    # when the cure is applied, whether the diagnosis calls for it or not
    cure(world)
    world.settle()

    # then
    after = world.stuck()
    for name, missing in before.items():
        assert (after.get(name, 0) < missing) == (name in relieved), (name, result)


def discover(world: World) -> None:
    """What a plan by subnet discovery does."""
    world.ec2.ranges[NEW_SUBNET] = Range(
        NEW_SUBNET,
        IPv4Network("100.64.0.0/22"),
        {"kubernetes.io/role/cni": "1", "cni.networking.k8s.aws/cluster/shop": "shared"},
    )


@given(worlds(), st.sampled_from(["custom-networking", "subnet-discovery"]))
def test_given_a_plan_when_it_is_carried_out_then_at_least_as_many_pods_are_healed_as_it_promised(
    world: World, strategy: RequestedStrategy
) -> None:
    # given
    result, before = judged(world), sum(world.stuck().values())
    assume(result.curable)
    try:
        made = first_plan(world.snapshot(), PlanningOptions(strategy=strategy))
    except CannotPlan:
        assume(False)
    event(f"{made.strategy} promises {'some' if made.heals_now else 'none'} of {'some' if before else 'none'}")

    # when
    discover(world) if made.strategy == "subnet-discovery" else cure(world)
    world.settle()

    # then
    assert before - sum(world.stuck().values()) >= made.heals_now, (made.expectation, result.summary)
