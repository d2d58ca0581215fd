"""The words of EC2, the CNI and the kubelet, and the cause that each proves."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.signals.error_catalogue import (
    WORDINGS,
    Cause,
    Strength,
    classify,
    classify_message,
    deciding_wording,
    occurrences,
)

SANDBOX = 'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "9f": '
CNI = 'plugin type="aws-cni" name="aws-cni" failed (add): '
ADD = "add cmd: failed to assign an IP address to container"
DOCS = Path(__file__).parents[3] / "docs" / "signals.md"

SAID = [
    # containerd, today
    (SANDBOX + CNI + ADD, Cause.NO_ADDRESS),
    ("(combined from similar events): " + SANDBOX + CNI + ADD, Cause.NO_ADDRESS),
    # dockershim and older kubelets
    (
        'Failed create pod sandbox: rpc error: code = Unknown desc = failed to set up sandbox container "92" network '
        'for pod "web-0": NetworkPlugin cni failed to set up pod "web-0_default" network: ' + ADD,
        Cause.NO_ADDRESS,
    ),
    ("AssignPodIPv4Address: no available IP addresses", Cause.NO_ADDRESS),
    ("DataStore has no available IP addresses", Cause.NO_ADDRESS),
    ("DataStore has no available IP/Prefix addresses", Cause.NO_ADDRESS),
    ("assignPodIPv4AddressUnsafe: no available IP/Prefix addresses", Cause.NO_ADDRESS),
    # EC2's error codes, by SDK v1 and v2
    ("InsufficientFreeAddressesInSubnet: The specified subnet\n\tstatus code: 400, request id: 1", Cause.SUBNET_FULL),
    ("api error InsufficientFreeAddressesInSubnet: The specified subnet", Cause.SUBNET_FULL),
    ("Insufficient IP Addresses due to: InsufficientFreeAddressesInSubnet", Cause.SUBNET_FULL),
    ("api error InsufficientCidrBlocks: The specified subnet does not have enough", Cause.PREFIX_FRAGMENTED),
    (
        "InvalidParameterValue: There aren't sufficient free Ipv4 addresses or prefixes\n\tstatus code: 400",
        Cause.NO_ADDRESS,
    ),
    ("NetworkInterfaceLimitExceeded: Maximum number of network interfaces exceeded", Cause.ENI_QUOTA),
    ("AttachmentLimitExceeded: Interface count 4 exceeds the limit for t3.medium", Cause.NODE_LIMIT),
    ("AssignPrivateIpAddresses returned PrivateIpAddressLimitExceeded. This can happen", Cause.NODE_LIMIT),
    ("awsGetFreeDeviceNumber: no available device number for network card 0", Cause.NODE_LIMIT),
    ("Skipping ENI allocation as the max ENI limit is already reached for the instance", Cause.NODE_LIMIT),
    ("Skipping ENI allocation as the max ENI limit of 3 is already reached", Cause.NODE_LIMIT),
    ("UnauthorizedOperation: You are not authorized to perform this operation.", Cause.CNI_IAM),
    ("User: arn:aws:sts::1:assumed-role/node is not authorized to perform: ec2:CreateTags", Cause.CNI_IAM),
    ("RequestLimitExceeded: Request limit exceeded.", Cause.CNI_THROTTLED),
    ("Throttling: Rate exceeded\n\tstatus code: 400", Cause.CNI_THROTTLED),
    ("ThrottlingException: Rate exceeded", Cause.CNI_THROTTLED),
    ("failed to get rate limit token, retry quota exceeded, 2 available, 5 requested", Cause.CNI_THROTTLED),
    # ipamd's own conclusions
    (
        "Unable to attach IPs/Prefixes for the ENI, subnet doesn't seem to have enough IPs/Prefixes. Consider using "
        "new subnet or carve a reserved range using create-subnet-cidr-reservation",
        Cause.SUBNET_FULL,
    ),
    ("Recently we had InsufficientCidr error hence will wait for 2m0s before retrying", Cause.SUBNET_FULL),
    ("no valid subnets available for ENI creation - all subnets are either not tagged or tagged", Cause.SUBNET_TAGS),
    ("eniconfig: eniconfig is not available", Cause.ENICONFIG_MISSING),
    (
        'error while retrieving eniconfig: ENIConfig.crd.k8s.amazonaws.com "us-west-2a" not found',
        Cause.ENICONFIG_MISSING,
    ),
    ("Failed to attach any ENIs for custom networking", Cause.ENICONFIG_MISSING),
    (CNI + "add cmd: failed to connect to backend server", Cause.CNI_DOWN),
    (
        "add cmd: Error received from AddNetwork gRPC call: rpc error: code = Unavailable desc = connection error: "
        'desc = "transport: Error while dialing: dial tcp 127.0.0.1:50051: connect: connection refused"',
        Cause.CNI_DOWN,
    ),
    ('failed to find plugin "aws-cni" in path [/opt/cni/bin]', Cause.CNI_DOWN),
    ("There are no available IP addresses for IPAMD to assign to pods", Cause.SUBNET_FULL),
    # words that look alike and prove nothing
    ("AddressLimitExceeded: The maximum number of addresses has been reached.", Cause.OTHER),
    ("containsPrivateIPAddressLimitExceededError encountered context canceled", Cause.OTHER),
    ("containsInsufficientCIDRsOrSubnetIPs encountered context canceled", Cause.OTHER),
    ("toomanyrequests: You have reached your pull rate limit.", Cause.OTHER),
    (
        'Failed to create pod sandbox: rpc error: failed to get sandbox image "1.dkr.ecr.us-west-2.amazonaws.com/eks/'
        'pause:3.5": failed to pull image: toomanyrequests: Rate exceeded',
        Cause.OTHER,
    ),
    ("operation error ECR: GetAuthorizationToken, api error ThrottlingException: Rate exceeded", Cause.OTHER),
    ("Waited for 1.2s due to client-side throttling, not priority and fairness", Cause.OTHER),
    ("Throttling request took 1.3s, request: GET:https://10.100.0.1:443/api/v1/nodes", Cause.OTHER),
    ("client rate limiter Wait returned an error: context deadline exceeded", Cause.OTHER),
    (SANDBOX + 'plugin type="calico" failed (add): connection is unauthorized: Unauthorized', Cause.OTHER),
    (SANDBOX + CNI + "add cmd: failed to setup network policy", Cause.OTHER),
    (SANDBOX + 'plugin type="host-local" failed (add): no IP addresses available in range set', Cause.OTHER),
    ("AccessDenied: not authorized to perform: ecr:GetAuthorizationToken", Cause.OTHER),
    ("", Cause.OTHER),
]


@pytest.mark.parametrize(("message", "cause"), SAID)
def test_words_prove_their_cause_and_no_other(message, cause):
    assert classify(message) is cause


@pytest.mark.parametrize("wording", WORDINGS, ids=lambda wording: wording.example[:40])
def test_the_example_of_every_wording_is_decided_by_that_wording(wording):
    assert deciding_wording(wording.example) is wording
    assert classify_message(wording.example) == (wording.cause, wording.strength)


def test_what_ec2_said_outweighs_the_general_string_in_the_same_message():
    assert classify_message(f"{ADD}: InsufficientFreeAddressesInSubnet") == (Cause.SUBNET_FULL, Strength.STRONG)


def test_the_general_string_is_weak():
    assert classify_message(ADD) == (Cause.NO_ADDRESS, Strength.WEAK)


@given(st.text(max_size=60), st.sampled_from(SAID), st.text(max_size=60))
def test_foreign_words_around_do_not_take_a_known_cause_away(before, wording, after):
    message, cause = wording
    if cause is not Cause.OTHER:
        assert classify(f"{before} {message} {after}") is not Cause.OTHER


def test_a_huge_message_is_classified_by_its_beginning():
    assert classify(ADD + "x" * 5_000_000) is Cause.NO_ADDRESS
    assert classify("max ENI limit " * 500_000) is Cause.OTHER


@pytest.mark.parametrize("wording", WORDINGS, ids=lambda wording: wording.example[:40])
def test_the_documentation_lists_every_wording_with_its_cause(wording):
    strength = "none: harmless" if wording.harmless else wording.strength
    row = f"| `{wording.example}` | `{wording.cause}` | {strength} | "

    (line,) = [line for line in DOCS.read_text().splitlines() if line.startswith(row)]
    assert wording.versions in line


# What a text may be made of: words of the catalogue, whole or cut, and what stands between them.
_FRAGMENTS = st.sampled_from([needle for wording in WORDINGS for needle in wording.needles]).flatmap(
    lambda needle: st.sampled_from([needle, needle.upper(), needle[1:], needle[:-1], f"x{needle}y"])
)
_TEXTS = st.lists(
    _FRAGMENTS | st.sampled_from(['"', '\\"', ",", " ", "\n", "failed", "é", "x" * 2_000]) | st.text(max_size=5)
).map("".join)


@given(_TEXTS)
def test_the_fast_search_finds_what_a_plain_one_finds(text):
    plain = [
        (number, needle)
        for number, wording in enumerate(WORDINGS)
        for needle in wording.needles
        if needle in text.lower()
    ]
    assert sorted({(hit.number, hit.needle) for hit in occurrences(text.lower())}) == sorted(plain)


@pytest.mark.parametrize("needle", [needle for wording in WORDINGS for needle in wording.needles])
def test_no_needle_holds_a_sign_at_which_texts_are_split(needle):
    assert not {'"', ","} & set(needle)
    assert needle == needle.lower()
