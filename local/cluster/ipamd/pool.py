"""The datastore of ipamd: which addresses a node has, which pods hold them, which are cooling down."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

COOLDOWN_SECONDS = 30.0
"""An address given back is not handed out again for this long (datastore.ipCooldownPeriod)."""


@dataclass
class Eni:
    """An attached network interface. `cidrs` are its secondary addresses (/32) and its prefixes (/28)."""

    id: str
    primary: bool
    device_index: int
    subnet_id: str
    attachment_id: str = ""
    added_at: float = 0.0
    excluded: bool = False
    cidrs: list[IPv4Network] = field(default_factory=list)


@dataclass(frozen=True)
class PoolStats:
    total: int
    assigned: int
    cooling: int

    @property
    def available(self) -> int:
        return self.total - self.assigned - self.cooling


class Pool:
    """State only, no I/O and no clock: `now` is in seconds of the caller's clock. ENIs keep the order of attachment."""

    def __init__(self, *, prefixes: bool) -> None:
        self.prefixes = prefixes
        self.enis: dict[str, Eni] = {}
        self.assigned: dict[IPv4Address, str] = {}
        self._cooling: dict[IPv4Address, float] = {}

    def usable_cidrs(self, eni: Eni) -> list[IPv4Network]:
        """Only prefixes count in prefix mode, only single addresses otherwise."""
        return [cidr for cidr in eni.cidrs if (cidr.prefixlen < 32) == self.prefixes]

    def stats(self, now: float) -> PoolStats:
        cidrs = [cidr for eni in self.enis.values() if not eni.excluded for cidr in self.usable_cidrs(eni)]
        assigned = sum(self.assigned_in(cidr) for cidr in cidrs)
        cooling = sum(1 for address in self._cooling if self.is_cooling(address, now) and _inside(address, cidrs))
        return PoolStats(sum(cidr.num_addresses for cidr in cidrs), assigned, cooling)

    def assigned_in(self, cidr: IPv4Network) -> int:
        return sum(address in cidr for address in self.assigned)

    def free_cidrs(self, eni: Eni) -> list[IPv4Network]:
        """Addresses or prefixes which hold no pod."""
        return [cidr for cidr in self.usable_cidrs(eni) if self.assigned_in(cidr) == 0]

    def has_pods(self, eni: Eni) -> bool:
        return any(self.assigned_in(cidr) for cidr in eni.cidrs)

    def has_cooling(self, eni: Eni, now: float) -> bool:
        return any(self.is_cooling(address, now) and _inside(address, eni.cidrs) for address in self._cooling)

    def is_cooling(self, address: IPv4Address, now: float) -> bool:
        return now - self._cooling.get(address, float("-inf")) <= COOLDOWN_SECONDS

    def assign(self, holder: str, now: float) -> IPv4Address | None:
        """An address for a sandbox: the one it has, else the first free one; None when the pool is empty."""
        for address, owner in self.assigned.items():
            if owner == holder:
                return address
        for eni in self.enis.values():
            if eni.excluded:
                continue
            for cidr in self.usable_cidrs(eni):
                for address in cidr:
                    if address not in self.assigned and not self.is_cooling(address, now):
                        self.assigned[address] = holder
                        self._cooling.pop(address, None)
                        return address
        return None

    def restore(self, holder: str, address: IPv4Address) -> bool:
        """Take over an assignment from the checkpoint; False when no ENI has the address any more."""
        if not _inside(address, [cidr for eni in self.enis.values() for cidr in eni.cidrs]):
            return False
        self.assigned[address] = holder
        return True

    def release(self, holder: str, now: float) -> IPv4Address | None:
        """Give back the address of a sandbox; it cools down before it is used again."""
        address = next((address for address, owner in self.assigned.items() if owner == holder), None)
        if address is not None:
            del self.assigned[address]
            self._cooling[address] = now
        return address

    def remove_eni(self, eni_id: str) -> None:
        eni = self.enis.pop(eni_id)
        for address in [address for address in self.assigned if _inside(address, eni.cidrs)]:
            del self.assigned[address]


def _inside(address: IPv4Address, cidrs: list[IPv4Network]) -> bool:
    return any(address in cidr for cidr in cidrs)
