"""The documents of planning: what a plan needs, and the plan itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network
from typing import Any, Literal, get_args

from pydantic import Field

from ip_remediator.common.document import Document
from ip_remediator.risks.catalogue import is_lasting
from ip_remediator.risks.model import Risk
from ip_remediator.snapshot.leaked_interface import LeakedInterface

Strategy = Literal[
    "custom-networking",
    "custom-networking-extension",
    "subnet-discovery",
    "node-group",
    "delete-leaked-enis",
    "reclaim-warm",
    "cluster-subnets",
]
# What can be asked for. "custom-networking" stands for its extension as well, where it is on already.
RequestedStrategy = Literal["custom-networking", "subnet-discovery", "node-group", "reclaim-warm", "auto"]
REQUESTED_STRATEGIES: tuple[str, ...] = get_args(RequestedStrategy)
Source = Literal["none", "existing-subnets", "existing-cidr", "new-cidr", "ipam-pool"]


class Option(Document):
    """One way to get addresses: whether the plan takes it, and why. Or advice, which is never carried out: then
    `advice` says whether it would help this cluster."""

    option: str
    taken: bool
    reason: str
    advice: bool | None = None

    @property
    def standing(self) -> str:
        """In a word, for people."""
        return "taken" if self.taken else "advice" if self.advice else "passed over"


class Recipient(Document):
    """Who gets new subnets that are not for pods alone: an Auto Scaling group, an EC2NodeClass of Karpenter by the tags
    that it selects, or the cluster.

    `zones`: the zones whose subnet it gets. `present`: the ids that it has now. New subnets take the place of
    `replaced`, which are among them.
    """

    kind: Literal["auto-scaling-group", "node-class", "cluster"]
    name: str
    zones: tuple[str, ...]
    present: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()

    def wanted(self, present: Iterable[str], made: Mapping[str, str]) -> tuple[str, ...]:
        """The ids that it should have, from its present ids and the new subnets by zone."""
        kept = (id_ for id_ in present if id_ not in self.replaced)
        return tuple(dict.fromkeys((*kept, *(made[zone] for zone in self.zones))))


class BlockRequirement(Document):
    """What a plan is made with, and the block it needs: `prefix` long, inside the first of `pools` that has room,
    overlapping none of `excluded`.

    `source` tells where the addresses come from: leaked ENIs ("none"), `existing` subnets, CG-NAT CIDRs that the VPC
    already has (`pools`), a pool for a new CIDR (`pools`), or the VPC IPAM pool `ipam_pool`. `zones` are all that are
    served; those in `existing` (zone to subnet) take nothing of the block. `eni_configs`: by zone, those that are
    pointed at its subnet. `smaller` are the sizes, (block, subnet), that do where no pool has a block of `prefix`, the
    largest first. `pieces` (zone to CIDR) stand for the block where each zone gets a range of its own. `warm_targets`
    are variables of aws-node under which nodes give back what `frees` tells by subnet, for `heals_now` of the pods.

    Subnets that are not for pods alone go to `recipients`: they are made `like` a present one (zone to id), with `tags`
    by zone; `by_hand` is what people run, `expected` what comes of it, in words.
    """

    strategy: Strategy
    strategy_reason: str = ""
    source: Source
    pools: tuple[str, ...] = ()
    prefix: int = 0
    subnet_prefix: int = 0
    zones: tuple[str, ...]
    existing: dict[str, str] = Field(default_factory=dict)
    eni_configs: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    smaller: tuple[tuple[int, int], ...] = ()
    pieces: dict[str, str] = Field(default_factory=dict)
    leaked: tuple[LeakedInterface, ...] = ()
    warm_targets: dict[str, str] = Field(default_factory=dict)
    frees: dict[str, int] = Field(default_factory=dict)
    heals_now: int = 0
    ipam_pool: str | None = None
    excluded: dict[str, str] = Field(default_factory=dict)
    options: tuple[Option, ...] = ()
    recipients: tuple[Recipient, ...] = ()
    like: dict[str, str] = Field(default_factory=dict)
    tags: dict[str, dict[str, str]] = Field(default_factory=dict)
    by_hand: tuple[str, ...] = ()
    expected: str = ""

    @property
    def needs_block(self) -> bool:
        """Whether a block must be reserved; existing subnets and warm addresses need none."""
        return self.source not in ("none", "existing-subnets") and not self.pieces

    @property
    def for_pods(self) -> bool:
        """Whether the subnets are for pods, and not for nodes or the cluster."""
        return self.strategy not in ("node-group", "cluster-subnets")

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(block, subnet) prefix lengths that serve, the largest first."""
        return ((self.prefix, self.subnet_prefix), *self.smaller)

    def subnet_prefix_in(self, block: IPv4Network) -> int:
        """The prefix length of a subnet in that block: a smaller block has smaller subnets."""
        return next((subnet for size, subnet in self.sizes if size == block.prefixlen), self.subnet_prefix)

    @property
    def new_zones(self) -> tuple[str, ...]:
        """The zones for which a subnet is made."""
        return () if self.source == "none" else tuple(zone for zone in self.zones if zone not in self.existing)


class PlannedSubnet(Document):
    """A zone's subnet: one to create, with the route table and network ACL of the zone's node subnet, or (with `id`) an
    existing one, of which only `tags` are changed."""

    zone: str
    cidr: str
    id: str | None = None
    tags: dict[str, str] = Field(
        default_factory=dict, description="by which the CNI discovers it, or what launches nodes selects it"
    )
    route_table: str | None
    network_acl: str | None
    reserve_prefixes: bool
    eni_configs: tuple[str, ...]
    public_addresses: bool = Field(default=False, description="instances launched in it get public addresses")


