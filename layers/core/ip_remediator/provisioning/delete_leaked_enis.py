"""Deletes ENIs that the VPC CNI leaked: they hold addresses that no pod uses."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ip_remediator.common.errors import PermissionDenied, RequestRefused
from ip_remediator.common.text import counted, some_of
from ip_remediator.incidents.record import ChangeKind, ChangeMade, Incident, Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.leaked_enis import FoundInterface, LeakedEnis

# Of those left alone, how many the execution's history names.
_SHOWN = 20


@dataclass(frozen=True)
class _Kept:
    """The ENIs that are left alone, each with the reason; `refusals`: the errors among the reasons."""

    reasons: list[str]
    refusals: list[Exception]


@dataclass(frozen=True)
class LeakedInterfaces:
    """Deletes the plan's leaked ENIs. It cannot be undone: what was deleted stays in the change log."""

    incident: Incident
    incidents: Incidents
    log: ChangeLog
    enis: LeakedEnis

    def delete(self) -> dict[str, Any]:
        """Those of the plan's ENIs that still are leaked and this cluster's own: `{"deleted", "left"}`, the latter
        the first that are left alone, each with the reason.

        What is gone already counts as deleted, what is in use again is left alone, and what AWS refuses does not keep
        the others from going.

        Raises:
            PermissionDenied, RequestRefused: none of them can be deleted.
        """
        planned = {eni.id: eni for eni in self.incident.require_plan().leaked_interfaces}
        present = {eni.id: eni for eni in self.enis.look(list(planned))}
        kept = self._delete_leaked(present.values())
        deleted = len(planned) - len(kept.reasons)
        if kept.reasons and not deleted:
            none = RequestRefused(f"none of the leaked ENIs can be deleted: {some_of(kept.reasons)}")
            raise kept.refusals[0] if kept.refusals else none
        addresses = sum(eni.addresses for eni in planned.values())
        note = f"{deleted} of {counted(len(planned), 'leaked ENI')} deleted"
        if kept.reasons:
            note += f"; left alone: {some_of(kept.reasons)}"
        else:
            note += f", {counted(addresses, 'address', 'addresses')} free"
        self.incidents.complete(self.incident.id, Step.DELETE_LEAKED_ENIS, note)
        return {"deleted": deleted, "left": kept.reasons[:_SHOWN]}

    def _delete_leaked(self, present: Collection[FoundInterface]) -> _Kept:
        """Deletes those that are still leaked and ours; returns the others."""
        kept = _Kept([f"{eni.id}: {eni.left_because}" for eni in present if eni.left_because], [])
        for eni in present:
            if eni.left_because is None:
                try:
                    if not self._delete(eni):
                        kept.reasons.append(f"{eni.id}: it is in use again")
                except (PermissionDenied, RequestRefused) as error:
                    kept.reasons.append(f"{eni.id}: {error}")
                    kept.refusals.append(error)
        return kept

    def _delete(self, eni: FoundInterface) -> bool:
        before = {"subnet": eni.subnet_id, "description": eni.description, "tags": eni.tags, "addresses": eni.addresses}
        change = self.log.intend(ChangeMade(kind=ChangeKind.LEAKED_ENI, target=eni.id, before=before))
        try:
            gone = self.enis.delete(eni.id)
        except (PermissionDenied, RequestRefused):
            self.log.undone(change)
            raise
        if not gone:
            self.log.undone(change)
        return gone
