"""What the operator sets and asks for."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Network

from ip_remediator.common import cidr as cidrs
from ip_remediator.planning.model import RequestedStrategy


@dataclass(frozen=True)
class PlanningOptions:
    """What bounds a plan.

    `pools`: where new CIDRs are taken from, or instead `ipam_pool`, the id of a VPC IPAM pool. `excluded`: ranges
    kept for others (Tailscale, on-premises). `zones` and `block`: those to use, instead of those that the planner
    finds. `block_prefix` and `subnet_prefix`: sizes that somebody chose, as prefix lengths; None: what lasts, or
    thrift where addresses are shared (see `block_sizes`). `as_needed`: thrift everywhere. `may_reclaim_warm`: the
    strategy auto may lower warm targets. `insists`: somebody asked for this strategy in this run, so deleting leaked
    ENIs is no answer. `cluster_subnets_of`: pattern of the clusters whose own subnets may be replaced.
    """

    pools: tuple[IPv4Network, ...] = (cidrs.CGNAT,)
    excluded: tuple[IPv4Network, ...] = ()
    strategy: RequestedStrategy = "custom-networking"
    ipam_pool: str | None = None
    block_prefix: int | None = None
    subnet_prefix: int | None = None
    as_needed: bool = False
    may_reclaim_warm: bool = False
    zones: tuple[str, ...] = ()
    block: IPv4Network | None = None
    insists: bool = False
    cluster_subnets_of: str = "none"

    def may_replace_subnets_of(self, cluster: str) -> bool:
        """Whether `ClusterSubnetsOf` names the cluster, by name or pattern."""
        return self.cluster_subnets_of != "none" and fnmatchcase(cluster, self.cluster_subnets_of)

    @property
    def auto(self) -> bool:
        """The planner may choose: nothing else was asked for."""
        return self.strategy == "auto" and not self.asked

    @property
    def asked(self) -> str:
        """What a person asked for that only new space can give, in words; empty if nothing."""
        if self.block:
            return f"this run asks for the block {self.block}"
        return f"this run asks for the strategy {self.strategy}" if self.insists and self.strategy != "auto" else ""
