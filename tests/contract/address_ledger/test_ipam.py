"""Blocks of a VPC IPAM pool, over HTTP: looked at, taken by a VPC, given back."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.address_ledger.ipam import Ipam
from ip_remediator.common.errors import NotFound, RequestRefused, ServiceUnavailable
from ip_remediator.provisioning.ec2 import Ec2Changes, Ownership
from tests.contract.conftest import briefly, unique
from tests.contract.support.vpcs import Vpc

if TYPE_CHECKING:
    from local.aws.client import LocalAws

BLOCK = IPv4Network("100.80.0.0/24")


@pytest.fixture
def vpc(faults: LocalAws, ec2: Any) -> Vpc:  # faults: none of another test's is left
    return Vpc.create(ec2)


@pytest.fixture
def changes(ec2: Any) -> Ec2Changes:
    return Ec2Changes(ec2, Ownership("stack", unique("incident"), "prod"), sleep=briefly)


@pytest.fixture
def pool(ec2: Any) -> str:
    made = str(ec2.create_ipam_pool(IpamScopeId="ipam-scope-0", AddressFamily="ipv4")["IpamPool"]["IpamPoolId"])
    ec2.provision_ipam_pool_cidr(IpamPoolId=made, Cidr="100.80.0.0/22")
    return made


def allocations(ec2: Any, pool: str) -> dict[str, str]:
    result = ec2.get_ipam_pool_allocations(IpamPoolId=pool)["IpamPoolAllocations"]
    return {one["Cidr"]: one["ResourceId"] for one in result}


def test_given_a_pool_when_looked_at_again_and_again_then_the_same_block_and_none_is_taken(ec2: Any, pool: str) -> None:
    assert {Ipam(ec2).preview(pool, 24) for _ in range(3)} == {BLOCK}
    assert allocations(ec2, pool) == {}


def test_given_ranges_that_are_taken_when_looked_at_then_the_next_beside_them(ec2: Any, pool: str) -> None:
    taken = [IPv4Network("100.80.0.0/23"), IPv4Network("10.0.0.0/16")]
    assert Ipam(ec2).preview(pool, 24, taken) == IPv4Network("100.80.2.0/24")


def test_given_a_pool_without_room_or_none_at_all_then_the_error_has_awss_words(ec2: Any, pool: str) -> None:
    with pytest.raises(RequestRefused, match=f"AllocateIpamPoolCidr: .*{pool} has no free CIDR"):
        Ipam(ec2).preview(pool, 21)
    with pytest.raises(NotFound, match="ipam-pool-0"):
        Ipam(ec2).preview("ipam-pool-0", 24)


def test_given_a_block_of_a_pool_when_it_comes_and_goes_then_the_pool_knows(
    vpc: Vpc, pool: str, changes: Ec2Changes
) -> None:
    changes.associate_cidr(vpc.id, str(BLOCK), pool)
    assert vpc.cidrs()[str(BLOCK)] == "associated"
    assert allocations(vpc.ec2, pool) == {str(BLOCK): vpc.id}
    changes.disassociate_cidr(vpc.id, str(BLOCK))
    assert allocations(vpc.ec2, pool) == {}


def test_given_a_lost_answer_then_the_pool_gives_one_block(
    vpc: Vpc, pool: str, changes: Ec2Changes, faults: LocalAws
) -> None:
    faults.inject("ec2", "AssociateVpcCidrBlock", when="after")
    with pytest.raises(ServiceUnavailable):
        changes.associate_cidr(vpc.id, str(BLOCK), pool)
    changes.associate_cidr(vpc.id, str(BLOCK), pool)
    assert allocations(vpc.ec2, pool) == {str(BLOCK): vpc.id}


def test_given_somebody_was_faster_then_the_block_is_refused(vpc: Vpc, pool: str, changes: Ec2Changes) -> None:
    vpc.ec2.allocate_ipam_pool_cidr(IpamPoolId=pool, Cidr=str(BLOCK))
    with pytest.raises(RequestRefused, match="overlaps the allocation"):
        changes.associate_cidr(vpc.id, str(BLOCK), pool)
    assert str(BLOCK) not in vpc.cidrs()
