"""AWS's rules for network interfaces, addresses and prefixes that moto lacks, as a layer over its backend."""

# ruff: noqa: SLF001 - a layer over moto works on its models, whose state is private

from __future__ import annotations

from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Any

from local.aws.ec2 import addresses, errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class InterfaceRules:
    """Layer over moto's EC2Backend; ``Any`` stands for moto's models, which are not typed for subclassing."""

    # The address of the NAT gateway that is being created: moto draws a random one outside the subnet.
    nat_address: str | None = None
    # (named prefixes, count of automatic ones) of the CreateNetworkInterface request that is being answered.
    asked_prefixes: tuple[list[str], int] = ([], 0)
    asked_type: str = "interface"

    # --- What is taken in a subnet

    def taken(self, subnet: Any) -> set[int]:
        """Addresses of ``subnet`` held by ENIs, prefixes included."""
        numbers: set[int] = set()
        for eni in self.enis.values():  # type: ignore[attr-defined]
            if eni.subnet.id == subnet.id:
                numbers.update(int(IPv4Address(one["PrivateIpAddress"])) for one in eni.private_ip_addresses)
                numbers |= addresses.integers(IPv4Network(one["Ipv4Prefix"]) for one in prefixes(eni))
        return numbers

    def available(self, subnet: Any) -> int:
        """AvailableIpAddressCount of ``subnet``; a prefix reservation is off limits to single addresses."""
        reserved = addresses.integers(reservations(subnet, "prefix"))
        return addresses.available(subnet.cidr, self.taken(subnet) | reserved)

    def pick_addresses(self, subnet: Any, count: int) -> list[str]:
        """Free addresses for automatic assignment. InsufficientFreeAddressesInSubnet when there are too few."""
        return self._pick_beside(subnet, count, ())

    def pick_prefixes(self, subnet: Any, count: int) -> list[dict[str, str]]:
        """Free /28 prefixes. InsufficientCidrBlocks when there are too few wholly free ones."""
        closed = self.taken(subnet) | addresses.integers(reservations(subnet, "explicit"))
        try:
            picked = addresses.pick_prefixes(subnet.cidr, closed, reservations(subnet, "prefix"), count)
        except addresses.NoSpaceError:
            raise errors.no_free_prefix() from None
        return [{"Ipv4Prefix": str(one)} for one in picked]

    def check_addresses(self, subnet: Any, named: Iterable[str]) -> None:
        """Addresses asked for by name. InvalidParameterValue outside the subnet, InvalidIPAddress.InUse if held."""
        taken = self.taken(subnet)
        for address in named:
            value = IPv4Address(address)
            if value not in subnet.cidr or int(value) in addresses.reserved(subnet.cidr):
                raise errors.address_outside(address)
            if int(value) in taken:
                raise errors.address_in_use(address)

    def check_prefixes(self, subnet: Any, named: Iterable[str]) -> None:
        """Prefixes asked for by name: same errors as ``check_addresses``."""
        closed = self.taken(subnet) | addresses.reserved(subnet.cidr)
        for prefix in named:
            block = IPv4Network(prefix)
            if block.prefixlen != addresses.PREFIX_LENGTH or not block.subnet_of(subnet.cidr):
                raise errors.address_outside(prefix)
            if not closed.isdisjoint(addresses.integers([block])):
                raise errors.address_in_use(prefix)

    # --- Life of an interface

    @contextmanager
    def further_prefixes(self, named: list[str], count: int) -> Iterator[None]:
        """ENIs created inside get these prefixes: moto's request handler has no parameter for them."""
        self.asked_prefixes = (named, count)
        try:
            yield
        finally:
            self.asked_prefixes = ([], 0)

    @contextmanager
    def interface_type(self, kind: str) -> Iterator[None]:
        """ENIs created inside are of this type ("trunk", "efa-only"), which moto ignores."""
        before, self.asked_type = self.asked_type, kind
        try:
            yield
        finally:
            self.asked_type = before

    def create_network_interface(
        self,
        subnet: Any,
        private_ip_address: str | list[str],
        private_ip_addresses: list[Any] | None = None,
        *arguments: Any,
        secondary_ips_count: int | str | None = None,
        **keywords: Any,
    ) -> Any:
        """Create an ENI with free addresses of the subnet, and with prefixes."""
        place = self.get_subnet(subnet) if isinstance(subnet, str) else subnet  # type: ignore[attr-defined]
        asked = self.nat_address or private_ip_address
        listed = self._choose(place, asked, private_ip_addresses or [], int(secondary_ips_count or 0))
        primary = next(one["PrivateIpAddress"] for one in listed if one["Primary"])
        named_prefixes, prefix_count = self.asked_prefixes
        self.check_prefixes(place, named_prefixes)
        eni = super().create_network_interface(place, primary, listed, *arguments, **keywords)  # type: ignore[misc]
        eni.interface_type = self.asked_type
        try:
            chosen = self.pick_prefixes(place, prefix_count) if prefix_count else []
        except errors.ClientError:
            super().delete_network_interface(eni.id)  # type: ignore[misc]
            raise
        eni.ipv4_prefixes = [{"Ipv4Prefix": one} for one in named_prefixes] + chosen
        return eni

    def _choose(
        self, subnet: Any, primary: str | list[str] | None, listed: list[Any], secondary_count: int
    ) -> list[dict[str, Any]]:
        """PrivateIpAddresses of a new ENI: those asked for by name first, then as many free ones as are missing."""
        named = [one if isinstance(one, str) else one["PrivateIpAddress"] for one in listed]
        if isinstance(primary, list):
            primary = primary[0] if primary else None
        first = primary or next(
            (one["PrivateIpAddress"] for one in listed if isinstance(one, dict) and one.get("Primary")),
            named[0] if named else None,
        )
        wanted = [*([first] if first else []), *(one for one in named if one != first)]
        self.check_addresses(subnet, wanted)
        missing = secondary_count + (0 if first else 1)
        if missing:
            wanted += self._pick_beside(subnet, missing, wanted)
        return [{"Primary": index == 0, "PrivateIpAddress": one} for index, one in enumerate(wanted)]

    def _pick_beside(self, subnet: Any, count: int, named: Sequence[str]) -> list[str]:
        """``count`` free addresses beside those ``named``, which are about to be taken."""
        named_numbers = {int(IPv4Address(one)) for one in named}
        closed = self.taken(subnet) | addresses.integers(reservations(subnet, "prefix", "explicit"))
        try:
            return [str(one) for one in addresses.pick_addresses(subnet.cidr, closed | named_numbers, count)]
        except addresses.NoSpaceError:
            raise errors.subnet_full() from None

    def delete_network_interface(self, eni_id: str) -> None:
        """Delete an ENI. InvalidParameterValue while it is attached to an instance that runs."""
        eni = self.get_network_interface(eni_id)  # type: ignore[attr-defined]
        if eni.status == "in-use" and not (eni.instance and eni.instance.state == "terminated"):
            raise errors.interface_in_use(eni_id)
        self.forget(eni_id)

    def forget(self, eni_id: str) -> None:
        """Remove an ENI and its tags in any state: used when its instance or gateway is deleted."""
        super().delete_network_interface(eni_id)  # type: ignore[misc]
        self.tags.pop(eni_id, None)  # type: ignore[attr-defined]

    def attach_network_interface(self, eni_id: str, instance_id: str, device_index: int) -> Any:
        """Attach an ENI within the limits of the instance type. See ``errors`` for what can be refused."""
        eni = self.get_network_interface(eni_id)  # type: ignore[attr-defined]
        instance = self.get_instance(instance_id)  # type: ignore[attr-defined]
        index = int(device_index)
        if eni.status == "in-use":
            raise errors.interface_attached(eni_id)
        if instance.state in ("shutting-down", "terminated"):
            raise errors.instance_ended(instance_id)
        if eni.subnet.availability_zone != self.get_subnet(instance.subnet_id).availability_zone:  # type: ignore[attr-defined]
            raise errors.other_zone()
        if index in instance.nics:
            raise errors.device_index_taken(instance_id, index)
        interfaces, per_interface = self.interface_limits(instance.instance_type)
        if len(instance.nics) >= interfaces:
            raise errors.too_many_interfaces(len(instance.nics) + 1, instance.instance_type)
        if slots_used(eni) > per_interface:
            raise errors.too_many_addresses(eni_id)
        return super().attach_network_interface(eni_id, instance_id, index)  # type: ignore[misc]

    def attachment(self, attachment_id: str) -> tuple[str, str]:
        """(instance, interface) of an attachment, "*" when there is none."""
        for eni in self.enis.values():  # type: ignore[attr-defined]
            if eni.attachment_id == attachment_id:
                return (eni.instance.id if eni.instance else "*"), eni.id
        return "*", "*"

    def interface_limits(self, instance_type: str) -> tuple[int, int]:
        """(ENIs, IPv4 addresses per ENI) of an instance type, from DescribeInstanceTypes."""
        (described,) = self.describe_instance_types([instance_type])  # type: ignore[attr-defined]
        network = described["NetworkInfo"]
        return network["MaximumNetworkInterfaces"], network["Ipv4AddressesPerInterface"]

    # --- Addresses of an interface

    def assign(self, eni_id: str, named: list[str], count: int, named_prefixes: list[str], prefix_count: int) -> Any:
        """AssignPrivateIpAddresses: (eni, addresses newly assigned, prefixes newly assigned)."""
        eni = self.get_network_interface(eni_id)  # type: ignore[attr-defined]
        self._check_slots(eni, len(named) + count + len(named_prefixes) + prefix_count)
        self.check_addresses(eni.subnet, named)
        self.check_prefixes(eni.subnet, named_prefixes)
        new = named + (self.pick_addresses(eni.subnet, count) if count else [])
        chosen = self.pick_prefixes(eni.subnet, prefix_count) if prefix_count else []
        new_prefixes = [{"Ipv4Prefix": one} for one in named_prefixes] + chosen
        eni.private_ip_addresses.extend({"Primary": False, "PrivateIpAddress": one} for one in new)
        eni.ipv4_prefixes = prefixes(eni) + new_prefixes
        return eni, new, new_prefixes

    def unassign(self, eni_id: str, named: list[str], named_prefixes: list[str]) -> None:
        """UnassignPrivateIpAddresses of secondary addresses and prefixes. InvalidParameterValue if not assigned."""
        eni = self.get_network_interface(eni_id)  # type: ignore[attr-defined]
        secondary = {one["PrivateIpAddress"] for one in eni.private_ip_addresses if not one["Primary"]}
        assigned_prefixes = {one["Ipv4Prefix"] for one in prefixes(eni)}
        if not set(named) <= secondary or not set(named_prefixes) <= assigned_prefixes:
            raise errors.ClientError(
                "InvalidParameterValue", "Some of the specified addresses are not assigned to interface " + eni_id
            )
        eni.private_ip_addresses = [one for one in eni.private_ip_addresses if one["PrivateIpAddress"] not in named]
        eni.ipv4_prefixes = [one for one in prefixes(eni) if one["Ipv4Prefix"] not in named_prefixes]

    def _check_slots(self, eni: Any, more: int) -> None:
        if eni.instance:
            _, per_interface = self.interface_limits(eni.instance.instance_type)
            if slots_used(eni) + more > per_interface:
                raise errors.too_many_addresses(eni.id)

    # --- NAT gateways hold an address of their subnet through an ENI

    def create_nat_gateway(
        self, subnet_id: str, allocation_id: str, tags: Any = None, connectivity_type: str = "public"
    ) -> Any:
        """Create a NAT gateway whose ENI has an address of the subnet; moto gives it a random one."""
        (address,) = self.pick_addresses(self.get_subnet(subnet_id), 1)  # type: ignore[attr-defined]
        self.nat_address = address
        try:
            gateway = super().create_nat_gateway(subnet_id, allocation_id, tags, connectivity_type)  # type: ignore[misc]
        finally:
            self.nat_address = None
        eni = gateway._eni
        gateway.private_ip = eni.private_ip_address
        eni.description = f"Interface for NAT Gateway {gateway.id}"
        eni.interface_type, eni.status, eni.requester_managed = "nat_gateway", "in-use", True
        return gateway

    def delete_nat_gateway(self, nat_gateway_id: str) -> Any:
        """Delete a NAT gateway and its ENI, which moto leaves behind."""
        gateway = super().delete_nat_gateway(nat_gateway_id)  # type: ignore[misc]
        self.forget(gateway._eni.id)
        return gateway


def prefixes(eni: Any) -> list[dict[str, str]]:
    """The Ipv4Prefixes of an ENI; moto's model has no such field."""
    assigned: list[dict[str, str]] = getattr(eni, "ipv4_prefixes", [])
    return assigned


def slots_used(eni: Any) -> int:
    """Addresses and prefixes of an ENI: a prefix takes the place of one address in the instance type's limit."""
    return len(eni.private_ip_addresses) + len(prefixes(eni))


def reservations(subnet: Any, *kinds: str) -> list[IPv4Network]:
    """IPv4 CIDR reservations of ``subnet`` of one of ``kinds`` ("prefix", "explicit")."""
    return [
        one.cidr
        for one in subnet._cidr_reservations
        if one.reservation_type in kinds and isinstance(one.cidr, IPv4Network)
    ]
