"""The tags and descriptions by which ENIs of the VPC CNI are recognised."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

CLUSTER_TAG = "cluster.k8s.amazonaws.com/name"
INSTANCE_TAG = "node.k8s.amazonaws.com/instance_id"
NO_MANAGE_TAG = "node.k8s.amazonaws.com/no_manage"
CREATED_TAG = "node.k8s.amazonaws.com/createdAt"
CNI_DESCRIPTION = "aws-K8S-"


# Between its creation and its attachment an ENI looks leaked; ipamd's own clean-up waits as long (awsutils.go,
# eniDeleteCooldownTime).
YOUNG = timedelta(minutes=5)


def is_young(tags: Mapping[str, str], now: datetime) -> bool:
    """Whether the tags say that the CNI made the ENI so shortly ago that it may be about to be attached."""
    created = _time(tags.get(CREATED_TAG))
    return created is not None and now - created < YOUNG


def _time(text: str | None) -> datetime | None:
    """RFC 3339, as ipamd writes it; None for anything else."""
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
