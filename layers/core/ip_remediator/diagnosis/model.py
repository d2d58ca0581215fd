"""The documents of a diagnosis, and what a verdict means for what comes next."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from ip_remediator.common.document import Document
from ip_remediator.common.enums import Verdict

CURABLE = frozenset({Verdict.SUBNET_EXHAUSTED, Verdict.PREFIX_FRAGMENTED, Verdict.ENICONFIG_MISSING})
# Cured by subnets for nodes, or for the cluster.
FOR_OTHERS = frozenset({Verdict.NODE_LAUNCH, Verdict.CLUSTER_SUBNETS})
# Every pod has its address, whatever nodes or the cluster lack.
PODS_SERVED = FOR_OTHERS | {Verdict.RECOVERED}


class NodeDiagnosis(Document):
    """Whether new address space relieves the node at once, or only its replacement does."""

    name: str
    zone: str | None
    relieved_now: bool
    reason: str


class ZoneDiagnosis(Document):
    """One zone. `free`: the sum over the subnets that its pods can use, None if EC2 was not read. `full_at`: when none
    of them will have a free address, if that is forecast and no pod waits yet."""

    zone: str
    verdict: Verdict
    reason: str
    free: int | None
    nodes: int
    stuck_pods: int
    full_at: datetime | None = None


class GroupDiagnosis(Document):
    """Nodes of one place that take addresses from the same `subnets`: those that select `eni_config`, if custom
    networking is on. `free`: the addresses that are certainly available there."""

    zone: str
    outpost: str | None = None
    eni_config: str | None = None
    subnets: tuple[str, ...] = ()
    verdict: Verdict
    reason: str
    free: int | None
    nodes: int
    stuck_pods: int


class Diagnosis(Document):
    """`groups` are what is judged. A zone's verdict is the worst of its groups with stuck pods."""

    verdict: Verdict
    summary: str
    zones: tuple[ZoneDiagnosis, ...] = ()
    groups: tuple[GroupDiagnosis, ...] = ()
    nodes: tuple[NodeDiagnosis, ...] = ()
    evidence: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = Field(default=(), description="what else would help, or where nothing else does")

    @property
    def curable(self) -> bool:
        """Whether more addresses for pods cure it."""
        return self.verdict in CURABLE
