"""What a wording can prove, and which programs must have written it."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple


class Cause(StrEnum):
    """What the wording of a record proves.

    `NO_ADDRESS`: the CNI's general message; its cause is not proven. `NODE_LAUNCH` and `CLUSTER_SUBNETS` are added
    to another cause: new nodes, or EKS itself in the cluster's subnets, get no address.
    """

    NO_ADDRESS = "no_address"
    SUBNET_FULL = "subnet_full"
    PREFIX_FRAGMENTED = "prefix_fragmented"
    NODE_LIMIT = "node_limit"
    ENI_QUOTA = "eni_quota"
    CNI_IAM = "cni_iam"
    CNI_THROTTLED = "cni_throttled"
    CNI_DOWN = "cni_down"
    ENICONFIG_MISSING = "eniconfig_missing"
    SUBNET_TAGS = "subnet_tags"
    NODE_LAUNCH = "node_launch"
    CLUSTER_SUBNETS = "cluster_subnets"
    OTHER = "other"


class Strength(StrEnum):
    """How much one signal proves: an alarm or the CNI's general message is weak, a cause that EC2 or ipamd names is
    strong."""

    WEAK = "weak"
    STRONG = "strong"


class Speaker(StrEnum):
    """Who wrote a text: aws-node and its plugin, the kubelet or the container runtime, or another program."""

    CNI = "cni"
    RUNTIME = "runtime"
    OTHER = "other"
    UNKNOWN = "unknown"


class SaidBy(StrEnum):
    """From which programs a wording counts.

    `ANYONE`: EC2's codes for a full subnet, whoever quotes them. `CNI_ALONE`: words that no other program uses, so
    they count unless another program is named. `POD_NETWORK`: words that every AWS client may use about its own
    calls. They count in lines of the CNI, and of the kubelet and the container runtime about a sandbox.
    """

    ANYONE = "anyone"
    CNI_ALONE = "the VPC CNI alone"
    POD_NETWORK = "the VPC CNI, or kubelet and container runtime about a sandbox"


class Wording(NamedTuple):
    """Words, and what they prove.

    `needles`: lower-case parts of which one must occur; `pattern` must match besides, where there is one. `example`
    is a real message. `versions`: of the VPC CNI, where only some say it. `harmless`: healthy nodes say it, too.
    """

    needles: tuple[str, ...]
    cause: Cause
    strength: Strength
    said_by: SaidBy
    example: str
    pattern: re.Pattern[str] | None = None
    versions: str = ""
    harmless: bool = False
