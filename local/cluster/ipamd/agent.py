"""ipamd: keeps a node's pool at its warm target and hands out addresses."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from local.cluster.ipamd.decisions import FreeEni, Grow, Memory, Shrink, decide
from local.cluster.ipamd.ec2 import Ec2Failure, EniRequest, NodeEc2, NoValidSubnet
from local.cluster.ipamd.pool import Eni, Pool
from local.cluster.ipamd.settings import CniSettings, NodeLimits

MONITOR_SECONDS = 5.0
RECONCILE_SECONDS = 60.0
INSUFFICIENT_COOLDOWN_SECONDS = 120.0

_WRAPPED = (
    "Unable to attach IPs/Prefixes for the ENI, subnet doesn't seem to have enough IPs/Prefixes. "
    "Consider using new subnet or carve a reserved range using create-subnet-cidr-reservation"
)


class InitError(Exception):
    """ipamd gave up starting: aws-node exits, and its container is restarted with back-off."""


class EniConfigMissing(Exception):
    """Custom networking is on and the node's ENIConfig does not exist. `name` is the one that was looked for."""

    def __init__(self, name: str) -> None:
        super().__init__("eniconfig: eniconfig is not available")
        self.name = name


EniConfigReader = Callable[[CniSettings], tuple[str, tuple[str, ...]]]
"""Reads the node's ENIConfig now: (subnet, security groups). Raises EniConfigMissing."""


