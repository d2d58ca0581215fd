"""The catalogue: words of EC2, EKS, the VPC CNI, kubelet and container runtimes, and the cause that each proves.

Sources: the VPC CNI's pkg/ipamd, pkg/awsutils, pkg/eniconfig, pkg/k8sapi, cmd/ and scripts/entrypoint.sh at the last
release of each minor version from v1.5 to v1.23; pkg/provider and pkg/handler of amazon-vpc-resource-controller-k8s;
the EC2 API's error codes; botocore's model of EKS (ClusterIssueCode, NodegroupIssueCode, ErrorCode); the AWS SDKs for
Go; containerd's pkg/cri and the kubelet.

The first row that matches decides: what EC2 said comes before what ipamd concluded, the general string comes last.
"""

from __future__ import annotations

import re
from typing import Final

from ip_remediator.signals.causes import Cause, SaidBy, Strength, Wording

_ANYONE, _CNI_ALONE, _POD_NETWORK = SaidBy.ANYONE, SaidBy.CNI_ALONE, SaidBy.POD_NETWORK
_STRONG, _WEAK = Strength.STRONG, Strength.WEAK


def _code(*codes: str) -> re.Pattern[str]:
    """Error codes: exact case and whole words, or ipamd's function names would match (`containsPrivate...`).

    That no letter stands before a code is looked at after it, because a search for a fixed beginning is fast.
    """
    return re.compile("|".join(rf"{code}(?<!\w{code})\b" for code in codes))


