"""What the names of a CloudWatch log group and of a log stream tell: the cluster, the node, the program."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from ip_remediator.signals.causes import Speaker
from ip_remediator.signals.model import cluster_name


class Origin(NamedTuple):
    """Where a line comes from, as far as group and stream tell."""

    cluster: str | None = None
    node: str | None = None
    speaker: Speaker = Speaker.UNKNOWN


@dataclass(frozen=True)
class LogGroups:
    """Groups that their owner maps to a cluster: by name, or by a beginning that ends in `*`; the longest counts."""

    mapped: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> LogGroups:
        """Reads "group=cluster, prefix*=cluster"; "none" and empty are none.

        Raises:
            ValueError: an entry without `=`, or a cluster name that EKS does not allow.
        """
        entries = [entry.strip() for entry in text.split(",") if entry.strip() and entry.strip() != "none"]
        return cls(tuple(sorted(map(_mapping, entries), key=lambda pair: -len(pair[0]))))

    def cluster_of(self, group: str) -> str | None:
        """The cluster that the parameter maps to the group, else the one that a known group's name holds."""
        for name, cluster in self.mapped:
            if group == name or (name.endswith("*") and group.startswith(name[:-1])):
                return cluster
        return _cluster_of_known_group(group)


def _mapping(entry: str) -> tuple[str, str]:
    group, equals, cluster = entry.rpartition("=")
    if not equals or not group.strip() or cluster_name(cluster.strip()) is None:
        raise ValueError(f"log group {entry!r}: write GROUP=CLUSTER, such as /shop/eks/*=shop-prod")
    return group.strip(), cluster.strip()


# Container Insights (application, dataplane, host, performance); EKS Blueprints and the EKS workshop's Fluent Bit;
# vended logs of EKS Auto Mode (AUTO_MODE_IPAM_LOGS, ...); older Blueprints.
_GROUPS = (
    re.compile(r"^/aws/containerinsights/([^/]+)/"),
    re.compile(r"^/aws/vendedlogs/eks/cluster/[A-Z_]+/([^/]+)"),
    re.compile(r"^/aws/eks/([^/]+)/"),
    re.compile(r"^/([^/]+)/worker-fluentbit-logs"),
)
# The chart aws-for-fluent-bit calls its groups so by default, whatever the cluster.
_NO_CLUSTERS = frozenset({"fluentbit-cloudwatch", "blueprints"})


def _cluster_of_known_group(group: str) -> str | None:
    name = next((match.group(1) for pattern in _GROUPS if (match := pattern.match(group))), None)
    return None if name in _NO_CLUSTERS else cluster_name(name)


# Fluent Bit names a stream of a container after the file of its log; Container Insights puts the node in front.
_CONTAINER = re.compile(r"containers\.([a-z0-9.-]{1,253})_([a-z0-9-]{1,63})_([a-z0-9.-]{1,253})-[0-9a-f]{64}")
_NODE = re.compile(r"^([a-z0-9.-]{1,253}?)(?:-(?:application|dataplane)\.|\.host\.)")
_UNIT = re.compile(r"systemd\.([a-z0-9-]{1,100})(?:\.service|$)")
# The CNI's own files; the network policy agent's lie beside them.
_CNI_FILE = re.compile(r"aws-routed-eni[./](?:ipamd|plugin)\b")
_VENDED = re.compile(r"^/aws/vendedlogs/eks/cluster/([A-Z_]+)/")
# API server, audit, authenticator, scheduler, controller manager; EKS delivers no log of the vpc-resource-controller.
_CONTROL_PLANE = re.compile(r"^/aws/eks/[^/]+/cluster$")
_INSTANCE = re.compile(r"^i-[0-9a-f]{8,17}$")

# Whole names: aws-node-termination-handler, say, is another program, with limits and rights of its own.
_CNI_PROGRAMS = frozenset(
    {
        "aws-node",
        "aws-vpc-cni",
        "aws-vpc-cni-init",
        "aws-k8s-agent",
        "ipamd",
        "vpc-resource-controller",
        "eks-vpc-resource-controller",
    }
)
_RUNTIME_PROGRAMS = frozenset({"kubelet", "containerd", "dockerd", "docker", "crio", "cri-o"})


@lru_cache(maxsize=1024)
def speaker_of(program: str) -> Speaker:
    """Who wrote a line, by the name of the container, unit or process."""
    name = program.removesuffix(".service").removeprefix("snap.").rpartition("/")[2]
    if name in _CNI_PROGRAMS:
        return Speaker.CNI
    # Ubuntu's snap is called kubelet-eks, its service kubelet-eks.daemon.
    return Speaker.RUNTIME if name.partition("-eks")[0] in _RUNTIME_PROGRAMS else Speaker.OTHER


@lru_cache(maxsize=1024)
def origin_of(group: str, stream: str, groups: LogGroups) -> Origin:
    """What group and stream tell of every line of a batch."""
    cluster = groups.cluster_of(group)
    vended = _VENDED.match(group)
    if vended:
        ipam = vended.group(1) == "AUTO_MODE_IPAM_LOGS"
        # Nodes of EKS Auto Mode are called after their instance.
        node = stream if _INSTANCE.match(stream) else None
        return Origin(cluster, node, Speaker.CNI if ipam else Speaker.OTHER)
    if _CONTROL_PLANE.match(group):
        return Origin(cluster, None, Speaker.OTHER)
    named = _NODE.match(stream)
    return Origin(cluster, named.group(1) if named else None, _speaker_of_stream(stream))


def _speaker_of_stream(stream: str) -> Speaker:
    container = _CONTAINER.search(stream)
    if container:
        return speaker_of(container.group(3))
    if _CNI_FILE.search(stream):
        return Speaker.CNI
    unit = _UNIT.search(stream)
    return speaker_of(unit.group(1)) if unit else Speaker.UNKNOWN
