"""How ipamd keeps its datastore true to what is attached: somebody else may have changed ENIs or addresses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from ipaddress import IPv4Network

from local.cluster.ipamd.ec2 import Ec2Failure, NodeEc2
from local.cluster.ipamd.growth import mark_excluded
from local.cluster.ipamd.management import TRUNK, AttachedEni, managed
from local.cluster.ipamd.pool import Eni, Pool
from local.cluster.ipamd.settings import CniSettings

RECENTLY_FREED_SECONDS = 60.0
"""ipamd.go:68, ipReconcileCooldown: what was just given back is not taken for new, should EC2 still show it."""


class Reconciler:
    """Adds, updates and removes the ENIs of one node's datastore."""

    def __init__(
        self, ec2: NodeEc2, pool: Pool, settings: CniSettings, clock: Callable[[], float], log: logging.Logger
    ) -> None:
        self._ec2 = ec2
        self._pool = pool
        self._settings = settings
        self._clock = clock
        self._log = log
        self._freed: dict[IPv4Network, float] = {}

    def note_freed(self, cidrs: Iterable[IPv4Network]) -> None:
        """ipamd.go:2684, DeallocCidrs."""
        self._freed.update(dict.fromkeys(cidrs, self._clock()))

    def add(self, attached: list[AttachedEni]) -> None:
        """ipamd.go:1267, setupENI, after TagENI; a trunk ENI is the VPC resource controller's to tag.

        Raises Ec2Failure when an ENI cannot be tagged.
        """
        for one in attached:
            if one.kind != TRUNK and self._settings.provisioning:
                self._ec2.tag(one)
            one.eni.added_at = self._clock()
            self._pool.enis[one.eni.id] = one.eni
            self._log.info("ENI %s set up.", one.eni.id)
        if attached and self._settings.subnet_discovery:
            mark_excluded(self._ec2, [one.eni for one in attached], self._settings, self._log)

    def run(self) -> int | None:
        """ipamd.go:1570, nodeIPPoolReconcile: the number of unmanaged ENIs; None when EC2 could not be asked."""
        try:
            attached = self._ec2.attached(imds_only=self._settings.imds_only)
        except Ec2Failure as failure:
            self._log.error("IP pool reconcile: Failed to get attached ENI info: %s", failure)
            return None
        kept, others = managed(attached, self._settings, self._ec2.instance.id)
        present = {one.eni.id for one in kept}
        for eni_id in self._pool.enis.keys() - present:
            self._log.info("Reconcile and delete detached ENI %s", eni_id)
            self._pool.remove_eni(eni_id)
        for one in kept:
            pool_eni = self._pool.enis.get(one.eni.id)
            if pool_eni is None:
                self._add_found(one)
            else:
                self._update(pool_eni, one.eni.cidrs)
        return others

    def _add_found(self, one: AttachedEni) -> None:
        self._log.debug("Reconcile and add a new ENI %s", one.eni.id)
        try:
            self.add([one])
        except Ec2Failure as failure:
            self._log.error("IP pool reconcile: failed to tag managed ENI %s: %s", one.eni.id, failure)

    def _update(self, pool_eni: Eni, there: list[IPv4Network]) -> None:
        """ipamd.go:1710, eniIPPoolReconcile, and verifyAndAddIPsToDatastore."""
        self._pool.remove_cidrs(pool_eni.id, [cidr for cidr in pool_eni.cidrs if cidr not in there])
        now = self._clock()
        for cidr in there:
            recently = now - self._freed.get(cidr, float("-inf")) < RECENTLY_FREED_SECONDS
            if cidr not in pool_eni.cidrs and not recently:
                pool_eni.cidrs.append(cidr)
