"""How ipamd gets more addresses: on the ENIs that are there, else with a new ENI."""

from __future__ import annotations

import logging
from collections.abc import Callable
from ipaddress import IPv4Network

from local.cluster.ipamd import decisions
from local.cluster.ipamd.ec2 import Ec2Failure, EniRequest, NodeEc2, NoValidSubnet
from local.cluster.ipamd.pool import Eni, Pool
from local.cluster.ipamd.settings import CniSettings, NodeLimits

INSUFFICIENT_COOLDOWN_SECONDS = 120.0

_WRAPPED = (
    "Unable to attach IPs/Prefixes for the ENI, subnet doesn't seem to have enough IPs/Prefixes. "
    "Consider using new subnet or carve a reserved range using create-subnet-cidr-reservation"
)


class EniConfigMissing(Exception):
    """Custom networking is on and the node's ENIConfig does not exist. `name` is the one that was looked for."""

    def __init__(self, name: str) -> None:
        super().__init__("eniconfig: eniconfig is not available")
        self.name = name


EniConfigReader = Callable[[CniSettings], tuple[str, tuple[str, ...]]]
"""Reads the node's ENIConfig now: (subnet, security groups). Raises EniConfigMissing."""


class Growth:
    """Increases one node's pool (ipamd.go:968, increaseDatastorePool), and remembers when a subnet refused."""

    def __init__(
        self,
        ec2: NodeEc2,
        pool: Pool,
        settings: CniSettings,
        clock: Callable[[], float],
        read_eni_config: EniConfigReader,
        log: logging.Logger,
        report: Callable[[Ec2Failure], None],
    ) -> None:
        self._ec2 = ec2
        self._pool = pool
        self._settings = settings
        self._clock = clock
        self._read_eni_config = read_eni_config
        self._log = log
        self._report = report
        self._insufficient_since = float("-inf")

    def increase(self, limits: NodeLimits) -> bool:
        """Whether the pool has grown. Raises Ec2Failure for errors on ENIs that are there, but a full subnet."""
        if self._clock() - self._insufficient_since <= INSUFFICIENT_COOLDOWN_SECONDS:
            self._log.debug("Recently we had InsufficientCidr error hence will wait for 2m0s before retrying")
            return False
        try:
            if self._on_existing(limits):
                return True
        except Ec2Failure as failure:
            if failure.insufficient:
                self._note_insufficient()
                return False
            raise
        if decisions.has_room_for_eni(self._pool, self._settings, limits):
            return self._by_new_eni(limits)
        self._log.debug("Skipping ENI allocation as the max ENI limit is already reached")
        return False

    def _on_existing(self, limits: NodeLimits) -> bool:
        """ipamd.go:1115 and 1217: the first ENI that takes addresses ends the round."""
        stats = self._pool.stats(self._clock())
        for eni_id, count in decisions.on_existing_enis(self._pool, stats, self._settings, limits):
            try:
                self._pool.enis[eni_id].cidrs.extend(self._all_or_one(eni_id, count))
            except Ec2Failure as failure:
                # With subnet discovery a full subnet is not the end: another ENI, or a new one, may be elsewhere.
                if self._settings.subnet_discovery and failure.insufficient:
                    continue
                raise
            return True
        return False

    def _all_or_one(self, eni_id: str, count: int) -> list[IPv4Network]:
        try:
            return self._assign(eni_id, count)
        except Ec2Failure as failure:
            self._log.warning("failed to allocate all available IP addresses on ENI %s, err: %s", eni_id, failure)
            return self._assign(eni_id, 1)

    def _assign(self, eni_id: str, count: int) -> list[IPv4Network]:
        """What is new on the ENI; when EC2 says that it is full, what the datastore did not know of (ipamd.go:1152)."""
        try:
            return self._ec2.assign(eni_id, count, prefixes=self._pool.prefixes)
        except Ec2Failure as failure:
            if not failure.over_the_eni_limit:
                raise
            cidrs_before = self._pool.enis[eni_id].cidrs
            there = next((one.eni.cidrs for one in self._ec2.attached() if one.eni.id == eni_id), [])
            return [cidr for cidr in there if cidr not in cidrs_before]

    def _by_new_eni(self, limits: NodeLimits) -> bool:
        """ipamd.go:1050, tryAllocateENI. A failure leaves the node ready, with what it has."""
        try:
            subnet_id, groups = self._custom_network() if self._settings.custom_networking else ("", ())
        except EniConfigMissing as error:
            self._log.error("Failed to increase pool size due to not able to allocate ENI %s", error)
            return False
        count = decisions.on_new_eni(self._pool, self._pool.stats(self._clock()), self._settings, limits)
        if count <= 0:
            self._log.debug("Did not allocate ENI since IPs/Prefixes needed were not greater than 0")
            return False
        request = EniRequest(
            count=count,
            prefixes=self._pool.prefixes,
            subnet_id=subnet_id,
            security_groups=groups,
            discovery=self._settings.subnet_discovery,
            cluster_tag=self._settings.cluster_name,
        )
        return self._allocate(request)

    def _allocate(self, request: EniRequest) -> bool:
        try:
            self._add(self._ec2.create_and_attach(request))
        except NoValidSubnet as error:
            self._log.error("Failed to increase pool size due to not able to allocate ENI %s", error)
            return False
        except Ec2Failure as failure:
            self._log.error("Failed to increase pool size due to not able to allocate ENI AllocENI: %s", failure)
            self._log.warning("Failed to allocate %d IP addresses on an ENI: %s", request.count, failure)
            if failure.insufficient:
                self._note_insufficient()
            self._report(failure)
            return False
        return True

    def _add(self, eni: Eni) -> None:
        eni.added_at = self._clock()
        self._pool.enis[eni.id] = eni
        if self._settings.subnet_discovery:
            mark_excluded(self._ec2, [eni], self._settings, self._log)
        self._log.info("ENI %s set up.", eni.id)

    def _custom_network(self) -> tuple[str, tuple[str, ...]]:
        try:
            subnet_id, groups = self._read_eni_config(self._settings)
        except EniConfigMissing as missing:
            self._log.error(
                'error while retrieving eniconfig: ENIConfig.crd.k8s.amazonaws.com "%s" not found', missing.name
            )
            self._log.error("Failed to get pod ENI config")
            raise
        self._log.info("ipamd: using custom network config: %s, %s", list(groups), subnet_id)
        return subnet_id, groups

    def _note_insufficient(self) -> None:
        self._log.error(_WRAPPED)
        self._insufficient_since = self._clock()


def mark_excluded(ec2: NodeEc2, enis: list[Eni], settings: CniSettings, log: logging.Logger) -> None:
    """ipamd.go:2869, excludedENIBasedOnSubnetTags: with custom networking too."""
    try:
        excluded = ec2.excluded_subnets({eni.subnet_id for eni in enis}, settings.cluster_name)
    except Ec2Failure as failure:
        log.warning("setupENI: failed to check subnet exclusion: %s", failure)
        return
    for eni in enis:
        if eni.subnet_id in excluded:
            kind = "primary" if eni.primary else "secondary"
            log.info(
                "Marking %s ENI %s as excluded from pod IP allocation (in excluded subnet %s)",
                kind,
                eni.id,
                eni.subnet_id,
            )
            eni.excluded = True
