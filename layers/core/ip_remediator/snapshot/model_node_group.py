"""How a managed node group is, as EKS says. Pure."""

from __future__ import annotations

from ip_remediator.common.document import Document
from ip_remediator.common.text import some_of

_WELL = "ACTIVE"
# EKS or somebody else is at work on the group (NodegroupStatus in botocore's model of EKS).
_CHANGING = ("CREATING", "UPDATING", "DELETING")


class NodeGroupState(Document):
    """`status`: EKS's word; None where somebody deleted the group. `issues`: the codes of its health issues;
    `failed_updates`: those of the errors of updates that failed; `moved_to`: its subnets, where it was made anew in
    others."""

    name: str
    status: str | None
    issues: tuple[str, ...] = ()
    failed_updates: tuple[str, ...] = ()
    moved_to: tuple[str, ...] = ()

    @property
    def is_well(self) -> bool:
        """Whether EKS finds nothing wrong with it, and nobody changes or has changed it."""
        return self.status == _WELL and not (self.issues or self.failed_updates or self.moved_to)

    @property
    def is_changing(self) -> bool:
        """Whether EKS is making, updating or deleting it."""
        return self.status in _CHANGING

    def __str__(self) -> str:
        """For people: node group spot is DEGRADED (AsgInstanceLaunchFailures)."""
        if self.status is None:
            return f"node group {self.name} was deleted"
        issues = f" ({some_of(self.issues)})" if self.issues else ""
        failed = f", an update of it failed ({some_of(self.failed_updates)})" if self.failed_updates else ""
        moved = f", was deleted and made anew in {some_of(self.moved_to)}" if self.moved_to else ""
        return f"node group {self.name} is {self.status}{issues}{failed}{moved}"
