"""Subnet CIDR reservations that keep addresses from the nodes of stuck pods. To delete one is the cheapest cure."""

from __future__ import annotations

from collections.abc import Iterator

from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import Node
from ip_remediator.snapshot.model_vpc import Subnet, SubnetReservation
from ip_remediator.snapshot.node_room.eni_subnets import next_eni_subnets
from ip_remediator.snapshot.node_room.free_space import free_space
from ip_remediator.snapshot.node_room.limits import supports_prefixes, uses_prefixes


def reservation_cures(snapshot: Snapshot) -> Iterator[str]:
    """A command for each reservation in the subnets that the nodes of stuck pods can use."""
    hosts = {pod.node for pod in snapshot.stuck_pods}
    nodes = [node for node in snapshot.nodes if node.name in hosts and node.runs_vpc_cni]
    by_subnet = {id_: uses_prefixes(snapshot.cni, node) for node in nodes for id_ in next_eni_subnets(snapshot, node)}
    could = _could_turn_prefixes_on(snapshot, nodes)
    for subnet in [subnet for subnet in snapshot.subnets if subnet.id in by_subnet]:
        for reservation in free_space(subnet, prefixes=by_subnet[subnet.id]).reserved:
            yield _deletion(subnet, reservation, could_use_it=could and reservation.kind == "prefix")


def _could_turn_prefixes_on(snapshot: Snapshot, nodes: list[Node]) -> bool:
    return not snapshot.cni.prefix_delegation and all(supports_prefixes(node) is not False for node in nodes)


def _deletion(subnet: Subnet, reservation: SubnetReservation, *, could_use_it: bool) -> str:
    listed = f"aws ec2 get-subnet-cidr-reservations --subnet-id {subnet.id} --output text"
    query = f"--query \"SubnetIpv4CidrReservations[?Cidr=='{reservation.cidr}'].SubnetCidrReservationId\""
    id_ = reservation.id or f"$({listed} {query})"
    instead = ", or turn prefix delegation on, which takes from it" if could_use_it else ""
    return (
        f"delete the reservation {reservation.cidr} of {subnet.id} ({reservation.kind}), which keeps them from the "
        f"nodes, or make it smaller{instead}: "
        f"aws ec2 delete-subnet-cidr-reservation --subnet-cidr-reservation-id {id_}"
    )
