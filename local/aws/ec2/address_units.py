"""AWS's quotas of network address units, as a layer over moto's backend.

"Network Address Usage for your VPC" of the VPC User Guide says what counts, which calls fail, and with which codes. An
ENI counts when it is made, but only the calls named there are refused; so CreateNetworkInterface goes through, and
AttachNetworkInterface fails. Which words the errors have is documented nowhere.
"""

from __future__ import annotations

from typing import Any

from local.aws.ec2 import errors
from local.aws.ec2.interface_rules import slots_used

_MANAGED = 6


class AddressUnits:
    """Layer over moto's EC2Backend; ``Any`` stands for moto's models, which are not typed for subclassing."""

    # Quotas "Network Address Usage" (L-BB24F6E5) and "Peered Network Address Usage" (L-CD17FD4B).
    unit_limit: int = 64_000
    peered_unit_limit: int = 128_000

    def attach_network_interface(self, eni_id: str, instance_id: str, device_index: int) -> Any:
        """Attach an ENI: a further one is a unit beside its addresses and prefixes."""
        self._refuse_beyond(self.get_network_interface(eni_id).subnet.vpc_id, 1)  # type: ignore[attr-defined]
        return super().attach_network_interface(eni_id, instance_id, device_index)  # type: ignore[misc]

    def assign(self, eni_id: str, named: list[str], count: int, named_prefixes: list[str], prefix_count: int) -> Any:
        """Assign addresses and prefixes, each a unit."""
        more = len(named) + count + len(named_prefixes) + prefix_count
        self._refuse_beyond(self.get_network_interface(eni_id).subnet.vpc_id, more)  # type: ignore[attr-defined]
        return super().assign(eni_id, named, count, named_prefixes, prefix_count)  # type: ignore[misc]

    def run_instances(self, image_id: str, count: int, *arguments: Any, **keywords: Any) -> Any:
        """Launch instances, each with an address."""
        if subnet_id := keywords.get("subnet_id"):
            self._refuse_beyond(self.get_subnet(subnet_id).vpc_id, int(count))  # type: ignore[attr-defined]
        return super().run_instances(image_id, count, *arguments, **keywords)  # type: ignore[misc]

    def accept_vpc_peering_connection(self, vpc_pcx_id: str) -> Any:
        """Accept a peering whose VPCs together are within the quota."""
        peering = self.get_vpc_peering_connection(vpc_pcx_id)  # type: ignore[attr-defined]
        sides = {peering.vpc.id, peering.peer_vpc.id}
        if sum(map(self.units, sides)) > self.peered_unit_limit:
            raise errors.peered_address_units(peering.peer_vpc.id)
        return super().accept_vpc_peering_connection(vpc_pcx_id)  # type: ignore[misc]

    def units(self, vpc_id: str) -> int:
        """The network address units of a VPC, as far as its network interfaces tell."""
        interfaces = self.enis.values()  # type: ignore[attr-defined]
        return sum(_units_of(eni) for eni in interfaces if eni.subnet.vpc_id == vpc_id)

    def _refuse_beyond(self, vpc_id: str, more: int) -> None:
        if self.units(vpc_id) + more > self.unit_limit:
            raise errors.address_units(vpc_id)
        peers = self._peers(vpc_id)
        if peers and sum(map(self.units, {vpc_id, *peers})) + more > self.peered_unit_limit:
            raise errors.peered_address_units(vpc_id)

    def _peers(self, vpc_id: str) -> set[str]:
        """The VPCs that are peered with this one, in this Region."""
        active = [one for one in self.vpc_pcxs.values() if one.status["Code"] == "active"]  # type: ignore[attr-defined]
        sides = [{one.vpc.id, one.peer_vpc.id} for one in active if one.vpc.region == one.peer_vpc.region]
        return set().union(*(pair for pair in sides if vpc_id in pair)) - {vpc_id}


def _units_of(eni: Any) -> int:
    if eni.interface_type == "nat_gateway":
        return _MANAGED
    return int(slots_used(eni)) + int(bool(eni.instance and eni.device_index))
