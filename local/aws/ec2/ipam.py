"""VPC IPAM: pools of private IPv4 CIDRs, and what is allocated out of them. moto has none of it.

Sources: the API reference (CreateIpam, CreateIpamPool, ProvisionIpamPoolCidr, AllocateIpamPoolCidr,
GetIpamPoolAllocations, ReleaseIpamPoolAllocation) and "Allocate CIDRs" in the IPAM User Guide. Left out: scopes beyond
the private default one, nested pools, public and IPv6 space, resource discovery, sharing. AWS takes up to half an hour
to notice that a VPC gave a CIDR up; here it is at once.
"""

# ruff: noqa: SLF001 - requests are read the way moto's own responses read them

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend
from moto.ec2.responses import EC2Response
from moto.ec2.responses.vpcs import VPCs

from local.aws.corrections.guard import original, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


@dataclass
class Allocation:
    """A CIDR that the pool gave away; `resource` is the VPC that has it, None for one made by hand."""

    cidr: IPv4Network
    resource: str | None = None
    description: str = ""
    token: str | None = None
    id: str = field(default_factory=lambda: f"ipam-pool-alloc-{secrets.token_hex(16)}")

    def described(self, region: str, owner: str) -> dict[str, Any]:
        """The allocation as GetIpamPoolAllocations returns it."""
        return {
            "Cidr": str(self.cidr),
            "IpamPoolAllocationId": self.id,
            "Description": self.description,
            "ResourceType": "vpc" if self.resource else "custom",
            "ResourceId": self.resource,
            "ResourceRegion": region,
            "ResourceOwner": owner,
        }


@dataclass
class Pool:
    """An IPAM pool: its CIDRs, its allocations, and the netmask lengths that it allows."""

    id: str
    description: str = ""
    smallest: int = 32
    largest: int = 0
    default: int | None = None
    cidrs: list[IPv4Network] = field(default_factory=list)
    allocations: list[Allocation] = field(default_factory=list)

    def next_free(self, length: int, disallowed: Iterable[IPv4Network]) -> IPv4Network:
        """The lowest free CIDR. InsufficientCidrBlocks: there is none (AWS documents no code for it)."""
        taken = [*disallowed, *(one.cidr for one in self.allocations)]
        free = next((cidr for cidr in self._candidates(length) if not any(cidr.overlaps(one) for one in taken)), None)
        if free is None:
            raise EC2ClientError(
                "InsufficientCidrBlocks", f"The pool {self.id} has no free CIDR with a netmask length of {length}."
            )
        return free

    def _candidates(self, length: int) -> Iterator[IPv4Network]:
        for cidr in sorted(self.cidrs):
            if cidr.prefixlen <= length:
                yield from cidr.subnets(new_prefix=length)

    def check(self, cidr: IPv4Network) -> None:
        """Whether exactly this CIDR can be allocated. InvalidParameterValue names what is in the way."""
        if not self.largest <= cidr.prefixlen <= self.smallest:
            raise _invalid(f"The netmask length of {cidr} is not allowed by the allocation rules of {self.id}.")
        if not any(cidr.subnet_of(one) for one in self.cidrs):
            raise _invalid(f"The CIDR {cidr} is not provisioned to the pool {self.id}.")
        taken = next((one.cidr for one in self.allocations if one.cidr.overlaps(cidr)), None)
        if taken:
            raise _invalid(f"The CIDR {cidr} overlaps the allocation {taken} of the pool {self.id}.")


class Ipams:
    """The pools of one region of one account; kept on moto's backend, so that a reset forgets them."""

    def __init__(self) -> None:
        self.pools: dict[str, Pool] = {}

    def pool(self, pool_id: str) -> Pool:
        """InvalidIpamPoolId.NotFound for an unknown one."""
        if pool_id not in self.pools:
            raise EC2ClientError("InvalidIpamPoolId.NotFound", f"The IPAM pool ID '{pool_id}' does not exist")
        return self.pools[pool_id]

    def release_of(self, vpc_id: str, cidr: IPv4Network) -> None:
        """The VPC gave the CIDR up."""
        for pool in self.pools.values():
            pool.allocations = [one for one in pool.allocations if (one.resource, one.cidr) != (vpc_id, cidr)]


def ipams(backend: Any) -> Ipams:
    """The IPAM state of the backend, created at the first call."""
    if not hasattr(backend, "ipams"):
        backend.ipams = Ipams()
    stored: Ipams = backend.ipams
    return stored


def install() -> None:
    """Teach moto the actions. MissingPartError when a part of moto that they need is gone."""
    actions: tuple[Callable[[Any], ActionResult], ...] = (
        create_ipam,
        create_ipam_pool,
        provision_ipam_pool_cidr,
        allocate_ipam_pool_cidr,
        get_ipam_pool_allocations,
        release_ipam_pool_allocation,
    )
    for action in actions:
        setattr(EC2Response, action.__name__, action)
    _associations()


def create_ipam(request: Any) -> ActionResult:
    """CreateIpam."""
    ipam = f"ipam-{secrets.token_hex(8)}0"
    scopes = {f"{kind}DefaultScopeId": f"ipam-scope-{secrets.token_hex(8)}0" for kind in ("Private", "Public")}
    return ActionResult({"Ipam": {"IpamId": ipam, "IpamRegion": request.region, "State": "create-complete", **scopes}})