class Ipamd:
    """One run of ipamd, from a start of the aws-node pod to its end. Used by one thread.

    `clock` gives simulated seconds; `read_eni_config` is called at each allocation of an ENI; `denied` is told the
    name of an API (`ec2:CreateNetworkInterface`) which IAM refused.
    """

    def __init__(
        self,
        ec2: NodeEc2,
        settings: CniSettings,
        limits: NodeLimits,
        *,
        clock: Callable[[], float],
        read_eni_config: EniConfigReader,
        denied: Callable[[str], None],
        log: logging.Logger,
    ) -> None:
        self._ec2 = ec2
        self._settings = settings
        self._limits = limits
        self._clock = clock
        self._read_eni_config = read_eni_config
        self._denied = denied
        self._log = log
        self._memory = Memory()
        self._insufficient_since = float("-inf")
        self._reconciled = clock()
        self.pool = Pool(prefixes=settings.prefix_delegation)

    def start(self, checkpoint: dict[str, IPv4Address]) -> None:
        """Find the ENIs, take over the checkpoint (sandbox -> address), fill the pool.

        Raises InitError, and Ec2Failure when EC2 cannot be asked at all.
        """
        self._limits = self._effective_limits()
        for eni in self._ec2.attached_enis():
            self._ec2.tag(eni.id)
            self._add(eni)
        for sandbox, address in checkpoint.items():
            if not self.pool.restore(sandbox, address):
                self._log.warning("Failed to recover %s of sandbox %s: no ENI has it", address, sandbox)
        self._mark_excluded()
        self._drop_cidrs_of_other_mode()
        was_low = bool(self._grow_action())
        self.monitor()
        if was_low and self._settings.custom_networking and self.pool.stats(self._clock()).total == 0:
            self._log.error("Failed to attach any ENIs for custom networking")
            raise InitError("Failed to attach any ENIs for custom networking")

    def assign(self, sandbox: str) -> IPv4Address | None:
        address = self.pool.assign(sandbox, self._clock())
        if address is None:
            self._log.error("DataStore has no available IP/Prefix addresses")
        return address

    def release(self, sandbox: str) -> None:
        self.pool.release(sandbox, self._clock())

    def checkpoint(self) -> dict[str, IPv4Address]:
        """What ipamd keeps on disk for its next start. Cool-downs are not in it."""
        return {sandbox: address for address, sandbox in self.pool.assigned.items()}

    def monitor(self) -> None:
        """One round of the pool monitor."""
        now = self._clock()
        for action in decide(self.pool, self._settings, self._limits, self._memory, now):
            try:
                if isinstance(action, Grow):
                    self._grow(action)
                elif isinstance(action, Shrink):
                    self._shrink(action)
                else:
                    self._free(action)
            except Ec2Failure as failure:
                self._report(failure)
        if now - self._reconciled > RECONCILE_SECONDS:
            self._reconciled = now
            self._reconcile()

    def _effective_limits(self) -> NodeLimits:
        limit = self._limits.max_enis
        if 0 < self._settings.max_eni < limit:
            limit = self._settings.max_eni
        return replace(self._limits, max_enis=limit - self._ec2.unmanaged_count())

    def _grow_action(self) -> Grow | None:
        actions = decide(self.pool, self._settings, self._limits, self._memory, self._clock())
        return next((action for action in actions if isinstance(action, Grow)), None)

    def _grow(self, action: Grow) -> None:
        self._log.debug("IP pool is too low: %s", action.reason)
        if self._clock() - self._insufficient_since <= INSUFFICIENT_COOLDOWN_SECONDS:
            self._log.debug("Recently we had InsufficientCidr error hence will wait for 2m0s before retrying")
            return
        try:
            if self._grow_existing(action):
                return
        except Ec2Failure as failure:
            self._note_insufficient(failure)
            raise
        if action.on_new_eni > 0:
            self._grow_by_eni(action.on_new_eni)
        else:
            self._log.debug("Skipping ENI allocation as the max ENI limit is already reached")

    def _grow_existing(self, action: Grow) -> bool:
        for eni_id, count in action.on_enis:
            try:
                cidrs = self._assign_all_or_one(eni_id, count)
            except Ec2Failure as failure:
                # With subnet discovery a full subnet is not the end: another ENI, or a new one, may be elsewhere.
                if self._settings.subnet_discovery and failure.insufficient:
                    continue
                raise
            self.pool.enis[eni_id].cidrs.extend(cidrs)
            return True
        return False

    def _assign_all_or_one(self, eni_id: str, count: int) -> list[IPv4Network]:
        try:
            return self._ec2.assign(eni_id, count, prefixes=self.pool.prefixes)
        except Ec2Failure as failure:
            self._log.warning("failed to allocate all available IP addresses on ENI %s, err: %s", eni_id, failure)
            return self._ec2.assign(eni_id, 1, prefixes=self.pool.prefixes)

    def _grow_by_eni(self, count: int) -> None:
        try:
            subnet_id, groups = self._custom_network() if self._settings.custom_networking else ("", ())
            request = EniRequest(
                count=count,
                prefixes=self.pool.prefixes,
                subnet_id=subnet_id,
                security_groups=groups,
                discovery=self._settings.subnet_discovery,
                cluster_tag=self._settings.cluster_name,
            )
            used = {eni.device_index for eni in self._ec2.attached_enis()}
            self._add(self._ec2.create_and_attach(request, used))
        except (EniConfigMissing, NoValidSubnet) as error:
            self._log.error("Failed to increase pool size due to not able to allocate ENI %s", error)
        except Ec2Failure as failure:
            self._log.error("Failed to increase pool size due to not able to allocate ENI AllocENI: %s", failure)
            self._log.warning("Failed to allocate %d IP addresses on an ENI: %s", count, failure)
            self._note_insufficient(failure)
            self._report(failure)

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

    def _shrink(self, action: Shrink) -> None:
        for eni_id, cidrs in action.cidrs:
            self._ec2.unassign(eni_id, cidrs)
            kept = [cidr for cidr in self.pool.enis[eni_id].cidrs if cidr not in cidrs]
            self.pool.enis[eni_id].cidrs = kept
        self._memory = Memory(last_decrease=self._clock())

    def _free(self, action: FreeEni) -> None:
        eni = self.pool.enis[action.eni_id]
        self._log.debug("Start freeing ENI %s from network card 0: %s", eni.id, action.reason)
        self.pool.remove_eni(eni.id)
        self._ec2.free(eni)

    def _reconcile(self) -> None:
        """Compare with what is really attached: somebody else may have changed ENIs or addresses."""
        try:
            attached = {eni.id: eni for eni in self._ec2.attached_enis()}
        except Ec2Failure as failure:
            self._log.error("IP pool reconcile: Failed to get attached ENI info: %s", failure)
            return
        for eni_id in self.pool.enis.keys() - attached.keys():
            self._log.info("Reconcile and delete detached ENI %s", eni_id)
            self.pool.remove_eni(eni_id)
        for eni in attached.values():
            known = self.pool.enis.get(eni.id)
            if known is None:
                self._log.debug("Reconcile and add a new ENI %s", eni.id)
                self._add(eni)
            else:
                known.cidrs = eni.cidrs

    def _add(self, eni: Eni) -> None:
        eni.added_at = self._clock()
        self.pool.enis[eni.id] = eni
        self._log.info("ENI %s set up.", eni.id)

    def _mark_excluded(self) -> None:
        if not self._settings.subnet_discovery:
            return
        subnets = {eni.subnet_id for eni in self.pool.enis.values()}
        excluded = self._ec2.excluded_subnets(subnets, self._settings.cluster_name)
        for eni in self.pool.enis.values():
            if eni.subnet_id in excluded:
                message = "Marking ENI %s as excluded from pod IP allocation (in excluded subnet %s)"
                self._log.info(message, eni.id, eni.subnet_id)
                eni.excluded = True
                self._unassign_free(eni, self.pool.free_cidrs(eni))

    def _drop_cidrs_of_other_mode(self) -> None:
        """After prefix mode was switched, unused addresses (or prefixes) of the other kind are given back."""
        for eni in self.pool.enis.values():
            usable = self.pool.usable_cidrs(eni)
            self._unassign_free(eni, [c for c in eni.cidrs if c not in usable and not self.pool.assigned_in(c)])

    def _unassign_free(self, eni: Eni, cidrs: list[IPv4Network]) -> None:
        if cidrs:
            self._ec2.unassign(eni.id, cidrs)
            eni.cidrs = [cidr for cidr in eni.cidrs if cidr not in cidrs]

    def _note_insufficient(self, failure: Ec2Failure) -> None:
        if failure.insufficient:
            self._log.error(_WRAPPED)
            self._insufficient_since = self._clock()

    def _report(self, failure: Ec2Failure) -> None:
        self._log.debug("Error trying to allocate ENI: %s", failure)
        if failure.code == "UnauthorizedOperation":
            self._denied(failure.api)
