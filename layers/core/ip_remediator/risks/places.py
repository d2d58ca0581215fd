"""Places that the plan does not serve: zones in which nodes can appear, Outposts, full node subnets, branch ENIs."""

from __future__ import annotations

from collections.abc import Mapping

from ip_remediator.common.text import counted
from ip_remediator.diagnosis.launch_room import launchable_again, unlaunchable
from ip_remediator.diagnosis.node_subnets import low_cluster_subnets, low_load_balancer_subnets, update_cluster_subnets
from ip_remediator.risks.migration import NODE_GROUP, SUBNET_DISCOVERY, Migration, shown
from ip_remediator.risks.model import Risk, Severity
from ip_remediator.snapshot.node_places import (
    node_sources,
    outpost_of_node,
    unread_sources,
    zones_of_new_nodes,
    zones_without_nodes,
)


def zones_without_eni_config(migration: Migration) -> Risk | None:
    """ipamd on a node whose zone has no ENIConfig ends with "Failed to attach any ENIs for custom networking", and the
    node stays NotReady (amazon-vpc-cni-k8s v1.23.1, pkg/ipamd, handlePreScaling)."""
    if not migration.first_time or not migration.zones:
        return None
    unserved = _unserved(migration)
    unread = unread_sources(migration.snapshot)
    possible = _other_zones(migration, unserved) if unread else []
    elsewhere = [] if possible else _subnets_elsewhere(migration)
    reasons = [f"{names} can launch nodes in {zone}" for zone, names in unserved.items()]
    if possible:
        reasons.append(f"not read: {shown(unread)}, and the VPC has subnets in {shown(possible)}")
    if elsewhere:
        reasons.append(f"the zone of {shown(elsewhere)}, in which nodes are launched, was not read")
    if not reasons:
        return None
    zones = shown([*unserved, *possible]) or "a zone without one"
    return Risk(
        id="zones-without-eniconfig",
        severity=Severity.HIGH,
        found=f"{'; '.join(reasons)}: the plan has no ENIConfig for {zones}",
        breaks=f"every node that is launched in {zones} stays NotReady, for custom networking finds no ENIConfig there",
        remedy=f"keep nodes out of {zones}, or give each of these zones a subnet and an ENIConfig of its name before a "
        "node appears there (`kubectl get eniconfigs` lists those that there are)",
    )


def _unserved(migration: Migration) -> dict[str, str]:
    """Zones without an ENIConfig of the plan in which nodes can be launched, and by what."""
    return {
        zone: ", ".join(source.name for source in sources)
        for zone, sources in zones_of_new_nodes(migration.snapshot).items()
        if zone not in migration.zones
    }


def _subnets_elsewhere(migration: Migration) -> list[str]:
    """Subnets in which nodes are launched, of which not even the zone is known."""
    snapshot = migration.snapshot
    return sorted({id_ for source in node_sources(snapshot) for id_ in source.subnets if snapshot.subnet(id_) is None})


def _other_zones(migration: Migration, unserved: Mapping[str, object]) -> list[str]:
    """Zones of the VPC in which neither a node is nor one is known to be launched."""
    return [zone for zone in zones_without_nodes(migration.snapshot) if zone not in (*migration.zones, *unserved)]


def outposts(migration: Migration) -> Risk | None:
    """Nodes on an Outpost, to which no ENI of a subnet in the Region can be attached."""
    if not migration.ranges:
        return None
    places = {node.name: place for node in migration.nodes if (place := outpost_of_node(migration.snapshot, node))}
    if not places:
        return None
    harm = _harm_on_outposts(migration)
    return Risk(
        id="outpost-nodes",
        severity=Severity.HIGH if harm else Severity.LOW,
        found=f"{counted(len(places), 'node')} on an Outpost ({shown(sorted(places))}; "
        f"{shown(sorted(set(places.values())), 2)})",
        breaks=harm or "nothing, and nothing gets better there: no ENI of a subnet in the Region can be attached",
        remedy="a subnet on the Outpost (aws ec2 create-subnet with its --outpost-arn), an ENIConfig of its own for "
        "it, and the label k8s.amazonaws.com/eniConfig of that name on these nodes",
    )


