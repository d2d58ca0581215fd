"""Gives new subnets to launchers of nodes and to the cluster, and takes them back.

The present list of subnets is changed, not replaced by the one that was read before: others may have changed it in
between, and their changes stay. Karpenter gets no call: it selects the subnets by the tags that they were created
with.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ip_remediator.clients.gone import unless_gone
from ip_remediator.common.errors import RequestRefused
from ip_remediator.common.text import some_of
from ip_remediator.incidents.record import ChangeKind, ChangeMade, Incident, RecordedChange, Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.planning.model import Recipient
from ip_remediator.provisioning.auto_scaling import AutoScaling
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.cluster_subnets import ClusterSubnets


@dataclass(frozen=True)
class SubnetRecipients:
    """Raises the errors of `common.errors`."""

    incident: Incident
    incidents: Incidents
    log: ChangeLog
    groups: AutoScaling
    cluster: ClusterSubnets

    def give(self) -> int:
        """Gives each recipient of the plan its subnets; how many there are.

        Raises:
            NotYet: an update of the cluster is in progress; call again.
        """
        recipients = self.incident.require_plan().recipients
        for recipient in recipients:
            if recipient.kind == "auto-scaling-group":
                self._extend(recipient)
            elif recipient.kind == "cluster":
                self._replace(recipient)
        names = [f"{recipient.kind} {recipient.name}" for recipient in recipients]
        self.incidents.complete(self.incident.id, Step.GIVE_SUBNETS, some_of(names))
        return len(recipients)

    def _extend(self, group: Recipient) -> None:
        present = self.groups.group(group.name).subnets
        wanted = group.wanted(present, self.incident.subnets)
        if wanted == present:
            return
        before, after = {"subnets": list(present)}, {"subnets": list(wanted)}
        self.log.intend(ChangeMade(kind=ChangeKind.AUTO_SCALING_GROUP, target=group.name, before=before, after=after))
        self.groups.set_subnets(group.name, wanted)

    def _replace(self, cluster: Recipient) -> None:
        made = next(iter(self.log.made(ChangeKind.CLUSTER_SUBNETS)), None)
        if made and (update := (made.after or {}).get("update")):
            self._await(made, update)
            return
        present = self.cluster.present()
        wanted = cluster.wanted(present, self.incident.subnets)
        if wanted == present:
            return  # a call whose answer was lost did it
        before, after = {"subnets": list(present)}, {"subnets": list(wanted)}
        intended = ChangeMade(kind=ChangeKind.CLUSTER_SUBNETS, target=cluster.name, before=before, after=after)
        change = self.log.intend(intended)
        update = self.cluster.change(wanted)
        change = change.model_copy(update={"after": {**after, "update": update}})
        self.log.amend(change)
        self._await(change, update)

    def _await(self, change: RecordedChange, update: str) -> None:
        """An update that failed changed nothing: it is struck out."""
        try:
            self.cluster.wait(update)
        except RequestRefused:
            self.log.undone(change)
            raise

    def take_back(self) -> None:
        """Takes the incident's subnets away from the recipients that have them, and restores the subnets that they
        replaced.

        Raises:
            NotYet: an update of the cluster is in progress; call again.
            RequestRefused: a recipient would be left without subnets, or EKS refuses its former ones.
        """
        for change in self.log.made(ChangeKind.AUTO_SCALING_GROUP):
            self.log.require_lock()
            with unless_gone(partial(self.groups.exists, change.target)) as group:
                self._shrink(change)
            self.log.undone(change, "the group is gone" if group.gone else "")
        for change in self.log.made(ChangeKind.CLUSTER_SUBNETS):
            self.log.require_lock()
            with unless_gone(self.cluster.exists) as cluster:
                self._put_back(change)
            self.log.undone(change, "the cluster is gone" if cluster.gone else "")

    def _shrink(self, change: ChangeMade) -> None:
        present = self.groups.group(change.target).subnets
        wanted = without(present, change)
        if not wanted:
            raise RequestRefused(
                f"Auto Scaling group {change.target} has only subnets of this incident by now: give it others first"
            )
        if wanted != present:
            self.groups.set_subnets(change.target, wanted)

    def _put_back(self, change: ChangeMade) -> None:
        present = self.cluster.present()
        wanted = without(present, change)
        if wanted == present:
            return
        self.cluster.wait(self.cluster.change(wanted))


def without(present: tuple[str, ...], change: ChangeMade) -> tuple[str, ...]:
    """The former list, if nobody changed it since; otherwise the present list without what we added, and with what it
    replaced."""
    before, after = (change.before or {})["subnets"], (change.after or {})["subnets"]
    if list(present) == after:
        return tuple(before)
    ours = set(after) - set(before)
    if not ours & set(present):
        return present
    back = [id_ for id_ in before if id_ not in after]
    return tuple(dict.fromkeys((*(id_ for id_ in present if id_ not in ours), *back)))
