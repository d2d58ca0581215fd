"""`ip-remediator snapshot`: the facts, read with the caller's own AWS credentials and access to the cluster."""

from __future__ import annotations

import sys
from argparse import Namespace

from ip_remediator.clients.kubernetes.connect import open_cluster
from ip_remediator.common.clock import utc_now
from ip_remediator.snapshot.capture import capture
from ip_remediator.snapshot.core_reads import Sources
from ip_remediator.snapshot.model import Snapshot
from ip_remediator_cli.aws import Aws
from ip_remediator_cli.documents import write_text
from ip_remediator_cli.errors import OK


def run(arguments: Namespace) -> int:
    """Reads cluster and VPC into a snapshot; what could not be read goes to standard error. Returns the exit status."""
    snapshot = read(Aws(arguments), arguments.cluster)
    for line in snapshot.unread:
        print(f"not read: {line}", file=sys.stderr)
    document = snapshot.model_dump_json(indent=2)
    if arguments.output is None:
        print(document)
    else:
        write_text(arguments.output, document, "--output")
    return OK


def read(aws: Aws, cluster: str) -> Snapshot:
    """Raises the errors of `common.errors` and `clients.kubernetes.api`."""
    eks = aws.client("eks")
    opened = open_cluster(cluster, eks, aws.credentials())
    account_id, _ = aws.caller()
    sources = Sources(eks, aws.client("ec2"), aws.client("service-quotas"), aws.client("autoscaling"), opened.kube)
    return capture(opened.described, sources, utc_now, account_id)
