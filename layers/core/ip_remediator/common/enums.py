"""The enums that describe an incident, and its id: all that the light parts (signals, timeline) need of it.

`ingest` and `announce` start without the documents of diagnosis and plan, so this module imports none of them.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum


class Mode(StrEnum):
    """How far the remediator goes by itself."""

    OBSERVE = "observe"
    APPROVE = "approve"
    AUTO = "auto"


class Verdict(StrEnum):
    """What is wrong. Only the first three are cured by more address space for pods, or its ENIConfigs.

    With `node_launch` and `cluster_subnets` every pod has its address: nodes, or the cluster, need other subnets.
    """

    SUBNET_EXHAUSTED = "subnet_exhausted"
    PREFIX_FRAGMENTED = "prefix_fragmented"
    ENICONFIG_MISSING = "eniconfig_missing"
    NODE_LIMIT = "node_limit"
    NODE_LAUNCH = "node_launch"
    CLUSTER_SUBNETS = "cluster_subnets"
    ENI_QUOTA = "eni_quota"
    CNI_FAULT = "cni_fault"
    RECOVERED = "recovered"
    UNSUPPORTED = "unsupported"


class Outcome(StrEnum):
    """How an incident ended. `undone`: it failed before the CNI was switched, and all changes were undone.
    `prepared`: everything that could be made exists, and people must run the rest."""

    HEALED = "healed"
    PARTLY = "partly"
    PREPARED = "prepared"
    FAILED = "failed"
    UNDONE = "undone"
    NOT_CURABLE = "not_curable"
    NOT_NEEDED = "not_needed"
    OBSERVED = "observed"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"


def incident_id(cluster: str, opened_at: datetime, nonce: str) -> str:
    """A name that sorts by time and fits an execution name, a tag value and an ENIConfig label (63 characters)."""
    slug = "".join(letter if letter.isalnum() or letter == "-" else "-" for letter in cluster)[:35].strip("-")
    return f"{slug}-{opened_at:%Y%m%d-%H%M%S}-{nonce[:6]}"