WORDINGS: Final[tuple[Wording, ...]] = (
    # --- EC2 and EKS about subnets
    Wording(
        ("insufficientfreeaddressesinsubnet",),
        Cause.SUBNET_FULL,
        _STRONG,
        _ANYONE,
        "InsufficientFreeAddressesInSubnet: The specified subnet does not have enough free addresses",
        _code("InsufficientFreeAddressesInSubnet"),
    ),
    Wording(
        (
            "subnet does not have enough free addresses",
            "not enough free addresses in subnet",
            "not enough free addresses in the subnet",
            # Karpenter (pkg/errors of karpenter-provider-aws) in the conditions and events of a NodeClaim
            "not enough free ip addresses to launch an instance",
            "have enough available ip addresses for new nodes",
            "have enough available ip addresses for amazon eks",
        ),
        Cause.SUBNET_FULL,
        _STRONG,
        _ANYONE,
        "There are not enough free addresses in subnet 'subnet-0a1b2c3d4e5f60718' to satisfy the requested number of "
        "instances.",
    ),
    Wording(
        ("insufficientcidrblocks", "subnet does not have enough free cidr blocks"),
        Cause.PREFIX_FRAGMENTED,
        _STRONG,
        _ANYONE,
        "InsufficientCidrBlocks: The specified subnet does not have enough free cidr blocks",
        re.compile(r"\bInsufficientCidrBlocks\b|not have enough free cidr blocks", re.IGNORECASE),
    ),
    Wording(
        ("insufficientfreeaddresses", "ipnotavailable", "in each subnet to be free"),
        Cause.SUBNET_FULL,
        _STRONG,
        _ANYONE,
        "Provided subnets subnet-0a1b2c3d4e5f60718 Free IPs: 2, need at least 5 IPs in each subnet to be free for this "
        "operation",
        re.compile(r"\b(?:InsufficientFreeAddresses|IpNotAvailable)\b|need at least \d+ IPs in each subnet to be free"),
    ),
    # EC2's words do not tell a full subnet from a fragmented one: only the free count does.
    Wording(
        ("t sufficient free ipv4 addresses or prefixes",),
        Cause.NO_ADDRESS,
        _STRONG,
        _POD_NETWORK,
        "InvalidParameterValue: There aren't sufficient free Ipv4 addresses or prefixes",
    ),
    # --- EC2 about limits and rights of the CNI's own calls
    Wording(
        ("networkinterfacelimitexceeded",),
        Cause.ENI_QUOTA,
        _STRONG,
        _POD_NETWORK,
        "NetworkInterfaceLimitExceeded: The maximum number of network interfaces has been reached",
        _code("NetworkInterfaceLimitExceeded"),
    ),
    # ipamd says this at DEBUG, the level it has by default, when its store was behind; healthy nodes do. CloudTrail has
    # the same call with "Client." before the code.
    Wording(
        ("returned privateipaddresslimitexceeded", "client.privateipaddresslimitexceeded"),
        Cause.NODE_LIMIT,
        _WEAK,
        _POD_NETWORK,
        "AssignPrivateIpAddresses returned PrivateIpAddressLimitExceeded. This can happen if the data store is out of "
        "sync.",
        versions="v1.6+",
        harmless=True,
    ),
    Wording(
        ("attachmentlimitexceeded", "privateipaddresslimitexceeded"),
        Cause.NODE_LIMIT,
        _STRONG,
        _POD_NETWORK,
        "AttachmentLimitExceeded: Interface count 4 exceeds the limit for t3.medium",
        _code("AttachmentLimitExceeded", "PrivateIpAddressLimitExceeded"),
    ),
    Wording(
        ("unauthorizedoperation", "missingiampermissions"),
        Cause.CNI_IAM,
        _STRONG,
        _POD_NETWORK,
        "UnauthorizedOperation: You are not authorized to perform this operation.",
        _code("UnauthorizedOperation", "MissingIAMPermissions"),
    ),
    Wording(
        ("unauthorized operation: failed to call", "not authorized to perform: ec2:"),
        Cause.CNI_IAM,
        _STRONG,
        _POD_NETWORK,
        "Unauthorized operation: failed to call ec2:CreateNetworkInterface due to missing permissions.",
    ),
    # --- image registries have limits of their own, and report them in nearly EC2's words
    Wording(
        ("toomanyrequests", "failed to pull", "pulling image", "ecr: ", "ecr-credential-provider"),
        Cause.OTHER,
        _WEAK,
        _POD_NETWORK,
        "toomanyrequests: You have reached your pull rate limit.",
        re.compile(r"toomanyrequests|failed to pull|pulling image|\becr: |ecr-credential-provider", re.IGNORECASE),
    ),
    # --- credentials of the CNI (AWS SDK for Go v1 up to CNI v1.18, v2 from v1.19)
    Wording(
        (
            "nocredentialproviders",
            "ec2rolerequesterror",
            "no ec2 imds role found",
            "failed to refresh cached credentials",
            "failed to retrieve credentials",
            "sts:assumerolewithwebidentity",
            "webidentityerr",
            "expiredtoken",
            "authfailure",
        ),
        Cause.CNI_IAM,
        _STRONG,
        _POD_NETWORK,
        "NoCredentialProviders: no valid providers in chain. Deprecated.",
    ),
    Wording(
        ("requestlimitexceeded", "throttling", "throttlingexception"),
        Cause.CNI_THROTTLED,
        _STRONG,
        _POD_NETWORK,
        "RequestLimitExceeded: Request limit exceeded.",
        # "Throttling request took ..." are words of the Kubernetes client about itself.
        _code("RequestLimitExceeded", "Throttling(?! request took)", "ThrottlingException"),
    ),
    # Not the API client's "rate limiter".
    Wording(
        ("rate limit", "rate exceeded"),
        Cause.CNI_THROTTLED,
        _STRONG,
        _POD_NETWORK,
        "operation error EC2: CreateNetworkInterface, failed to get rate limit token, retry quota exceeded",
        re.compile(r"\brate limit\b|\brate exceeded\b", re.IGNORECASE),
    ),
    # --- ipamd about custom networking
    Wording(
        ("eniconfig is not available", "eniconfigs.crd.k8s.amazonaws.com", "eniconfig.crd.k8s.amazonaws.com"),
        Cause.ENICONFIG_MISSING,
        _STRONG,
        _CNI_ALONE,
        "eniconfig: eniconfig is not available",
        re.compile(
            r"eniconfig is not available|eniconfigs?\.crd\.k8s\.amazonaws\.com \S{1,260} not found", re.IGNORECASE
        ),
    ),
    Wording(
        ("failed to attach any enis for custom networking",),
        Cause.ENICONFIG_MISSING,
        _STRONG,
        _CNI_ALONE,
        "Failed to attach any ENIs for custom networking",
        versions="v1.13+",
    ),
    Wording(
        ("failed to get pod eni config", "no eniconfig could be found for this node"),
        Cause.ENICONFIG_MISSING,
        _STRONG,
        _CNI_ALONE,
        "Failed to get pod ENI config",
    ),
    Wording(
        ("failed to find the eniconfig", "eniconfig name not found", "couldn't find eniconfig"),
        Cause.ENICONFIG_MISSING,
        _STRONG,
        _CNI_ALONE,
        "failed to find the ENIConfig eu-central-1a: not found",
    ),
    Wording(
        ("no valid subnets available for eni creation",),
        Cause.SUBNET_TAGS,
        _STRONG,
        _CNI_ALONE,
        "no valid subnets available for ENI creation - all subnets are either not tagged or tagged with "
        "kubernetes.io/role/cni=0",
        versions="v1.22+",
    ),
    # ipamd writes this after either of EC2's two codes; without prefix delegation, the default, it was the first.
    Wording(
        ("subnet doesn't seem to have enough ips", "recently we had insufficientcidr error"),
        Cause.SUBNET_FULL,
        _STRONG,
        _CNI_ALONE,
        "Unable to attach IPs/Prefixes for the ENI, subnet doesn't seem to have enough IPs/Prefixes.",
        versions="v1.9+",
    ),
    Wording(
        ("ipamdnoips", "no available ip addresses for ipamd"),
        Cause.SUBNET_FULL,
        _STRONG,
        _CNI_ALONE,
        "There are no available IP addresses for IPAMD to assign to pods",
    ),
    # --- ipamd about its node
    Wording(
        ("max eni limit", "instance eni attachment limit"),
        Cause.NODE_LIMIT,
        _WEAK,
        _CNI_ALONE,
        "Skipping ENI allocation as the max ENI limit is already reached",
        re.compile(r"max ENI limit.{0,40} already reached|Exceeded instance ENI attachment limit", re.IGNORECASE),
        harmless=True,
    ),
    Wording(
        ("no available device number",),
        Cause.NODE_LIMIT,
        _STRONG,
        _CNI_ALONE,
        "awsGetFreeDeviceNumber: no available device number",
    ),
    # --- ipamd does not come up, or does not answer
    Wording(
        ("failed to wait for ipam daemon", "timed out waiting for ipam daemon", "ipamd stopped hence exiting"),
        Cause.CNI_DOWN,
        _STRONG,
        _CNI_ALONE,
        "Timed out waiting for IPAM daemon to start",
        versions="v1.6+",
    ),
    Wording(
        ("failed (process terminated)", "aws-k8s-agent executable not found", "failed to install cni binaries"),
        Cause.CNI_DOWN,
        _STRONG,
        _POD_NETWORK,
        "Required aws-k8s-agent executable not found.",
        versions="v1.6+",
    ),
    Wording(
        (
            "initialization failure: ",
            "ipamd init: failed",
            "ipamd: can not initialize",
            "ipamd: failed to",
            "instance metadata: failed to",
            "failed to retrieve region data from instance metadata",
            "unable to reach api server",
            "failed to communicate with k8s server",
            "failed to check api server connectivity",
            "error communicating with apiserver",
            "failed to set up grpc handler",
            "failed to listen grpc port",
            "failed to start server on grpc port",
            "failed to start server on unix socket",
            "failed to listen on unix socket",
        ),
        Cause.CNI_DOWN,
        _STRONG,
        _POD_NETWORK,
        "Initialization failure: ipamd: can not initialize with AWS SDK interface: instance metadata: failed to "
        "retrieve region data",
        versions="v1.5+",
    ),
    Wording(
        (
            "failed to connect to backend server",
            "addnetwork grpc call: rpc error",
            "50051",
            "ipamd.sock",
        ),
        Cause.CNI_DOWN,
        _STRONG,
        _CNI_ALONE,
        "add cmd: failed to connect to backend server",
        re.compile(
            r"add cmd: failed to connect to backend server|Failed to connect to backend server"
            r"|AddNetwork gRPC call: rpc error: code = (?:Unavailable|DeadlineExceeded)"
            r"|dial tcp (?:127\.0\.0\.1|\[::1\]):50051|dial unix \S{0,80}ipamd\.sock",
            re.IGNORECASE,
        ),
    ),
    # The init container of aws-node installs these (cmd/aws-vpc-cni-init, cmd/aws-vpc-cni).
    Wording(
        ("failed to find plugin",),
        Cause.CNI_DOWN,
        _STRONG,
        _POD_NETWORK,
        'failed to find plugin "aws-cni" in path [/opt/cni/bin]',
        re.compile(r'failed to find plugin \\*"(?:aws-cni|egress(?:-v4)?-cni|loopback|portmap|host-local|bandwidth)'),
    ),
    Wording(
        ("cni plugin not initialized", "no networks found in /etc/cni/net.d", "no network config found in /etc/cni"),
        Cause.CNI_DOWN,
        _WEAK,
        _POD_NETWORK,
        'failed to setup network for sandbox "2585": cni plugin not initialized',
        re.compile(r"sandbox", re.IGNORECASE),
    ),
    # --- the general strings
    Wording(
        ("failed to assign an ip address to container", "failed to assign an ip address to pod"),
        Cause.NO_ADDRESS,
        _WEAK,
        _CNI_ALONE,
        'plugin type="aws-cni" name="aws-cni" failed (add): add cmd: failed to assign an IP address to container',
    ),
    Wording(
        ("no available ip addresses", "no available ip/prefix addresses"),
        Cause.NO_ADDRESS,
        _WEAK,
        _CNI_ALONE,
        "DataStore has no available IP/Prefix addresses",
    ),
    # vpc-resource-controller, security groups for pods and Windows (pkg/handler/warm.go)
    Wording(
        ("warm pool for resource vpc.amazonaws.com/",),
        Cause.NO_ADDRESS,
        _WEAK,
        _POD_NETWORK,
        "Warm pool for resource vpc.amazonaws.com/PrivateIPv4Address is currently empty, will retry in 600ms",
    ),
    # Windows nodes: the vpc-resource-controller has put no address on the pod yet.
    Wording(
        ("vpc.amazonaws.com/privateipv4address",),
        Cause.NO_ADDRESS,
        _WEAK,
        _POD_NETWORK,
        'plugin type="vpc-bridge" name="vpc" failed (add): failed to parse Kubernetes args: pod does not have label '
        "vpc.amazonaws.com/PrivateIPv4Address",
    ),
)
