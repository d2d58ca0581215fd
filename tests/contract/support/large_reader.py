"""Runs the diagnosis of the large cluster in a process of its own, and prints what it took.

python -m tests.contract.support.large_reader http://127.0.0.1:1234
"""

from __future__ import annotations

import base64
import importlib
import json
import resource
import sys
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from ip_remediator.clients.kubernetes.api import KubeApi
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.snapshot.capture import capture
from ip_remediator.snapshot.core_reads import Sources
from tests.contract.support.large import REGION, VPC


def client(service: str, url: str) -> Any:
    """As adapters.aws makes it, but for the endpoint."""
    config = Config(max_pool_connections=16, inject_host_prefix=False)
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client(service, region_name=REGION, endpoint_url=url, config=config, **keys)  # type: ignore[call-overload]


def main(url: str) -> None:
    importlib.import_module("functions.diagnose.app")  # all that the deployed function has in memory
    sources = Sources(
        eks=client("eks", url),
        ec2=client("ec2", url),
        quotas=client("service-quotas", url),
        autoscaling=client("autoscaling", url),
        kube=KubeApi(url, base64.b64encode(b"").decode(), "token"),
    )
    described = {"name": "large", "resourcesVpcConfig": {"vpcId": VPC}}
    before, began = _kilobytes(), time.monotonic()
    snapshot = capture(described, sources, lambda: datetime.now(UTC), "000000000000")
    seconds = time.monotonic() - began
    diagnosis = diagnose(snapshot)
    body = snapshot.model_dump_json(exclude_defaults=True).encode()
    took = {
        "kilobytes_before": before,
        "kilobytes": _kilobytes(),
        "seconds": round(seconds, 1),
        "verdict": diagnosis.verdict,
        "nodes": len(snapshot.nodes),
        "interfaces": sum(len(node.interfaces) for node in snapshot.nodes),
        "stuck_pods": len(snapshot.stuck_pods),
        "security_groups": len((snapshot.vpc and snapshot.vpc.security_groups) or ()),
        "unread": snapshot.unread,
        "document_bytes": len(body),
        "stored_bytes": len(zlib.compress(body)),
    }
    sys.stdout.write(json.dumps(took))


def _kilobytes() -> int:
    """The most memory that this process had until now. getrusage alone would count what its parent had at the fork."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # macOS counts in bytes


if __name__ == "__main__":
    main(sys.argv[1])
