"""The instance limits are the CNI's own, and the script reads the CNI's Go source as it is written."""

from __future__ import annotations

import pytest

from local.cluster.ipamd import limits
from scripts import instance_limits as script

GO = """
var instanceNetworkingLimits = map[string]InstanceTypeLimits{
	"x9.huge": {
		ENILimit:                4,
		IPv4Limit:               50,
		DefaultNetworkCardIndex: 1,
		NetworkCards: []NetworkCard{
			{
				MaximumNetworkInterfaces: 4,
				NetworkCardIndex:         0,
			},
			{
				MaximumNetworkInterfaces: 2,
				NetworkCardIndex:         1,
			},
		},
		HypervisorType: "unknown",
		IsBareMetal:    true,
	},
}
"""


def test_reads_an_entry_of_the_go_source() -> None:
    (literal,) = script.entries(GO).values()

    assert script.limits(literal) == {
        "eni_limit": 4,
        "ips_per_eni": 50,
        "default_network_card": 1,
        "network_card_enis": [4, 2],
        "hypervisor": "unknown",
        "bare_metal": True,
    }


def test_refuses_a_source_of_another_shape() -> None:
    with pytest.raises(ValueError, match="shape has changed"):
        script.entries("package vpc\n")


@pytest.mark.parametrize(
    ("instance_type", "enis", "addresses", "prefixes", "trunk"),
    [
        ("t3.medium", 3, 6, True, False),
        ("m5.large", 3, 10, True, True),
        ("t2.medium", 3, 6, False, False),
        ("m5.metal", 15, 50, True, True),
    ],
)
def test_knows_the_limits_that_the_cni_knows(
    instance_type: str, enis: int, addresses: int, prefixes: bool, trunk: bool
) -> None:
    result = limits.instance_limits(instance_type)

    assert result is not None
    assert (result.eni_limit, result.ips_per_eni) == (enis, addresses)
    assert result.prefix_delegation_supported is prefixes
    assert result.trunking_compatible is trunk


def test_network_cards_of_an_accelerated_instance_are_counted_apart() -> None:
    result = limits.instance_limits("p5.48xlarge")

    assert result is not None
    assert (result.eni_limit, len(result.network_card_enis)) == (2, 32)


def test_an_unknown_type_is_unknown() -> None:
    assert limits.instance_limits("t99.nano") is None
