"""The Container Insights metric an alarm on stuck pods watches."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local.cluster.workqueue import Worker

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

    from local.cluster.state import ClusterState

NAMESPACE = "ContainerInsights"
_METRIC = "pod_status_pending"
_LOG = logging.getLogger(__name__)


class ContainerInsights:
    """Publishes `pod_status_pending` of the cluster and of each namespace every `period_seconds`."""

    def __init__(self, state: ClusterState, cloudwatch: CloudWatchClient, cluster: str, period_seconds: float) -> None:
        self._state = state
        self._cloudwatch = cloudwatch
        self._cluster = cluster
        self._period_seconds = period_seconds
        self.worker = Worker("container-insights", self._publish)
        self.worker.queue.add(_METRIC)

    def _publish(self, _key: str) -> float:
        try:
            self._cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=self._data())
        except (ClientError, BotoCoreError) as error:
            _LOG.warning("metric %s not published: %s", _METRIC, error)
        return self._period_seconds

    def _data(self) -> list[Any]:
        pods = self._state.pods.all()
        pending = Counter(
            pod["metadata"]["namespace"] for pod in pods if (pod.get("status") or {}).get("phase") == "Pending"
        )
        cluster = {"Name": "ClusterName", "Value": self._cluster}
        namespaces = sorted({pod["metadata"]["namespace"] for pod in pods})
        return [_datum([cluster], sum(pending.values()))] + [
            _datum([cluster, {"Name": "Namespace", "Value": name}], pending[name]) for name in namespaces
        ]


def _datum(dimensions: list[dict[str, str]], value: int) -> dict[str, Any]:
    return {"MetricName": _METRIC, "Dimensions": dimensions, "Value": float(value), "Unit": "Count"}
