"""What words can prove, and who must have said them."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple


class Cause(StrEnum):
    """What the words of a record prove. `NO_ADDRESS`: the CNI's general string, the cause behind it is unproven.

    `NODE_LAUNCH` and `CLUSTER_SUBNETS` stand beside another cause: it is new nodes, or EKS itself in the cluster's
    subnets, that get no address.
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
    """How much one signal proves: an alarm or the general string is weak, a cause that EC2 or ipamd names strong."""

    WEAK = "weak"
    STRONG = "strong"


class Speaker(StrEnum):
    """Whose words a text is: aws-node's and its plugin's, kubelet's or the container runtime's, another program's."""

    CNI = "cni"
    RUNTIME = "runtime"
    OTHER = "other"
    UNKNOWN = "unknown"


class SaidBy(StrEnum):
    """In whose mouth a wording counts.

    `ANYONE`: EC2's codes for a full subnet, whoever passes them on. `CNI_ALONE`: words that no other program has, so
    they count wherever no other program is named. `POD_NETWORK`: words that every AWS client may say about its own
    calls; they count in lines of the CNI, and of kubelet and container runtime about a sandbox.
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
