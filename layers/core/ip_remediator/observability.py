"""Logger and metrics of every function; the service name and namespace are in one place."""

from __future__ import annotations

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import AmazonCloudWatchEMFProvider

SERVICE = "eks-ip-remediator"
NAMESPACE = "EksIpRemediator"

logger = Logger(service=SERVICE)
metrics = Metrics(namespace=NAMESPACE, service=SERVICE)


def measure(dimensions: dict[str, str], values: dict[str, tuple[float, MetricUnit]]) -> None:
    """Prints metrics in CloudWatch's embedded format, with these dimensions and no other."""
    emf = AmazonCloudWatchEMFProvider(namespace=NAMESPACE, service="")
    for name, text in dimensions.items():
        emf.add_dimension(name, text)
    for name, (value, unit) in values.items():
        emf.add_metric(name, unit, value)
    emf.flush_metrics()
