"""`ip-remediator offboard`: takes away what `onboard` gave. Running it again changes nothing."""

from __future__ import annotations

from argparse import Namespace

from ip_remediator.clients.kubernetes.connect import open_cluster
from ip_remediator_cli.access import GROUPS, AccessEntries
from ip_remediator_cli.aws import Aws, find_deployment
from ip_remediator_cli.errors import OK
from ip_remediator_cli.rbac import Rbac, read_manifests


def run(arguments: Namespace) -> int:
    """Removes the access of the functions to a cluster; returns the exit status."""
    manifests = read_manifests(arguments.rbac)
    aws = Aws(arguments)
    deployment = find_deployment(aws, arguments.stack)
    eks = aws.client("eks")
    cluster = open_cluster(arguments.cluster, eks, aws.credentials())
    if arguments.dry_run:
        print("dry run: nothing is changed; this would be done")
    entries = AccessEntries(eks, arguments.cluster, deployment, dry_run=arguments.dry_run)
    for role in GROUPS:
        print(entries.revoke(role), flush=True)
    # Bindings before the roles they name.
    rbac = Rbac(cluster.kube, dry_run=arguments.dry_run)
    for manifest in reversed(manifests):
        print(rbac.delete(manifest), flush=True)
    return OK
