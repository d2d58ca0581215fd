"""Logger and metrics of every function; the service name and namespace are in one place."""

from __future__ import annotations

from aws_lambda_powertools import Logger, Metrics

SERVICE = "eks-ip-remediator"
NAMESPACE = "EksIpRemediator"

logger = Logger(service=SERVICE)
metrics = Metrics(namespace=NAMESPACE, service=SERVICE)