def create_ipam_pool(request: Any) -> ActionResult:
    """An IPv4 pool. Locale is the region: IPAM refuses allocations elsewhere."""
    if request._get_param("AddressFamily") != "ipv4":
        raise _invalid("Only address family ipv4 is emulated.")
    pool = Pool(
        id=f"ipam-pool-{secrets.token_hex(8)}0",
        description=request._get_param("Description") or "",
        smallest=request._get_int_param("AllocationMaxNetmaskLength") or 32,
        largest=request._get_int_param("AllocationMinNetmaskLength") or 0,
        default=request._get_int_param("AllocationDefaultNetmaskLength"),
    )
    ipams(request.ec2_backend).pools[pool.id] = pool
    described = {"IpamPoolId": pool.id, "Description": pool.description, "AddressFamily": "ipv4"}
    return ActionResult({"IpamPool": {**described, "Locale": request.region, "State": "create-complete"}})


def provision_ipam_pool_cidr(request: Any) -> ActionResult:
    """ProvisionIpamPoolCidr. Raises an error for a CIDR that overlaps another one of the pool."""
    pool = _pool(request)
    cidr = _network(request._get_param("Cidr"))
    if any(cidr.overlaps(one) for one in pool.cidrs):
        raise _invalid(f"The CIDR {cidr} overlaps a CIDR of the pool {pool.id}.")
    pool.cidrs.append(cidr)
    return ActionResult({"IpamPoolCidr": {"Cidr": str(cidr), "State": "provisioned"}})


def allocate_ipam_pool_cidr(request: Any) -> ActionResult:
    """A CIDR by name or by length; the same ClientToken gives the same allocation, PreviewNextCidr gives none away."""
    pool, ask = _pool(request), request._get_param
    token = ask("ClientToken")
    allocation = next((one for one in pool.allocations if token and one.token == token), None)
    if allocation is None:
        allocation = Allocation(_wanted(pool, request), description=ask("Description") or "", token=token)
        if str(ask("PreviewNextCidr")).lower() == "true":
            return ActionResult({"IpamPoolAllocation": {"Cidr": str(allocation.cidr)}})
        pool.allocations.append(allocation)
    return ActionResult({"IpamPoolAllocation": allocation.described(request.region, request.current_account)})


def _wanted(pool: Pool, request: Any) -> IPv4Network:
    ask = request._get_param
    disallowed = [_network(cidr) for cidr in ask("DisallowedCidrs") or []]
    if ask("Cidr"):
        if disallowed:
            raise _invalid("Disallowed CIDRs are only allowed if using netmask length for allocation.")
        cidr = _network(ask("Cidr"))
        pool.check(cidr)
        return cidr
    length = request._get_int_param("NetmaskLength") or pool.default
    if not length:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter netmaskLength or cidr")
    if not pool.largest <= length <= pool.smallest:
        raise _invalid(f"The netmask length {length} is not allowed by the allocation rules of {pool.id}.")
    return pool.next_free(length, disallowed)


def get_ipam_pool_allocations(request: Any) -> ActionResult:
    """GetIpamPoolAllocations."""
    allocations = [one.described(request.region, request.current_account) for one in _pool(request).allocations]
    return ActionResult({"IpamPoolAllocations": allocations})


def release_ipam_pool_allocation(request: Any) -> ActionResult:
    """Only what was allocated by hand: a VPC's allocation goes with the VPC's CIDR."""
    pool, id_ = _pool(request), request._get_param("IpamPoolAllocationId")
    allocation = next((one for one in pool.allocations if one.id == id_), None)
    if allocation is None:
        raise EC2ClientError(
            "InvalidIpamPoolAllocationId.NotFound", f"The allocation ID '{id_}' does not exist in the pool {pool.id}"
        )
    if allocation.resource:
        raise _invalid(f"The allocation {id_} belongs to {allocation.resource} and cannot be released.")
    pool.allocations.remove(allocation)
    return ActionResult({"Success": True})


def _associations() -> None:
    """A VPC's further CIDR out of a pool, and back into it when the VPC gives it up."""
    associate = original(VPCs, "associate_vpc_cidr_block")
    disassociate = original(EC2Backend, "disassociate_vpc_cidr_block")

    def associate_vpc_cidr_block(request: Any) -> Any:
        if not request._get_param("Ipv4IpamPoolId"):
            return associate(request)
        pool = ipams(request.ec2_backend).pool(request._get_param("Ipv4IpamPoolId"))
        cidr = _associated(pool, request)
        request.params["CidrBlock"] = str(cidr)
        answer = associate(request)
        pool.allocations.append(Allocation(cidr, resource=request._get_param("VpcId")))
        return answer

    def disassociate_vpc_cidr_block(backend: Any, association_id: str) -> Any:
        removed = disassociate(backend, association_id)
        if ":" not in removed.get("cidr_block", ":"):
            ipams(backend).release_of(removed["vpc_id"], IPv4Network(removed["cidr_block"]))
        return removed

    replace(VPCs, "associate_vpc_cidr_block", associate_vpc_cidr_block)
    replace(EC2Backend, "disassociate_vpc_cidr_block", disassociate_vpc_cidr_block)


def _associated(pool: Pool, request: Any) -> IPv4Network:
    """CidrBlock names one of the pool's CIDRs; Ipv4NetmaskLength lets the pool choose."""
    named = request._get_param("CidrBlock")
    if named:
        cidr = _network(named)
        pool.check(cidr)
        return cidr
    return pool.next_free(request._get_int_param("Ipv4NetmaskLength") or pool.default or 32, ())


def _pool(request: Any) -> Pool:
    return ipams(request.ec2_backend).pool(request._get_param("IpamPoolId"))


def _network(text: str) -> IPv4Network:
    try:
        return IPv4Network(text)
    except ValueError:
        raise _invalid(f"Value ({text}) for parameter cidr is invalid. This is not a valid CIDR block.") from None


def _invalid(message: str) -> Any:
    return EC2ClientError("InvalidParameterValue", message)
