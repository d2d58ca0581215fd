"""ipamd: keeps a node's pool at its warm target and hands out addresses."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address

from local.cluster.ipamd import decisions
from local.cluster.ipamd.ec2 import Ec2Failure, NodeEc2
from local.cluster.ipamd.growth import EniConfigReader, Growth
from local.cluster.ipamd.management import managed
from local.cluster.ipamd.pool import Pool, is_prefix
from local.cluster.ipamd.reconciling import Reconciler
from local.cluster.ipamd.settings import CniSettings, NodeLimits

MONITOR_SECONDS = 5.0
RECONCILE_SECONDS = 60.0
DECREASE_INTERVAL_SECONDS = 30.0


class InitError(Exception):
    """ipamd gave up starting: aws-node exits, and its container is restarted with back-off."""


class Ipamd:
    """One run of ipamd, from a start of the aws-node pod to its end. Used by one thread.

    Args:
        clock: gives simulated seconds.
        read_eni_config: called at each allocation of an ENI.
        denied: told the name of an API (`ec2:CreateNetworkInterface`) which IAM refused.
        is_cordoned: whether the node has the taint of a cordon now.
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
        is_cordoned: Callable[[], bool] = lambda: False,
    ) -> None:
        self._ec2 = ec2
        self._settings = _supported(settings, limits, log)
        self._limits = _effective(settings, limits)
        self._clock = clock
        self._denied = denied
        self._is_cordoned = is_cordoned
        self._log = log
        self._last_decrease = float("-inf")
        self._last_action = float("-inf")
        self.pool = Pool(
            prefixes=self._settings.prefix_delegation, cooldown_seconds=float(self._settings.cooldown_seconds)
        )
        self._growth = Growth(ec2, self.pool, self._settings, clock, read_eni_config, log, self._report)
        self._reconciler = Reconciler(ec2, self.pool, self._settings, clock, log)

    def start(self, checkpoint: dict[str, IPv4Address]) -> None:
        """ipamd.go:458, nodeInit: find the ENIs, take over the checkpoint (sandbox -> address), fill the pool.

        Raises InitError, and Ec2Failure when EC2 cannot be asked at all.
        """
        attached = self._ec2.attached(imds_only=self._settings.imds_only)
        kept, others = managed(attached, self._settings, self._ec2.instance.id)
        self._limits = replace(self._limits, unmanaged_enis=others)
        self._reconciler.add(kept)
        for sandbox, address in checkpoint.items():
            if not self.pool.restore(sandbox, address):
                self._log.warning("Failed to recover %s of sandbox %s: no ENI has it", address, sandbox)
        self._drop_unused()
        if self._settings.pod_eni:
            self._enable_pod_security_groups()
        if self._settings.provisioning:
            self._prescale()

    def assign(self, sandbox: str) -> IPv4Address | None:
        """CNI ADD: an address for the sandbox; None if the pool has none."""
        address = self.pool.assign(sandbox, self._clock())
        if address is None:
            self._log.error("DataStore has no available IP/Prefix addresses")
        return address

    def release(self, sandbox: str) -> None:
        """CNI DEL: the sandbox's address starts to cool down."""
        self.pool.release(sandbox, self._clock())

    def checkpoint(self) -> dict[str, IPv4Address]:
        """What ipamd keeps on disk for its next start. Cool-downs are not in it."""
        return {sandbox: address for address, sandbox in self.pool.assigned.items()}

    def monitor(self) -> None:
        """One round of ipamd.go:773, StartNodeIPPoolManager."""
        if self._settings.provisioning:
            self._update_pool()
        needs_trunk = self._settings.pod_eni and self.pool.trunk is None
        if self._clock() - self._last_action > RECONCILE_SECONDS or needs_trunk:
            self._reconcile()

    def _prescale(self) -> None:
        """ipamd.go:674, handlePreScaling."""
        stats = self.pool.stats(self._clock())
        if not decisions.is_too_low(self.pool, stats, self._settings, self._limits):
            return
        try:
            self._increase()
        except Ec2Failure as failure:
            self._report(failure)
            raise InitError("error while trying to increase datastore pool") from failure
        if self._settings.custom_networking and self.pool.stats(self._clock()).total == 0:
            self._log.error("Failed to attach any ENIs for custom networking")
            raise InitError("Failed to attach any ENIs for custom networking")

    def _update_pool(self) -> None:
        """ipamd.go:796, updateIPPoolIfRequired."""
        if self._settings.pod_eni and self.pool.trunk is None:
            self._enable_pod_security_groups()
        now = self._clock()
        stats = self.pool.stats(now)
        decreased = False
        try:
            if decisions.is_too_low(self.pool, stats, self._settings, self._limits):
                self._increase()
            elif decisions.units_over(self.pool, stats, self._settings) > 0:
                decreased = now - self._last_decrease > DECREASE_INTERVAL_SECONDS
                if decreased:
                    self._decrease()
        except Ec2Failure as failure:
            self._report(failure)
        if decisions.may_have_extra_enis(self.pool, stats, self._settings, self._limits):
            self._free_one()
        if decreased:
            self._last_decrease = self._last_action = now

    def _increase(self) -> None:
        """ipamd.go:968, increaseDatastorePool. Raises Ec2Failure when addresses cannot be put on an ENI that is there.

        A subnet without enough addresses is no such error: ipamd waits.
        """
        self._log.debug("Starting to increase pool size for network card 0")
        if not decisions.may_attach(self._settings, cordoned=self._is_cordoned()):
            self._log.debug(
                "AWS CNI is on a non schedulable node, will not try to attach any new IPs or ENIs right now"
            )
            return
        if self._growth.increase(self._limits):
            self._last_action = self._clock()

    def _decrease(self) -> None:
        """ipamd.go:892, tryUnassignCidrsFromAll, which a cordon does not stop."""
        over = decisions.units_over(self.pool, self.pool.stats(self._clock()), self._settings)
        for eni_id, cidrs in decisions.freeable(self.pool, over):
            self.pool.remove_cidrs(eni_id, cidrs)
            self._reconciler.note_freed(cidrs)
            self._ec2.unassign(eni_id, cidrs)

    def _free_one(self) -> None:
        """ipamd.go:849, tryFreeENI."""
        if not decisions.may_attach(self._settings, cordoned=self._is_cordoned()):
            self._log.debug("AWS CNI is on a non schedulable node, not detaching any ENIs")
            return
        eni = decisions.deletable_eni(self.pool, self._settings, self._clock())
        if eni is None:
            return
        self._log.debug("Start freeing ENI %s from network card 0", eni.id)
        self.pool.remove_eni(eni.id)
        try:
            self._ec2.free(eni)
        except Ec2Failure as failure:
            # The ENI is out of the datastore and still there: a reconciliation adds it again.
            self._log.error("Failed to free ENI %s, err: %s", eni.id, failure)
            self._report(failure)

    def _drop_unused(self) -> None:
        """ipamd.go:565-580: unused addresses of excluded ENIs, and those of the other mode, are given back."""
        for eni in self.pool.enis.values():
            unused = [
                cidr for cidr in self.pool.freeable_cidrs(eni) if is_prefix(cidr) != self.pool.prefixes or eni.excluded
            ]
            if unused:
                self.pool.remove_cidrs(eni.id, unused)
                self._ec2.unassign(eni.id, unused)

    def _enable_pod_security_groups(self) -> None:
        """ipamd.go:1467, tryEnableSecurityGroupsForPods. The VPC resource controller, which would attach the trunk ENI,
        is not simulated."""
        if not decisions.has_room_for_trunk(self.pool, self._limits):
            self._log.error("No slot available for a trunk ENI to be attached.")

    def _reconcile(self) -> None:
        """ipamd.go:1570, nodeIPPoolReconcile."""
        others = self._reconciler.run()
        if others is not None:
            self._limits = replace(self._limits, unmanaged_enis=others)
            self._last_action = self._clock()

    def _report(self, failure: Ec2Failure) -> None:
        """awsutils.go:2565, checkAPIErrorAndBroadcastEvent."""
        self._log.debug("Error trying to allocate ENI: %s", failure)
        if failure.code == "UnauthorizedOperation":
            self._denied(failure.api)


def _supported(settings: CniSettings, limits: NodeLimits, log: logging.Logger) -> CniSettings:
    """ipamd.go:2755, isConfigValid: no prefixes on Xen."""
    if settings.prefix_delegation and not limits.prefixes_supported:
        log.warning("Prefix delegation is not supported on non-nitro instance hence falling back to secondary IP mode")
        return replace(settings, prefix_delegation=False)
    return settings


def _effective(settings: CniSettings, limits: NodeLimits) -> NodeLimits:
    """ipamd.go:1406, getMaxENI."""
    most = min(settings.max_eni, limits.max_enis) if settings.max_eni >= 1 else limits.max_enis
    return replace(limits, max_enis=most)
