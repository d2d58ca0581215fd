"""VPC IPAM: pools of CIDRs, what they give next, and what a VPC takes out of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.stack.aws.conftest import Network, code_of, unique

if TYPE_CHECKING:
    from local.aws.client import LocalAws

CIDR = "100.80.0.0/20"


@pytest.fixture
def pool(network: Network) -> str:
    """A pool of 16 blocks of /24."""
    ipam = network.ec2.create_ipam(OperatingRegions=[{"RegionName": "ap-northeast-2"}])["Ipam"]
    made = network.ec2.create_ipam_pool(
        IpamScopeId=ipam["PrivateDefaultScopeId"], AddressFamily="ipv4", Locale="ap-northeast-2"
    )["IpamPool"]["IpamPoolId"]
    network.ec2.provision_ipam_pool_cidr(IpamPoolId=made, Cidr=CIDR)
    return str(made)


def allocations(network: Network, pool: str) -> dict[str, str | None]:
    """Resource by CIDR."""
    result = network.ec2.get_ipam_pool_allocations(IpamPoolId=pool)["IpamPoolAllocations"]
    return {one["Cidr"]: one.get("ResourceId") for one in result}


def allocate(network: Network, pool: str, **options: Any) -> str:
    return str(network.ec2.allocate_ipam_pool_cidr(IpamPoolId=pool, **options)["IpamPoolAllocation"]["Cidr"])


def test_given_a_pool_when_looked_at_then_nothing_is_given_away(network: Network, pool: str) -> None:
    for _ in range(2):
        assert allocate(network, pool, NetmaskLength=24, PreviewNextCidr=True) == "100.80.0.0/24"
    assert allocations(network, pool) == {}


def test_given_disallowed_cidrs_when_allocated_then_the_next_beside_them(network: Network, pool: str) -> None:
    options = {"NetmaskLength": 24, "DisallowedCidrs": ["100.80.0.0/23", "10.0.0.0/8"]}
    assert allocate(network, pool, **options) == "100.80.2.0/24"
    assert allocate(network, pool, **options) == "100.80.3.0/24"
    assert allocations(network, pool) == {"100.80.2.0/24": None, "100.80.3.0/24": None}


def test_given_the_same_token_when_allocated_twice_then_once(network: Network, pool: str) -> None:
    token = unique("token")
    for _ in range(2):
        assert allocate(network, pool, NetmaskLength=24, ClientToken=token) == "100.80.0.0/24"
    assert list(allocations(network, pool)) == ["100.80.0.0/24"]


def test_given_an_allocation_by_hand_when_released_then_the_pool_has_it_again(network: Network, pool: str) -> None:
    allocate(network, pool, Cidr="100.80.5.0/24")
    [made] = network.ec2.get_ipam_pool_allocations(IpamPoolId=pool)["IpamPoolAllocations"]
    network.ec2.release_ipam_pool_allocation(
        IpamPoolId=pool, Cidr=made["Cidr"], IpamPoolAllocationId=made["IpamPoolAllocationId"]
    )
    assert allocations(network, pool) == {}


@pytest.mark.parametrize("by", [{"CidrBlock": "100.80.1.0/24"}, {"Ipv4NetmaskLength": 24}], ids=["name", "length"])
def test_given_a_vpc_when_it_takes_and_gives_up_a_cidr_then_the_pool_knows(
    network: Network, pool: str, by: dict[str, Any]
) -> None:
    made = network.ec2.associate_vpc_cidr_block(VpcId=network.vpc, Ipv4IpamPoolId=pool, **by)["CidrBlockAssociation"]
    assert allocations(network, pool) == {made["CidrBlock"]: network.vpc}
    assert code_of(allocate, network, pool, Cidr=made["CidrBlock"]) == "InvalidParameterValue"
    network.ec2.disassociate_vpc_cidr_block(AssociationId=made["AssociationId"])
    assert allocations(network, pool) == {}


def test_given_a_vpcs_allocation_when_released_by_hand_then_it_is_refused(network: Network, pool: str) -> None:
    network.ec2.associate_vpc_cidr_block(VpcId=network.vpc, Ipv4IpamPoolId=pool, CidrBlock="100.80.1.0/24")
    [made] = network.ec2.get_ipam_pool_allocations(IpamPoolId=pool)["IpamPoolAllocations"]
    refused = code_of(
        network.ec2.release_ipam_pool_allocation,
        IpamPoolId=pool,
        Cidr=made["Cidr"],
        IpamPoolAllocationId=made["IpamPoolAllocationId"],
    )
    assert refused == "InvalidParameterValue"


def test_given_a_cidr_that_the_vpc_may_not_have_when_associated_then_nothing_is_allocated(
    network: Network, pool: str
) -> None:
    network.ec2.provision_ipam_pool_cidr(IpamPoolId=pool, Cidr="192.168.0.0/20")
    refused = code_of(
        network.ec2.associate_vpc_cidr_block, VpcId=network.vpc, Ipv4IpamPoolId=pool, CidrBlock="192.168.0.0/24"
    )
    assert refused == "InvalidVpc.Range"
    assert allocations(network, pool) == {}


def test_given_a_full_pool_or_none_when_allocated_then_the_error_says_so(network: Network, pool: str) -> None:
    allocate(network, pool, NetmaskLength=20)
    assert code_of(allocate, network, pool, NetmaskLength=28) == "InsufficientCidrBlocks"
    assert code_of(allocate, network, "ipam-pool-0", NetmaskLength=28) == "InvalidIpamPoolId.NotFound"
    assert code_of(allocate, network, pool, Cidr="10.9.0.0/24") == "InvalidParameterValue"


def test_given_a_policy_for_one_pool_then_another_is_denied(aws: LocalAws, make: Any, network: Network) -> None:
    pools = [
        network.ec2.create_ipam_pool(IpamScopeId="ipam-scope-0", AddressFamily="ipv4")["IpamPool"]["IpamPoolId"]
        for _ in range(2)
    ]
    for pool in pools:
        network.ec2.provision_ipam_pool_cidr(IpamPoolId=pool, Cidr=CIDR)
    allowed = {
        "Effect": "Allow",
        "Action": "ec2:AllocateIpamPoolCidr",
        "Resource": f"arn:aws:ec2::*:ipam-pool/{pools[0]}",
    }
    limited = aws.client("ec2", **make.session(allowed))
    codes = [
        code_of(limited.allocate_ipam_pool_cidr, IpamPoolId=pool, NetmaskLength=24, PreviewNextCidr=True)
        for pool in pools
    ]
    assert codes == ["", "UnauthorizedOperation"]
