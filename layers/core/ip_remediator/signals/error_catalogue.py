"""The words of EC2, the VPC CNI and the kubelet, and the cause that each of them proves.

The kubelet's event string proves only that the CNI's ADD failed, not that a subnet is full: the causes are kept
apart, and the diagnosis decides on facts.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

# The kubelet cuts its messages at 1 KiB; log lines are longer, but the CNI's words stand early in them.
_CLASSIFIED_CHARACTERS = 16_384


class Cause(StrEnum):
    """What the words of an event prove. `NO_ADDRESS`: the CNI's general string, the cause behind it is unproven."""

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
    OTHER = "other"


class Strength(StrEnum):
    """How much one signal proves: an alarm or the general string is weak, a cause that EC2 or ipamd names strong."""

    WEAK = "weak"
    STRONG = "strong"


class Wording(NamedTuple):
    """Words of the CNI, EC2 or the kubelet, and what they prove. `example` is a real message they occur in."""

    pattern: re.Pattern[str]
    cause: Cause
    strength: Strength
    example: str


def _code(*codes: str) -> re.Pattern[str]:
    """Error codes of EC2: exact case and whole words, or ipamd's function names would match (`containsPrivate...`)."""
    return re.compile(rf"\b(?:{'|'.join(codes)})\b")


def _words(*phrases: str) -> re.Pattern[str]:
    return re.compile("|".join(phrases), re.IGNORECASE)


