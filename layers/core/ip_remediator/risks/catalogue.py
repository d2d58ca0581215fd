"""Every risk that the preflight knows, by its id: what docs/risks.md explains, and what a cluster's tag may accept."""

from __future__ import annotations

from dataclasses import dataclass

from ip_remediator.risks.model import DOCS, Risk, Severity

LOW, MEDIUM, HIGH = Severity.LOW, Severity.MEDIUM, Severity.HIGH


@dataclass(frozen=True)
class RiskEntry:
    """`severities`: those that it can have, by what was found. `unread`: it is about a fact that could not be read."""

    id: str
    title: str
    severities: tuple[Severity, ...]
    unread: bool = False

    @property
    def doc(self) -> str:
        """Where the documentation explains the risk."""
        return f"{DOCS}#{self.id}"


CATALOGUE = (
    RiskEntry("security-groups-old-ranges", "security groups allow only the present ranges", (LOW, MEDIUM, HIGH)),
    RiskEntry("security-groups-of-nodes", "the nodes' own groups allow only the present ranges", (MEDIUM,)),
    RiskEntry("security-groups-of-other-vpcs", "groups across peerings allow only the present ranges", (MEDIUM, HIGH)),
    RiskEntry("security-groups-unread", "security groups were not read", (LOW, MEDIUM), unread=True),
    RiskEntry("network-acl-of-new-subnets", "the network ACL of new subnets stops their pods", (HIGH,)),
    RiskEntry("network-acls-old-ranges", "network ACLs pass only the present ranges", (HIGH,)),
    RiskEntry("network-acls-unread", "network ACLs were not read", (LOW,), unread=True),
    RiskEntry("external-snat", "pods leave the VPC with their own addresses", (LOW, HIGH)),
    RiskEntry("security-group-pods-leave", "pods with security groups leave with their own addresses", (HIGH,)),
    RiskEntry("routes-missing", "a present subnet lacks the nodes' routes", (HIGH,)),
    RiskEntry("snat-exclusions", "some networks see the pods' own addresses", (HIGH,)),
    RiskEntry("node-addresses-leave", "nodes of the new range leave the VPC with its addresses", (MEDIUM, HIGH)),
    RiskEntry("unallocated-space", "the plan takes space of the VPC's own CIDRs", (MEDIUM,)),
    RiskEntry("control-plane-moves", "EKS moves its network interfaces", (LOW, MEDIUM)),
    RiskEntry("return-routes", "other networks know no way to the new range", (LOW,)),
    RiskEntry("blackhole-routes", "the route table has dead routes", (LOW,)),
    RiskEntry("cgnat-on-paths", "100.64.0.0/10 is used on the paths", (LOW, HIGH)),
    RiskEntry("transit-gateway-unread", "the routes of a transit gateway are unknown", (MEDIUM,), unread=True),
    RiskEntry("overlay-on-cgnat", "workloads use 100.64.0.0/10 themselves", (HIGH,)),
    RiskEntry("public-range", "the new range is one of the Internet", (HIGH,)),
    RiskEntry("control-plane-delay", "the control plane learns of a new CIDR late", (LOW, MEDIUM)),
    RiskEntry("zones-without-eniconfig", "nodes can appear in zones without ENIConfig", (HIGH,)),
    RiskEntry("outpost-nodes", "nodes on an Outpost are not served", (LOW, HIGH)),
    RiskEntry("branch-enis-not-discovered", "pods with security groups stay stuck", (MEDIUM,)),
    RiskEntry("prefix-mode-existing-nodes", "prefix delegation on existing nodes", (LOW,)),
    RiskEntry("no-eni-for-pods", "nodes keep no ENI for pods, or next to none", (HIGH,)),
    RiskEntry("max-pods-on-new-nodes", "new nodes hold fewer pods", (LOW, MEDIUM)),
    RiskEntry("node-port-support-off", "node ports are turned off in the CNI", (MEDIUM,)),
    RiskEntry("subnet-discovery-not-in-force", "the CNI does not look for tagged subnets", (MEDIUM, HIGH)),
    RiskEntry("discovery-reaches-other-clusters", "the tag reaches other clusters", (LOW, MEDIUM)),
    RiskEntry("cni-owned-by-others", "another tool keeps aws-node", (LOW,)),
    RiskEntry("cni-written-by-others", "another tool writes aws-node too", (LOW, MEDIUM)),
    RiskEntry("eniconfigs-owned-by-others", "another tool keeps the ENIConfigs", (LOW,)),
    RiskEntry("eniconfigs-refer-elsewhere", "ENIConfigs name what the VPC does not have", (LOW, HIGH)),
    RiskEntry("eniconfigs-without-groups", "new ENIConfigs name no security groups", (MEDIUM,)),
    RiskEntry("other-clusters-in-vpc", "another cluster lives in the VPC", (LOW,)),
    RiskEntry("node-subnets-full", "no node can be launched", (LOW,)),
    RiskEntry("cluster-subnets-low", "cluster updates or load balancers are refused", (LOW,)),
    RiskEntry("near-quotas", "quotas are nearly reached", (LOW,)),
    RiskEntry("facts-unread", "facts could not be read", (LOW,), unread=True),
)
_BY_ID = {entry.id: entry for entry in CATALOGUE}


def entry(risk_id: str) -> RiskEntry | None:
    """None for what is no risk's id."""
    return _BY_ID.get(risk_id)


def is_lasting(risk: Risk) -> bool:
    """Whether people must be asked again if it appears or disappears; not if it is only about an unread fact."""
    listed = entry(risk.id)
    return risk.severity > LOW and not (listed and listed.unread)
