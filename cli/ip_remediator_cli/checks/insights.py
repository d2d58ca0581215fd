"""Container Insights of a cluster: whether alarms on its metrics can go off."""

from __future__ import annotations

import re
from typing import Any

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common.errors import NotFound, PermissionDenied

ADDON = "amazon-cloudwatch-observability"
# "Compare Container Insights approaches" of the CloudWatch User Guide: the metrics of earlier versions have the names
# of namespace ContainerInsights; from this one on they are PromQL-native by default.
PROMQL_SINCE = (6, 2, 0)
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


def insights_warnings(eks: Any, cluster: str) -> list[str]:
    """What keeps the alarms of onboarding/cluster.yaml from going off; nothing where it cannot be seen."""
    try:
        with aws_call("DescribeAddon"):
            addon = eks.describe_addon(clusterName=cluster, addonName=ADDON)["addon"]
    except (NotFound, PermissionDenied):
        return []
    version = str(addon.get("addonVersion", ""))
    numbers = _VERSION.match(version)
    if numbers is None or tuple(map(int, numbers.groups())) < PROMQL_SINCE:
        return []
    return [
        f"{ADDON} {version} sends PromQL metrics by default: alarms on names of namespace ContainerInsights, such as "
        "PendingPodsAlarm, do not see them. Use an alarm on PromQL (onboarding/README.md, Alarms)"
    ]
