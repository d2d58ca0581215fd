"""Settings of aws-node that empty the block: no new ENIs, and lowered warm targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ip_remediator.incidents.record import ChangeKind
from ip_remediator.provisioning.cluster import ClusterConfiguration
from ip_remediator.rollback.rules import draining_settings


@dataclass(frozen=True)
class EniRelease:
    """The settings of aws-node under which ipamd frees the ENIs that a rollback waits for."""

    configuration: ClusterConfiguration

    def stop_new_enis(self, interfaces: int) -> dict[str, Any]:
        """The settings as they were before; while `interfaces` must leave, without warm targets."""
        reclaimed = self.configuration.restore(ChangeKind.RECLAIMED_WARM)
        restored = {"restored": self.configuration.restore(ChangeKind.CNI) or reclaimed}
        return restored | (self.lower_warm_targets() if interfaces else {})

    def lower_warm_targets(self) -> dict[str, Any]:
        """Lets ipamd free empty ENIs while a rollback waits for them; `restore_warm_targets` reverts it.

        Settings that another tool owns are not changed: the plan handed them over. ENIs of instances that live in the
        subnets, and EKS's own, do not depend on them.

        By default ipamd always keeps a spare ENI on each node, so a rollback that left the warm targets alone would
        end only where people replace the nodes.
        """
        settings = draining_settings(self.configuration.environment())
        plan = self.configuration.incident.require_plan()
        if plan.prepares_only or plan.recipients:
            settings = {}
        if settings:
            self.configuration.change_environment(ChangeKind.WARM_TARGETS, settings)
        return {"lowered": sorted(settings)}

    def restore_warm_targets(self) -> dict[str, Any]:
        """Puts the warm targets back as they were before the rollback lowered them."""
        return {"restored": self.configuration.restore(ChangeKind.WARM_TARGETS)}
