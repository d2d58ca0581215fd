"""The datastore of ipamd (data_store.go): which addresses a node has, which pods hold them, which are cooling down."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from local.cluster.ipamd.settings import COOLDOWN_SECONDS


@dataclass
class Eni:
    """An attached network interface that ipamd manages.

    `cidrs` are its secondary addresses (/32) and its prefixes (/28). An `excluded` ENI gives no addresses to new pods,
    a `trunk` ENI carries branch ENIs and gets no addresses, an `efa` ENI is never freed.
    """

    id: str
    primary: bool
    device_index: int
    subnet_id: str
    attachment_id: str = ""
    added_at: float = 0.0
    excluded: bool = False
    cidrs: list[IPv4Network] = field(default_factory=list)
    trunk: bool = False
    efa: bool = False


@dataclass(frozen=True)
class PoolStats:
    """data_store.go:916, GetIPStats. ENIs that are excluded count only in `prefixes` (allocatedPrefix)."""

    total: int
    assigned: int
    cooling: int
    prefixes: int = 0

    @property
    def available(self) -> int:
        """data_store.go:911, AvailableAddresses: addresses that cool down count as available."""
        return self.total - self.assigned


class Pool:
    """State only, no I/O and no clock: `now` is in seconds of the caller's clock. ENIs keep the order of attachment."""

    def __init__(self, *, prefixes: bool, cooldown_seconds: float = COOLDOWN_SECONDS) -> None:
        self.prefixes = prefixes
        self.enis: dict[str, Eni] = {}
        self.assigned: dict[IPv4Address, str] = {}
        self._cooldown_seconds = cooldown_seconds
        self._cooling: dict[IPv4Address, float] = {}

    @property
    def trunk(self) -> Eni | None:
        """The trunk ENI, if one is attached."""
        return next((eni for eni in self.enis.values() if eni.trunk), None)

    def usable_cidrs(self, eni: Eni) -> list[IPv4Network]:
        """Only prefixes count in prefix mode, only single addresses otherwise."""
        return [cidr for cidr in eni.cidrs if is_prefix(cidr) == self.prefixes]

    def stats(self, now: float) -> PoolStats:
        """The pool's counts at the time `now`, without excluded ENIs."""
        cidrs = [cidr for eni in self.enis.values() if not eni.excluded for cidr in self.usable_cidrs(eni)]
        assigned = sum(self.assigned_in(cidr) for cidr in cidrs)
        cooling = sum(1 for address in self._cooling if self.is_cooling(address, now) and _inside(address, cidrs))
        prefixes = sum(is_prefix(cidr) for eni in self.enis.values() for cidr in eni.cidrs)
        return PoolStats(sum(cidr.num_addresses for cidr in cidrs), assigned, cooling, prefixes)

    def free_prefixes(self) -> int:
        """data_store.go:1448, GetFreePrefixes: prefixes without pods, those of excluded ENIs too."""
        return sum(is_prefix(cidr) and self.assigned_in(cidr) == 0 for eni in self.enis.values() for cidr in eni.cidrs)

    def assigned_in(self, cidr: IPv4Network) -> int:
        """How many addresses of the CIDR pods have."""
        return sum(address in cidr for address in self.assigned)

    def freeable_cidrs(self, eni: Eni) -> list[IPv4Network]:
        """data_store.go:1562, FindFreeableCidrs: addresses and prefixes without pods, cooling ones too."""
        return [cidr for cidr in eni.cidrs if self.assigned_in(cidr) == 0]

    def has_pods(self, eni: Eni) -> bool:
        """Whether a pod has an address of the ENI."""
        return any(self.assigned_in(cidr) for cidr in eni.cidrs)

    def has_cooling(self, eni: Eni, now: float) -> bool:
        """Whether an address of the ENI is still cooling down."""
        return any(self.is_cooling(address, now) and _inside(address, eni.cidrs) for address in self._cooling)

    def is_cooling(self, address: IPv4Address, now: float) -> bool:
        """data_store.go:252, inCoolingPeriod."""
        return now - self._cooling.get(address, float("-inf")) <= self._cooldown_seconds

    def assign(self, holder: str, now: float) -> IPv4Address | None:
        """data_store.go:782, AssignPodIPv4Address: the address that the sandbox has, else a free one, else None.

        The CNI takes ENIs and CIDRs in the random order of Go's maps; here the first one serves.
        """
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
        """data_store.go:1179, RemoveENIFromDataStore with force: pods on it lose their addresses."""
        self.remove_cidrs(eni_id, self.enis[eni_id].cidrs)
        del self.enis[eni_id]

    def remove_cidrs(self, eni_id: str, cidrs: list[IPv4Network]) -> None:
        """data_store.go:558, DelIPv4CidrFromStore with force."""
        eni = self.enis[eni_id]
        for address in [address for address in self.assigned if _inside(address, cidrs)]:
            del self.assigned[address]
        eni.cidrs = [cidr for cidr in eni.cidrs if cidr not in cidrs]


def is_prefix(cidr: IPv4Network) -> bool:
    """Whether the CIDR is a delegated prefix, not a single address."""
    return cidr.prefixlen < 32


def _inside(address: IPv4Address, cidrs: list[IPv4Network]) -> bool:
    return any(address in cidr for cidr in cidrs)
