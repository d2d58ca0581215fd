"""The deployed sweep, invoked as the schedule does, and what it prints."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.integration.support.lab import Lab


def sweep(lab: Lab) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One invocation of the deployed function, as the schedule makes it: its answer and its log's JSON lines."""
    answer = lab.aws("lambda").invoke(FunctionName="eks-ip-remediator-sweep", LogType="Tail", Payload=b"{}")
    report = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, report
    lines = base64.b64decode(answer["LogResult"]).decode().splitlines()
    assert report["failed"] == [], "\n".join(lines)
    return report, [json.loads(line) for line in lines if line.startswith("{")]


def metrics(lines: list[dict[str, Any]], cluster: str) -> list[dict[str, Any]]:
    """What CloudWatch would read of a log: `{"dimensions", "values"}` of each metric blob of the cluster."""
    blobs = [line for line in lines if "_aws" in line and line.get("ClusterName") == cluster]
    result = []
    for blob in blobs:
        [directive] = blob["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "EksIpRemediator"
        [dimensions] = directive["Dimensions"]
        values = {metric["Name"]: blob[metric["Name"]] for metric in directive["Metrics"]}
        result.append({"dimensions": {name: blob[name] for name in dimensions}, "values": values})
    return result
