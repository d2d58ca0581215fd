"""Previews the next free block of a VPC IPAM pool.

A preview reserves nothing: `AssociateVpcCidrBlock` with the pool's id does, for the VPC, and the pool takes the block
back by itself after the VPC gave it up (within half an hour: hashicorp/terraform-provider-aws#31211).
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, collapse_addresses
from typing import TYPE_CHECKING

from ip_remediator.clients.aws.errors import aws_call

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


class Ipam:
    """Reads only. Raises the errors of `common.errors`."""

    def __init__(self, ec2: EC2Client) -> None:
        self._ec2 = ec2

    def preview(self, pool: str, prefix: int, disallowed: Iterable[IPv4Network] = ()) -> IPv4Network:
        """The next free block of the pool of length `prefix` that overlaps none of `disallowed`.

        The preview stays the same until somebody allocates, so a plan that is built again gets the same block.

        Raises:
            RequestRefused: the pool has no such block; the message has AWS's words.
            NotFound: there is no such pool in this region.
        """
        kept = [str(network) for network in collapse_addresses(disallowed)]
        with aws_call("AllocateIpamPoolCidr"):
            answer = self._ec2.allocate_ipam_pool_cidr(
                IpamPoolId=pool, NetmaskLength=prefix, PreviewNextCidr=True, DisallowedCidrs=kept
            )
        return IPv4Network(answer["IpamPoolAllocation"]["Cidr"])
