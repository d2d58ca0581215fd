"""The move of pods to new addresses that a plan makes, as input of every check of the preflight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network

from ip_remediator.common.cidr import network, networks
from ip_remediator.common.text import counted
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import EXTERNAL_SNAT, Node
from ip_remediator.snapshot.model_vpc import Subnet

CUSTOM_NETWORKING = "custom-networking"
EXTENSION = "custom-networking-extension"
# Strategies by which nodes select an ENIConfig.
WITH_ENI_CONFIGS = (CUSTOM_NETWORKING, EXTENSION)
SUBNET_DISCOVERY = "subnet-discovery"
NODE_GROUP = "node-group"
CLUSTER_SUBNETS = "cluster-subnets"
RECLAIM_WARM = "reclaim-warm"

ENFORCING_MODE = "POD_SECURITY_GROUP_ENFORCING_MODE"
EXCLUDE_SNAT = "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS"
_NEW_CIDR = ("new-cidr", "ipam-pool")


@dataclass(frozen=True)
class Migration:
    """Pods get addresses of `ranges`: the block, and existing subnets that the plan uses. Empty if nothing moves.

    `zones` are those that the plan serves, `eni_configs` those that it writes.
    """

    snapshot: Snapshot
    strategy: str
    source: str
    ranges: tuple[IPv4Network, ...]
    zones: tuple[str, ...] = ()
    eni_configs: frozenset[str] = frozenset()

    @property
    def words(self) -> str:
        """The new ranges, for people."""
        return shown([str(range_) for range_ in self.ranges])

    @property
    def new_cidr(self) -> bool:
        """Whether the plan adds a CIDR to the VPC."""
        return self.source in _NEW_CIDR

    @property
    def first_time(self) -> bool:
        """Custom networking is turned on by this plan."""
        return self.strategy == CUSTOM_NETWORKING

    @cached_property
    def nodes(self) -> list[Node]:
        """The nodes that run the VPC CNI."""
        return [node for node in self.snapshot.nodes if node.runs_vpc_cni]

    @cached_property
    def node_subnets(self) -> tuple[str, ...]:
        """Ids of the subnets that nodes have their primary ENIs in: those whose NACL new subnets are given."""
        return tuple(sorted({node.primary_subnet for node in self.nodes if node.primary_subnet}))

    @cached_property
    def way_out(self) -> tuple[str, ...]:
        """Ids of the subnets whose route table and network ACL pods' traffic gets: of the ENIConfigs that are pointed
        elsewhere, for new subnets are like the present ones, else of the nodes; and present subnets that are used."""
        subnet_ids = {subnet.id for subnet in self.snapshot.subnets}
        configs = self.snapshot.eni_configs if self.strategy == EXTENSION else ()
        pointed = {config.subnet for config in configs if config.name in self.eni_configs and config.subnet}
        used = {subnet.id for subnet in self.used}
        return tuple(sorted((pointed & subnet_ids or set(self.node_subnets)) | used))

    @cached_property
    def used(self) -> tuple[Subnet, ...]:
        """The present subnets that the plan uses as they are."""
        return tuple(subnet for subnet in self.snapshot.subnets if network(subnet.cidr) in self.ranges)

    @cached_property
    def present(self) -> tuple[IPv4Network, ...]:
        """The subnets that pods have addresses of now: where custom networking is on, not those of primary ENIs.

        Where no ENI is known, the subnets that ENIConfigs name, then all known subnets, then the VPC's CIDRs.
        """
        for cidrs in (
            self._cidrs_of_enis(),
            self._cidrs_of_eni_configs(),
            (subnet.cidr for subnet in self.snapshot.subnets),
            (cidr.cidr for cidr in (self.snapshot.vpc.cidrs if self.snapshot.vpc else ())),
        ):
            ranges = networks(dict.fromkeys(cidr for cidr in cidrs if cidr))
            if ranges:
                return tuple(sorted(set(ranges)))
        return ()

    def _cidrs_of_enis(self) -> Iterator[str | None]:
        custom = self.snapshot.cni.custom_networking
        for eni in [eni for node in self.nodes for eni in node.interfaces]:
            if not (custom and eni.primary):
                yield self._cidr_by_subnet.get(eni.subnet_id)

    def _cidrs_of_eni_configs(self) -> Iterator[str | None]:
        """None are in force while custom networking is off."""
        for config in self.snapshot.eni_configs if self.snapshot.cni.custom_networking else ():
            yield self._cidr_by_subnet.get(config.subnet or "")

    @cached_property
    def _cidr_by_subnet(self) -> dict[str, str]:
        return {subnet.id: subnet.cidr for subnet in self.snapshot.subnets}

    @cached_property
    def known_range(self) -> bool:
        """The new addresses are of a CIDR of the VPC in which pods live already: routes and peers know it."""
        vpc = self.snapshot.vpc
        homes = (
            [cidr for cidr in networks(cidr.cidr for cidr in vpc.cidrs) if _holds_any(cidr, self.present)]
            if vpc
            else []
        )
        return bool(self.ranges) and all(_inside_any(range_, homes) for range_ in self.ranges)

    @property
    def external_snat(self) -> bool:
        """Whether pods leave the VPC with their own address (`AWS_VPC_K8S_CNI_EXTERNALSNAT`)."""
        return self.snapshot.cni.flag(EXTERNAL_SNAT)

    @property
    def pod_enis(self) -> bool:
        """Pods may have branch ENIs with security groups of their own."""
        return self.snapshot.cni.pod_eni

    @property
    def strict_security_groups(self) -> bool:
        """Source NAT is off for pods with security groups. What is not "standard" counts as strict, the default."""
        mode = self.snapshot.cni.env.get(ENFORCING_MODE, "strict").strip().lower()
        return self.pod_enis and mode != "standard"

    @cached_property
    def unmasked(self) -> tuple[IPv4Network, ...]:
        """Ranges outside the VPC that see pods' own addresses though the CNI translates elsewhere."""
        listed = self.snapshot.cni.env.get(EXCLUDE_SNAT, "")
        return () if self.external_snat else tuple(networks(part for part in listed.split(",") if part.strip()))


def _holds_any(cidr: IPv4Network, inner: Iterable[IPv4Network]) -> bool:
    return any(network_.subnet_of(cidr) for network_ in inner)


def _inside_any(cidr: IPv4Network, outer: Iterable[IPv4Network]) -> bool:
    return any(cidr.subnet_of(network_) for network_ in outer)


def shown(items: Iterable[str], most: int = 3, *, longest: int = 120) -> str:
    """The first `most`, each cut at `longest` characters, and how many more there are: bounded, however many."""
    texts = list(items)
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return ", ".join(clip(text, longest) for text in texts[:most]) + more


def likewise(others: int) -> str:
    """What follows a command that is one of several: "; likewise for 2 others"."""
    return f"; likewise for {counted(others, 'other')}" if others else ""


def clip(text: str, longest: int = 120) -> str:
    """The text with at most `longest` characters; an ellipsis ends a cut one."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
