"""Every risk that the preflight knows, by its id: what docs/risks.md explains, and what a cluster's tag may accept."""

from __future__ import annotations

from dataclasses import dataclass

from ip_remediator.risks.model import DOCS, Risk, Severity

LOW, MEDIUM, HIGH = Severity.LOW, Severity.MEDIUM, Severity.HIGH


@dataclass(frozen=True)
class Entry:
    """`severities`: those that it can have, by what was found. `unread`: it is about a fact that could not be read."""

    id: str
    title: str
    severities: tuple[Severity, ...]
    unread: bool = False

    @property
    def doc(self) -> str:
        return f"{DOCS}#{self.id}"


CATALOGUE = (
    Entry("security-groups-old-ranges", "security groups admit only the present ranges", (LOW, MEDIUM, HIGH)),
    Entry("security-groups-of-nodes", "the nodes' own groups admit only the present ranges", (MEDIUM,)),
    Entry("security-groups-of-other-vpcs", "groups across peerings admit only the present ranges", (MEDIUM, HIGH)),
    Entry("security-groups-unread", "security groups were not read", (LOW, MEDIUM), unread=True),
    Entry("network-acl-of-new-subnets", "the network ACL of new subnets stops their pods", (HIGH,)),
    Entry("network-acls-old-ranges", "network ACLs pass only the present ranges", (HIGH,)),
    Entry("network-acls-unread", "network ACLs were not read", (LOW,), unread=True),
    Entry("external-snat", "pods leave the VPC with their own addresses", (LOW, HIGH)),
    Entry("security-group-pods-leave", "pods with security groups leave with their own addresses", (HIGH,)),
    Entry("snat-exclusions", "some networks see the pods' own addresses", (HIGH,)),
    Entry("node-addresses-leave", "nodes of the new range leave the VPC with its addresses", (MEDIUM, HIGH)),
    Entry("unallocated-space", "the plan takes space of the VPC's own CIDRs", (MEDIUM,)),
    Entry("control-plane-moves", "EKS moves its network interfaces", (LOW, MEDIUM)),
    Entry("return-routes", "other networks know no way to the new range", (LOW,)),
    Entry("blackhole-routes", "the route table has dead routes", (LOW,)),
    Entry("cgnat-on-paths", "100.64.0.0/10 is used on the paths", (LOW, HIGH)),
    Entry("transit-gateway-unread", "the routes of a transit gateway are unknown", (MEDIUM,), unread=True),
    Entry("overlay-on-cgnat", "workloads use 100.64.0.0/10 themselves", (HIGH,)),
    Entry("control-plane-delay", "the control plane learns of a new CIDR late", (LOW, MEDIUM)),
    Entry("zones-without-eniconfig", "nodes can appear in zones without ENIConfig", (HIGH,)),
    Entry("outpost-nodes", "nodes on an Outpost are not served", (LOW, HIGH)),
    Entry("branch-enis-not-discovered", "pods with security groups stay stuck", (MEDIUM,)),
    Entry("prefix-mode-existing-nodes", "prefix delegation on existing nodes", (HIGH,)),
    Entry("no-eni-for-pods", "nodes keep no ENI for pods, or next to none", (HIGH,)),
    Entry("max-pods-on-new-nodes", "new nodes hold fewer pods", (LOW, MEDIUM)),
    Entry("node-port-support-off", "node ports are turned off in the CNI", (MEDIUM,)),
    Entry("subnet-discovery-not-in-force", "the CNI does not look for tagged subnets", (MEDIUM, HIGH)),
    Entry("discovery-reaches-other-clusters", "the tag reaches other clusters", (LOW, MEDIUM)),
    Entry("cni-owned-by-others", "another tool keeps aws-node", (LOW,)),
    Entry("cni-written-by-others", "another tool writes aws-node too", (LOW, MEDIUM)),
    Entry("eniconfigs-owned-by-others", "another tool keeps the ENIConfigs", (LOW,)),
    Entry("eniconfigs-refer-elsewhere", "ENIConfigs name what the VPC does not have", (LOW, HIGH)),
    Entry("other-clusters-in-vpc", "another cluster lives in the VPC", (LOW,)),
    Entry("node-subnets-full", "no node can be launched", (LOW,)),
    Entry("cluster-subnets-low", "cluster updates or load balancers are refused", (LOW,)),
    Entry("near-quotas", "quotas are nearly reached", (LOW,)),
    Entry("facts-unread", "facts could not be read", (LOW,), unread=True),
)
_BY_ID = {entry.id: entry for entry in CATALOGUE}


def entry(risk_id: str) -> Entry | None:
    """None for what is no risk's id."""
    return _BY_ID.get(risk_id)


def is_lasting(risk: Risk) -> bool:
    """Whether people must be asked again if it appears or disappears; not if it is only about an unread fact."""
    listed = entry(risk.id)
    return risk.severity > LOW and not (listed and listed.unread)
