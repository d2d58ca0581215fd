"""Reserves an incident's block in the ledger; the ledger or a VPC IPAM pool chooses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from ip_remediator.address_ledger.ipam import Ipam
from ip_remediator.address_ledger.ledger import ACCOUNT, BlockTaken, Ledger, PoolExhausted, Reservation
from ip_remediator.common.errors import NotFound, RequestRefused
from ip_remediator.incidents.record import Incident
from ip_remediator.incidents.requests import InvalidInput
from ip_remediator.planning.model import BlockRequirement
from ip_remediator.planning.preconditions import CannotPlan

# How many blocks of an IPAM pool other incidents may hold before we give up.
PREVIEWS = 20


@dataclass(frozen=True)
class Blocks:
    """`ipam` is only used if the requirement names an IPAM pool."""

    ledger: Ledger
    ipam: Ipam | None = None

    def take(self, incident: Incident, vpc_id: str, needed: BlockRequirement, *, exactly: bool) -> IPv4Network | None:
        """Reserves the incident's block: the one it already holds if that still fits, else another. Returns None, and
        releases the block it holds, if no new block is needed. `exactly`: a person asked for this block.

        Raises:
            CannotPlan: no block is free.
            InvalidInput: the block that was asked for is reserved by another.
        """
        # A CIDR that the VPC already has is a reservation itself; blocks inside it have a scope of their own.
        scope = vpc_id if needed.source == "existing-cidr" else ACCOUNT
        book = _Book(self.ledger, incident.id, scope, {"cluster": incident.cluster, "vpc": vpc_id})
        taken = [IPv4Network(cidr, strict=False) for cidr in needed.excluded]
        reservation = self.ledger.reservation_of(incident.id)
        if reservation and not (needed.needs_block and _fits(reservation, needed, taken, scope)):
            self.ledger.release(incident.id)
        if not needed.needs_block:
            return None
        if needed.ipam_pool:
            return self._of_ipam(book, needed.ipam_pool, needed.prefix, taken)
        return book.exactly_asked(needed) if exactly else book.first_free(needed, taken)

    def release(self, incident: Incident) -> None:
        """Gives the incident's block back; nothing happens if it holds none."""
        self.ledger.release(incident.id)

    def _of_ipam(self, book: _Book, pool: str, prefix: int, taken: list[IPv4Network]) -> IPv4Network:
        """The next block that the pool would allocate and that no other incident has reserved."""
        if self.ipam is None:
            raise CannotPlan(f"the IPAM pool {pool} cannot be asked")
        disallowed = list(taken)
        for _ in range(PREVIEWS):
            try:
                block = self.ipam.preview(pool, prefix, disallowed)
            except (NotFound, RequestRefused) as error:
                raise CannotPlan(f"the IPAM pool {pool} gives no /{prefix}: {error}") from error
            try:
                return book.instead(block)
            except BlockTaken:
                disallowed.append(block)
        raise CannotPlan(f"other incidents hold the next {PREVIEWS} blocks of the IPAM pool {pool}")


@dataclass(frozen=True)
class _Book:
    """The ledger, as one incident writes to it."""

    ledger: Ledger
    owner: str
    scope: str
    detail: dict[str, str]

    def first_free(self, needed: BlockRequirement, taken: Sequence[IPv4Network]) -> IPv4Network:
        """The largest size that some pool has, of the first pool that has it."""
        refusals = []
        for prefix in dict.fromkeys(block for block, _ in needed.sizes):
            for pool in needed.pools:
                try:
                    return self.ledger.reserve(
                        self.owner, IPv4Network(pool), prefix, taken, scope=self.scope, detail=self.detail
                    )
                except PoolExhausted as error:
                    refusals.append(str(error))
        raise CannotPlan("; ".join(refusals[-len(needed.pools) :]))

    def exactly_asked(self, needed: BlockRequirement) -> IPv4Network:
        try:
            return self._exactly(IPv4Network(needed.pools[0]))
        except BlockTaken as error:
            raise InvalidInput(f"field 'block': {error}") from error

    def instead(self, block: IPv4Network) -> IPv4Network:
        """Reserves `block` in place of any other block that the incident holds."""
        reservation = self.ledger.reservation_of(self.owner)
        if reservation and reservation.block != block:
            self.ledger.release(self.owner)
        return self._exactly(block)

    def _exactly(self, block: IPv4Network) -> IPv4Network:
        return self.ledger.reserve_exactly(self.owner, block, scope=self.scope, detail=self.detail)


def _fits(reservation: Reservation, needed: BlockRequirement, taken: Sequence[IPv4Network], scope: str) -> bool:
    """Whether the block reserved for an earlier plan fits this one. For an IPAM pool the next preview decides."""
    inside = needed.ipam_pool is not None or any(
        reservation.block.subnet_of(IPv4Network(pool)) for pool in needed.pools
    )
    return (
        reservation.scope == scope
        and reservation.block.prefixlen in {block for block, _ in needed.sizes}
        and inside
        and not any(reservation.block.overlaps(network) for network in taken)
    )