class Change(Document):
    """One write of the plan, in order; `manifest` is what is sent to Kubernetes or the add-on.

    `by_hand`: people make it (see `Plan.handover`), because the object belongs to GitOps, Helm or the like.
    """

    action: Literal[
        "delete_leaked_eni",
        "associate_cidr",
        "create_subnet",
        "tag_subnet",
        "create_crd",
        "apply_eniconfig",
        "configure_cni",
        "extend_auto_scaling_group",
        "update_cluster_subnets",
    ]
    target: str
    description: str
    manifest: dict[str, Any] | None = None
    by_hand: bool = False
    replaces: str | None = Field(default=None, description="the subnet at which an ENIConfig that is there points")


class Plan(Document):
    """What will be done, and why so. An approval is bound to `hash` (see `digest`).

    `block` is None when nothing new is taken (sources "none" and "existing-subnets"), or when each zone gets a range
    of its own: `blocks` has all that is taken. `sizing` tells how long it lasts. `heals_now` counts the stuck pods
    that the plan relieves without a node being replaced; `replace_nodes` names the nodes of the others, the first 500
    of them.
    `handover`: what people run after the plan was carried out, with `subnet_placeholder` for ids not known before.
    `unknown`: what the facts do not say.
    """

    curable: bool = True
    verdict: str = ""
    strategy: Strategy
    strategy_reason: str = ""
    vpc_id: str
    block: str | None
    blocks: tuple[str, ...] = ()
    source: Source
    ipam_pool: str | None = None
    leaked_interfaces: tuple[LeakedInterface, ...] = ()
    subnets: tuple[PlannedSubnet, ...]
    recipients: tuple[Recipient, ...] = ()
    changes: tuple[Change, ...]
    options: tuple[Option, ...]
    risks: tuple[Risk, ...]
    expectation: str
    sizing: str = ""
    frees: dict[str, int] = Field(default_factory=dict, description="addresses that nodes give back, by subnet")
    heals_now: int = 0
    replace_nodes: tuple[str, ...] = ()
    nodes_next: tuple[str, ...] = Field(
        default=(),
        description="zones in which nodes are missing, too: the run for them starts once pods have addresses",
    )
    handover: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    hash: str = ""

    @property
    def space(self) -> str:
        """Where the addresses come from, in words: the block, or the existing subnets."""
        return self.block or ", ".join(subnet.cidr for subnet in self.subnets) or "the present subnets"

    @property
    def first_time(self) -> bool:
        """Whether the plan turns custom networking on."""
        return self.strategy == "custom-networking"

    @property
    def adds_addresses(self) -> bool:
        """Whether pods must get addresses of the plan's subnets; otherwise any address will do."""
        return self.strategy not in ("delete-leaked-enis", "reclaim-warm")

    @property
    def settings(self) -> dict[str, str]:
        """The variables of aws-node that we set."""
        ours = (change for change in self.changes if change.action == "configure_cni" and not change.by_hand)
        return {name: value for change in ours for name, value in (change.manifest or {}).get("env", {}).items()}

    def groups_of_eni_config(self, name: str) -> tuple[str, ...]:
        """The security groups with which the plan makes the ENIConfig; none: those of the node's primary ENI."""
        ours = (change for change in self.changes if (change.action, change.target) == ("apply_eniconfig", name))
        return tuple(group for change in ours for group in (change.manifest or {})["spec"].get("securityGroups", ()))

    def replaced_by_eni_config(self, name: str) -> str | None:
        """The subnet at which the ENIConfig pointed when the plan was made; None: at none, or it was not there."""
        ours = (change for change in self.changes if (change.action, change.target) == ("apply_eniconfig", name))
        return next((change.replaces for change in ours), None)

    @property
    def makes_crd(self) -> bool:
        """Whether we create the CRD of ENIConfigs, which the cluster lacked when the plan was made."""
        return any(change.action == "create_crd" and not change.by_hand for change in self.changes)

    @property
    def prepares_only(self) -> bool:
        """Whether the plan only prepares the VPC; people do the rest, as `handover` says."""
        return bool(self.handover) and not self.recipients

    @property
    def for_nodes(self) -> bool:
        """Whether the subnets are for nodes, so that instances live in them."""
        return any(recipient.kind != "cluster" for recipient in self.recipients)

    @property
    def for_cluster(self) -> bool:
        """Whether the subnets are for the cluster, so that EKS has its network interfaces in them."""
        return any(recipient.kind == "cluster" for recipient in self.recipients)


def digest(document: Plan) -> str:
    """SHA-256 over what will be done and what it risks: an approval of the plan holds as long as this is the same.

    Left out is what varies with the hour: how many pods wait, and risks that are low or tell of a fact that was not
    read, which come and go with a throttled call. A field that a later release added counts only where it is set:
    a question that an earlier release asked keeps its hash.
    """
    done = document.model_dump(
        mode="json", include={"strategy", "vpc_id", "block", "source", "ipam_pool", "subnets", "changes"}
    )
    for subnet in done["subnets"]:
        if not subnet["public_addresses"]:
            del subnet["public_addresses"]
    for change in done["changes"]:
        if change["replaces"] is None:
            del change["replaces"]
    content = {
        **done,
        "risks": sorted(f"{risk.id} {risk.severity.name}" for risk in document.risks if is_lasting(risk)),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def subnet_placeholder(zone: str) -> str:
    """Stands in `Plan.handover` for the id of a subnet that is not made yet."""
    return f"<subnet of {zone}>"


def handover_of(plan: Plan, made: dict[str, str]) -> tuple[str, ...]:
    """`plan.handover` with the ids of the subnets that were made, by zone."""
    instructions = plan.handover
    for zone, subnet_id in made.items():
        instructions = tuple(text.replace(subnet_placeholder(zone), subnet_id) for text in instructions)
    return instructions
