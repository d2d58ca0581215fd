"""`ip-remediator onboard`: access for the deployed functions to one cluster. Running it again changes nothing."""

from __future__ import annotations

from argparse import Namespace

from ip_remediator.adapters.clusters import open_cluster
from ip_remediator_cli.access import GROUPS, AccessEntries, check_authentication, endpoint_warnings
from ip_remediator_cli.aws import Aws, find_deployment
from ip_remediator_cli.errors import OK
from ip_remediator_cli.rbac import Rbac, read_manifests


def run(arguments: Namespace) -> int:
    manifests = read_manifests(arguments.rbac)
    aws = Aws(arguments)
    deployment = find_deployment(aws, arguments.stack)
    eks = aws.client("eks")
    cluster = open_cluster(arguments.cluster, eks, aws.credentials())
    check_authentication(cluster.described)
    if arguments.dry_run:
        print("dry run: nothing is changed; this would be done")
    # RBAC first: whoever may not write it leaves no access entry behind.
    rbac = Rbac(cluster.kube, dry_run=arguments.dry_run)
    for manifest in manifests:
        print(rbac.apply(manifest), flush=True)
    entries = AccessEntries(eks, arguments.cluster, deployment, dry_run=arguments.dry_run)
    for role in GROUPS:
        print(entries.grant(role), flush=True)
    for warning in endpoint_warnings(cluster.described):
        print(f"warning: {warning}")
    if not arguments.dry_run:
        print(f"try it: ip-remediator start --cluster {arguments.cluster} --mode observe --wait")
    return OK
