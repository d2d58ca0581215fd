"""The entries of the change log: what an incident changed, and what was there before."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from ip_remediator.common.document import Document


class ChangeKind(StrEnum):
    """The kinds of changes to AWS and Kubernetes, each with an undo of its own."""

    VPC_CIDR = "vpc_cidr"
    SUBNET = "subnet"
    SUBNET_TAGS = "subnet_tags"
    LEAKED_ENI = "leaked_eni"
    CRD = "crd"
    ENICONFIG = "eniconfig"
    CNI = "cni"
    RECLAIMED_WARM = "reclaimed_warm"
    WARM_TARGETS = "warm_targets"
    CORDON = "cordon"
    AUTO_SCALING_GROUP = "auto_scaling_group"
    CLUSTER_SUBNETS = "cluster_subnets"

    @property
    def in_vpc(self) -> bool:
        """Whether it is made in the VPC, and not in the cluster."""
        return self in (ChangeKind.VPC_CIDR, ChangeKind.SUBNET, ChangeKind.SUBNET_TAGS, ChangeKind.LEAKED_ENI)

    @property
    def ends_with_cluster(self) -> bool:
        """Whether it disappears with the cluster."""
        return not self.in_vpc and self is not ChangeKind.AUTO_SCALING_GROUP

    @property
    def names_subnets(self) -> bool:
        """Whether something refers to the incident's subnets while it stands."""
        return self in (
            ChangeKind.ENICONFIG,
            ChangeKind.CNI,
            ChangeKind.AUTO_SCALING_GROUP,
            ChangeKind.CLUSTER_SUBNETS,
        )

    @property
    def outstanding(self) -> bool:
        """Whether it can be undone. A leaked ENI that was deleted cannot, and nothing needs it."""
        return self is not ChangeKind.LEAKED_ENI


# What a change is called in front of its target.
_NOUNS = {
    ChangeKind.VPC_CIDR: "CIDR",
    ChangeKind.SUBNET: "subnet of",
    ChangeKind.SUBNET_TAGS: "tags of subnet",
    ChangeKind.LEAKED_ENI: "leaked ENI",
    ChangeKind.CRD: "CRD",
    ChangeKind.ENICONFIG: "ENIConfig",
    ChangeKind.CNI: "settings of",
    ChangeKind.RECLAIMED_WARM: "lowered warm targets of",
    ChangeKind.WARM_TARGETS: "warm targets of",
    ChangeKind.CORDON: "cordon of node",
    ChangeKind.AUTO_SCALING_GROUP: "subnets of Auto Scaling group",
    ChangeKind.CLUSTER_SUBNETS: "subnets of cluster",
}


class ChangeMade(Document):
    """One change, recorded before it is made, with what was there before (None: nothing), for the rollback.

    `SUBNET_TAGS` are tags of a subnet that was there before: all that is ever changed of one. `WARM_TARGETS` and
    `CORDON` are a rollback's own (`CORDON` a node replacement's, too), and last no longer than it.
    """

    kind: ChangeKind
    target: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None

    def __str__(self) -> str:
        """For people: CIDR 100.64.0.0/22, subnet of eu-west-1a."""
        return f"{_NOUNS[self.kind]} {self.target}"


class RecordedChange(ChangeMade):
    """A change as the change log has it. Neither field is part of what is stored of the change.

    `recorded_at`: when it was last recorded, which is new with each attempt. `repeated`: an earlier attempt had
    recorded it.
    """

    recorded_at: str = Field(exclude=True)
    repeated: bool = Field(default=False, exclude=True)