def _harm_on_outposts(migration: Migration) -> str | None:
    """ipamd looks for tagged subnets by VPC and zone alone (awsutils.go, GetVpcSubnets), whatever Outpost they are on,
    and creates the ENI in the one with most free addresses."""
    if migration.first_time:
        return (
            "these nodes select the ENIConfig of their zone, whose subnet is in the Region: no ENI of it can be "
            "attached on the Outpost, and new nodes there stay NotReady"
        )
    if migration.strategy == SUBNET_DISCOVERY:
        return (
            "ipamd on these nodes discovers the tagged subnet of the Region by the name of its zone, and no ENI of it "
            "can be attached there: they get no further ENI, however many addresses their own subnet has"
        )
    return None


def node_subnets(migration: Migration) -> Risk | None:
    """Subnets in which no further node can be launched."""
    where = unlaunchable(migration.snapshot)
    if not where or not migration.ranges or migration.strategy == NODE_GROUP:
        return None
    custom = migration.first_time or migration.snapshot.cni.custom_networking
    worse = "; custom networking makes it worse: a node holds fewer pods, so more nodes are needed"
    return Risk(
        id="node-subnets-full",
        severity=Severity.LOW,
        found=f"no free address in {where}, in which nodes are launched. A subnet for pods gives nodes none: "
        f"none can be launched there before {launchable_again(migration.snapshot, custom_networking=custom)}"
        f"{worse if migration.first_time else ''}",
        breaks="no node can be launched in subnets without a free address; pods that run are not affected",
        remedy="further subnets for nodes: once pods have addresses, the next run plans them and gives them to node "
        "groups, Auto Scaling groups or Karpenter's NodeClass. Where nodes are missing, it starts by itself when every "
        f"pod is healed; else start it (`ip-remediator start --cluster {migration.snapshot.cluster.name} --wait`), or "
        "replace nodes one by one",
    )


def cluster_subnets(migration: Migration) -> Risk | None:
    """Subnets of the control plane with too few free addresses: an update of the cluster needs 5 (EKS User Guide,
    network requirements), a load balancer 8 (ELB User Guide).
    """
    low, tight = low_cluster_subnets(migration.snapshot), low_load_balancer_subnets(migration.snapshot)
    if not (low or tight) or not migration.ranges:
        return None
    counts = [f"{subnet.id} of {subnet.zone} has {subnet.free}" for subnet in (*low, *tight)]
    refused = ["an update of the cluster (5 free addresses in its subnets)"] if low else []
    refused += ["a load balancer (8 in its subnets)"] if tight else []
    return Risk(
        id="cluster-subnets-low",
        severity=Severity.LOW,
        found=f"free addresses: {shown(dict.fromkeys(counts))}",
        breaks=f"AWS refuses {' and '.join(refused)}, which pod subnets do not change; pods that run are not affected",
        remedy=f"`{update_cluster_subnets(migration.snapshot)}`"
        if low
        else "larger subnets for load balancers, tagged kubernetes.io/role/internal-elb=1 (or elb)",
    )


def branch_enis(migration: Migration) -> Risk | None:
    """The VPC resource controller makes branch ENIs in the subnet of the node's ENIConfig, and without custom
    networking in the node's own (amazon-vpc-resource-controller-k8s, pkg/node/manager/manager.go,
    `updateSubnetIfUsingENIConfig`; amazon-vpc-cni-k8s#2045), so discovery does not move them."""
    if migration.strategy != SUBNET_DISCOVERY or not migration.pod_enis or not migration.ranges:
        return None
    return Risk(
        id="branch-enis-not-discovered",
        severity=Severity.MEDIUM,
        found="ENABLE_POD_ENI=true: pods that a SecurityGroupPolicy selects have branch ENIs",
        breaks="such pods stay stuck, for branch ENIs come from the subnet of the node itself and "
        "never from a discovered one",
        remedy="choose the strategy custom-networking: new branch ENIs follow its ENIConfigs, trunk ENIs that are "
        "attached already stay in their subnet. `kubectl get securitygrouppolicies -A` lists the pods",
    )