# The first match wins: what EC2 itself said comes before what ipamd concluded, the general string comes last.
# Sources: the VPC CNI's pkg/ipamd, pkg/awsutils and routed-eni-cni-plugin (v1.23.1 and, where they differ, the
# wordings of v1.0 to v1.15), the EC2 API's error codes, the EKS node monitoring agent.
WORDINGS: tuple[Wording, ...] = (
    Wording(
        _code("InsufficientFreeAddressesInSubnet"),
        Cause.SUBNET_FULL,
        Strength.STRONG,
        "InsufficientFreeAddressesInSubnet: The specified subnet does not have enough free addresses",
    ),
    Wording(
        _words("subnet does not have enough free addresses"),
        Cause.SUBNET_FULL,
        Strength.STRONG,
        "The specified subnet does not have enough free addresses to satisfy the request.",
    ),
    Wording(
        _words(r"\bInsufficientCidrBlocks\b", "subnet does not have enough free cidr blocks"),
        Cause.PREFIX_FRAGMENTED,
        Strength.STRONG,
        "InsufficientCidrBlocks: The specified subnet does not have enough free cidr blocks",
    ),
    # EC2's words do not tell a full subnet from a fragmented one: only the free count does.
    Wording(
        _words("aren.t sufficient free Ipv4 addresses or prefixes"),
        Cause.NO_ADDRESS,
        Strength.STRONG,
        "InvalidParameterValue: There aren't sufficient free Ipv4 addresses or prefixes",
    ),
    Wording(
        _code("NetworkInterfaceLimitExceeded"),
        Cause.ENI_QUOTA,
        Strength.STRONG,
        "NetworkInterfaceLimitExceeded: The maximum number of network interfaces has been reached",
    ),
    Wording(
        _code("AttachmentLimitExceeded", "PrivateIpAddressLimitExceeded"),
        Cause.NODE_LIMIT,
        Strength.STRONG,
        "AttachmentLimitExceeded: Interface count 4 exceeds the limit for t3.medium",
    ),
    Wording(
        _code("UnauthorizedOperation", "MissingIAMPermissions"),
        Cause.CNI_IAM,
        Strength.STRONG,
        "UnauthorizedOperation: You are not authorized to perform this operation.",
    ),
    Wording(
        _words("Unauthorized operation: failed to call", "not authorized to perform: ec2:"),
        Cause.CNI_IAM,
        Strength.STRONG,
        "Unauthorized operation: failed to call ec2:CreateNetworkInterface due to missing permissions.",
    ),
    # Image registries have limits of their own, and say so in nearly EC2's words.
    Wording(
        _words("toomanyrequests", "failed to pull", "pulling image", r"\becr: ", "ecr-credential-provider"),
        Cause.OTHER,
        Strength.WEAK,
        "toomanyrequests: You have reached your pull rate limit.",
    ),
    Wording(
        # "Throttling request took ..." are words of the Kubernetes client about itself.
        _code("RequestLimitExceeded", "Throttling(?! request took)", "ThrottlingException"),
        Cause.CNI_THROTTLED,
        Strength.STRONG,
        "RequestLimitExceeded: Request limit exceeded.",
    ),
    # Not the API client's "rate limiter".
    Wording(
        _words(r"\brate limit\b", r"\brate exceeded\b"),
        Cause.CNI_THROTTLED,
        Strength.STRONG,
        "operation error EC2: CreateNetworkInterface, failed to get rate limit token, retry quota exceeded",
    ),
    Wording(
        _words("eniconfig is not available", r"eniconfigs?\.crd\.k8s\.amazonaws\.com \S{1,260} not found"),
        Cause.ENICONFIG_MISSING,
        Strength.STRONG,
        "eniconfig: eniconfig is not available",
    ),
    Wording(
        _words("Failed to attach any ENIs for custom networking"),
        Cause.ENICONFIG_MISSING,
        Strength.STRONG,
        "Failed to attach any ENIs for custom networking",
    ),
    Wording(
        _words("no valid subnets available for ENI creation"),
        Cause.SUBNET_TAGS,
        Strength.STRONG,
        "no valid subnets available for ENI creation - all subnets are either not tagged or tagged with "
        "kubernetes.io/role/cni=0",
    ),
    # ipamd writes this after either of EC2's two codes; without prefix delegation, the default, it was the first.
    Wording(
        _words("subnet doesn.t seem to have enough IPs", r"Recently we had InsufficientCidr error"),
        Cause.SUBNET_FULL,
        Strength.STRONG,
        "Unable to attach IPs/Prefixes for the ENI, subnet doesn't seem to have enough IPs/Prefixes.",
    ),
    Wording(
        _words("IPAMDNoIPs", "no available IP addresses for IPAMD"),
        Cause.SUBNET_FULL,
        Strength.STRONG,
        "There are no available IP addresses for IPAMD to assign to pods",
    ),
    Wording(
        _words("max ENI limit.{0,40} already reached", "no available device number"),
        Cause.NODE_LIMIT,
        Strength.STRONG,
        "Skipping ENI allocation as the max ENI limit is already reached",
    ),
    Wording(
        _words(
            "failed to connect to backend server",
            "AddNetwork gRPC call: rpc error: code = (?:Unavailable|DeadlineExceeded)",
            r"dial tcp (?:127\.0\.0\.1|\[::1\]):50051",
        ),
        Cause.CNI_DOWN,
        Strength.STRONG,
        "add cmd: failed to connect to backend server",
    ),
    Wording(
        _words('failed to find plugin "aws-cni"'),
        Cause.CNI_DOWN,
        Strength.STRONG,
        'failed to find plugin "aws-cni" in path [/opt/cni/bin]',
    ),
    Wording(
        _words("failed to assign an IP address to container"),
        Cause.NO_ADDRESS,
        Strength.WEAK,
        'plugin type="aws-cni" name="aws-cni" failed (add): add cmd: failed to assign an IP address to container',
    ),
    Wording(
        _words("no available IP(?:/Prefix)? addresses"),
        Cause.NO_ADDRESS,
        Strength.WEAK,
        "DataStore has no available IP/Prefix addresses",
    ),
)


def classify(message: str) -> Cause:
    """The cause that the words of `message` prove. Unknown words are `OTHER`, never taken for exhaustion."""
    return classify_message(message)[0]


def classify_message(message: str) -> tuple[Cause, Strength]:
    """The cause that the words of `message` prove, and how strongly."""
    text = message[:_CLASSIFIED_CHARACTERS]
    found = next((wording for wording in WORDINGS if wording.pattern.search(text)), None)
    return (found.cause, found.strength) if found else (Cause.OTHER, Strength.WEAK)
