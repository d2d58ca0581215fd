"""All risks at once: in a VPC where everything is wrong, at the size of a large company."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from ip_remediator.risks.catalogue import CATALOGUE, entry
from ip_remediator.risks.model import Risk, Severity
from ip_remediator.snapshot.model import Quotas, Snapshot
from ip_remediator.snapshot.model_cluster import Cluster, Cni, EniConfig, NodeGroup, Webhook
from ip_remediator.snapshot.model_vpc import Peering, Route, Subnet, TransitGateway
from tests.support.properties import examples
from tests.unit.support.facts import Part, node, snapshot, subnet, zone
from tests.unit.support.moving import acl, allow, group, ordinary, ordinary_vpc, risks, rule, user

MANY = 60
LONG = "x" * 200
STRATEGIES = ("custom-networking", "custom-networking-extension", "subnet-discovery", "node-group")


def everything_wrong(many: int, **env: str) -> Snapshot:
    """`many` of everything that can be in the way, with names as long as AWS and Kubernetes allow."""
    narrow = [allow(100, "10.0.0.0/16"), allow(100, "10.0.0.0/16", egress=True)]
    hosts = [with_group(n) for n in range(many)]
    dark = TransitGateway(id="tgw-dark", attachment="a")
    databases = [
        Subnet(id=f"subnet-{n}", zone="z", cidr=f"10.9.{n % 250}.0/24", network_acl=f"acl-{n}") for n in range(many)
    ]
    return snapshot(
        Part(nodes=tuple(hosts), subnets=(subnet("a"), *databases)),
        cluster=Cluster(
            name="prod",
            karpenter=True,
            webhooks=tuple(Webhook(name=f"{LONG}.{n}", service="a/b") for n in range(many)),
            overlays=tuple(f"DaemonSet {LONG}/{n}" for n in range(many)),
        ),
        cni=Cni(
            version="v1.17.0",
            owner="gitops",
            owned_by=LONG,
            managers=(f"Terraform-{LONG}", *(f"{LONG}{n}" for n in range(many))),
            env={"ENABLE_PREFIX_DELEGATION": "true", "AWS_VPC_CNI_NODE_PORT_SUPPORT": "false", **env},
        ),
        eni_configs=tuple(
            EniConfig(
                name=name, subnet="subnet-gone", security_groups=("sg-gone", *(f"sg-{LONG}{n}",) * 9),
                managed_by="argocd-controller",
            )
            for n, name in enumerate(("ap-northeast-2a", *(f"{LONG}{n}" for n in range(many))))
        ),
        vpc=ordinary_vpc(
            routes=(
                *(Route(destination=f"10.8.{n}.0/24", target=f"tgw-{n}", route_table="rtb-a") for n in range(many)),
                *(
                    Route(destination=f"100.{64 + n}.0.0/16", target="pcx-1", route_table="rtb-a", state="blackhole")
                    for n in range(many)
                ),
            ),
            peerings=(Peering(id="pcx-2", status="active", cidrs=("100.127.0.0/16",), vpc_id="vpc-2"),),
            transit_gateways=(dark,),
            network_acls=(acl("acl-a", *narrow), *(acl(f"acl-{n}", *narrow) for n in range(many))),
            security_groups=(
                *(
                    group(f"sg-{n}", rule("10.0.0.0/16"), users=(user("RDS", f"{LONG}{n}"),), name=LONG)
                    for n in range(many)
                ),
                *(group(f"sg-node{n}", rule("10.0.0.0/16"), name=LONG) for n in range(many)),
                *(group(f"sg-peer{n}", rule("10.0.0.0/16"), vpc_id=f"vpc-{n}", name=LONG) for n in range(many)),
            ),
            clusters=("prod", *(f"{LONG}{n}" for n in range(many))),
            network_address_units=64_000,
        ),
        quotas=Quotas(cidrs_per_vpc=2),
        unread=tuple(f"{LONG}{n}" for n in range(many)),
    )  # fmt: skip


def elsewhere() -> Snapshot:
    """Nodes on an Outpost, a node subnet that is full, and a group that can launch nodes in another zone."""
    full = Part((node("a", outpost_arn="arn:aws:outposts:eu-west-1:1:outpost/op-1"),), (), (subnet("a", free=0),))
    other = Part(subnets=(subnet("c", free=3),))
    group = NodeGroup(name="workers", subnets=("subnet-a", "subnet-c"), instance_types=("hpc6id.32xlarge",))
    cluster = Cluster(name="prod", node_groups=(group,), subnets=("subnet-a", "subnet-c"))
    return snapshot(full, other, cluster=cluster, vpc=ordinary_vpc())


def with_group(number: int) -> Any:
    """max-pods is what even prefixes cannot serve; one of the nodes selects an ENIConfig of its own."""
    selected = f"{LONG}0" if number == 1 else "ap-northeast-2a"
    host = node("a", number, max_pods=500, eni_config=selected)
    eni = host.interfaces[0].model_copy(update={"security_groups": (f"sg-node{number}",)})
    return host.model_copy(update={"interfaces": (eni,)})


@cache
def every_risk(many: int = MANY) -> tuple[Risk, ...]:
    """Of each strategy, with and without translation at the nodes, and of a VPC that could not be read."""
    leaving, masked = {"AWS_VPC_K8S_CNI_EXTERNALSNAT": "true"}, {"AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS": "10.8.0.0/16"}
    worlds = [everything_wrong(many, **leaving), everything_wrong(many, **masked)]
    branches = everything_wrong(many, ENABLE_POD_ENI="true")
    worlds.append(elsewhere())
    worlds.append(branches.model_copy(update={"cni": branches.cni.model_copy(update={"owner": "addon"})}))
    worlds.append(ordinary(security_groups=None, network_acls=()))
    written = (("ap-northeast-2a",), (f"{LONG}-new",))
    of_pods = (
        risk
        for facts in worlds
        for strategy in STRATEGIES
        for names in written
        for risk in risks(facts, strategy=strategy, zones=("ap-northeast-2a",), eni_configs=names).values()
    )
    of_cluster = (
        risk
        for facts in worlds
        for risk in risks(facts, strategy="cluster-subnets", source="existing-cidr", block="10.0.96.0/28").values()
    )
    isolated = Part(subnets=(subnet("a", id="subnet-pods", cidr="100.64.8.0/24", route_table="rtb-pods"),))
    leaving_there = ordinary(zone("a", free=0, stuck=1), isolated)
    leaving_there = leaving_there.model_copy(update={"cni": leaving_there.cni.model_copy(update={"env": leaving})})
    there = risks(leaving_there, source="existing-subnets", block=None, existing=("100.64.8.0/24",))
    public = risks(ordinary(), block="8.8.0.0/16")
    return (*of_pods, *of_cluster, *there.values(), *public.values())


def test_given_everything_wrong_then_every_risk_of_the_catalogue_is_found_and_none_else() -> None:
    assert {risk.id for risk in every_risk()} == {item.id for item in CATALOGUE}


def test_every_risk_has_a_severity_of_the_catalogue_and_a_page() -> None:
    for risk in every_risk():
        documented = entry(risk.id)
        assert documented is not None
        assert risk.severity in documented.severities, risk.id
        assert risk.doc == documented.doc == f"docs/risks.md#{risk.id}"


def test_however_large_the_vpc_is_the_texts_stay_short() -> None:
    for risk in every_risk():
        for text in (risk.found, risk.breaks, risk.remedy):
            assert 0 < len(text) < 700, (risk.id, len(text), text)


def test_every_text_is_of_a_sentence_that_the_message_can_end() -> None:
    for risk in every_risk():
        for text in (risk.found, risk.breaks, risk.remedy):
            assert "\n" not in text, risk.id
            assert text == text.strip()
            assert not text.endswith("."), risk.id


def test_the_worst_risks_come_first() -> None:
    severities = [risk.severity for risk in risks(everything_wrong(3)).values()]
    assert severities == sorted(severities, reverse=True)
    assert severities[0] is Severity.HIGH


def test_the_catalogue_names_each_id_once_and_tags_can_hold_it() -> None:
    ids = [item.id for item in CATALOGUE]
    assert len(set(ids)) == len(ids)
    assert all(" " not in item and "," not in item and len(item) <= 60 for item in ids)
    assert entry("no-such-risk") is None


@pytest.mark.parametrize("facts", [everything_wrong(3), ordinary()], ids=["wrong", "ordinary"])
def test_given_a_plan_that_only_deletes_leaked_enis_then_it_risks_nothing(facts: Snapshot) -> None:
    assert risks(facts, strategy="delete-leaked-enis", source="none", block=None) == {}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_given_an_ordinary_vpc_then_no_strategy_raises_an_alarm(strategy: str) -> None:
    assert {risk.severity for risk in risks(ordinary(zone("a"), zone("b")), strategy=strategy).values()} <= {
        Severity.LOW
    }


@examples(0.5)
@given(seed=st.integers(0, 10_000), strategy=st.sampled_from(STRATEGIES))
def test_given_the_same_facts_in_any_order_then_the_same_risks_come_in_the_same_order(seed: int, strategy: str) -> None:
    facts = everything_wrong(5)
    again = mixed(facts, random.Random(seed))
    assert list(risks(again, strategy=strategy).values()) == list(risks(facts, strategy=strategy).values())


def mixed(facts: Snapshot, order: random.Random) -> Snapshot:
    assert facts.vpc is not None

    def shuffle(values: tuple[Any, ...] | None) -> tuple[Any, ...]:
        return tuple(order.sample(list(values or ()), len(values or ())))

    vpc = {
        name: shuffle(getattr(facts.vpc, name)) for name in ("routes", "network_acls", "security_groups", "clusters")
    }
    top = {name: shuffle(getattr(facts, name)) for name in ("nodes", "subnets", "eni_configs", "unread")}
    cluster = {name: shuffle(getattr(facts.cluster, name)) for name in ("webhooks", "overlays")}
    return facts.model_copy(
        update={
            **top,
            "vpc": facts.vpc.model_copy(update=vpc),
            "cluster": facts.cluster.model_copy(update=cluster),
        }
    )


# Words that meet each other in more than one place, and some that are not what the field wants.
WORDS = (
    "10.0.0.0/16", "10.0.0.0/24", "10.0.0.0/25", "100.64.0.0/10", "100.64.0.0/22", "100.64.0.0/23", "0.0.0.0/0", "::/0",
    "prod", "stage", "subnet-a", "subnet-b", "sg-1", "sg-2", "acl-1", "acl-2", "rtb-1", "tgw-1", "nat-1", "vpc-1",
    "-1", "6", "17", "tcp", "udp", "icmp", "true", "false", "v1.19.0", "default", "Terraform", "RDS db", "instance i-1",
    "AWS_VPC_K8S_CNI_EXTERNALSNAT", "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS", "10.8.0.0/16,junk", "junk",
)  # fmt: skip


def anything(annotation: Any, chance: random.Random) -> Any:
    """A value that pydantic accepts. By chance and not drawn piece by piece: a snapshot has hundreds of pieces."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return chance.choice(arguments)
    if origin is tuple:
        return tuple(anything(arguments[0], chance) for _ in range(chance.randint(0, 3)))
    if origin is dict:
        return {anything(arguments[0], chance): anything(arguments[1], chance) for _ in range(chance.randint(0, 3))}
    if origin in (Union, UnionType):
        present = [argument for argument in arguments if argument is not type(None)]
        return anything(present[0], chance) if chance.random() < 0.8 else None
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        types = get_type_hints(annotation)
        return annotation(**{name: anything(types[name], chance) for name in annotation.model_fields})
    if annotation is datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)
    choices: dict[Any, tuple[Any, ...]] = {
        str: WORDS,
        int: (0, 1, 2, 53, 443, 5432, 65535, 70_000),
        bool: (True, False),
    }
    return chance.choice(choices[str if annotation is Any else annotation])


@examples(3)
@given(
    seed=st.integers(0, 2**32),
    strategy=st.sampled_from([*STRATEGIES, "delete-leaked-enis"]),
    source=st.sampled_from(["none", "existing-subnets", "existing-cidr", "new-cidr", "ipam-pool"]),
    block=st.sampled_from([None, "100.64.0.0/22", "10.1.0.0/24"]),
    existing=st.sampled_from([(), ("10.0.0.0/24",)]),
)
def test_whatever_a_snapshot_holds_its_risks_are_of_the_catalogue_and_short(
    seed: int, strategy: str, source: str, block: str | None, existing: tuple[str, ...]
) -> None:
    facts = anything(Snapshot, random.Random(seed))
    for risk in risks(facts, strategy=strategy, source=source, block=block, existing=existing).values():
        documented = entry(risk.id)
        assert documented is not None
        assert risk.severity in documented.severities
        assert all(0 < len(text) < 700 for text in (risk.found, risk.breaks, risk.remedy))
