"""`ip-remediator onboard`: access for the deployed functions to one cluster. Running it again changes nothing."""

from __future__ import annotations

from argparse import Namespace

from ip_remediator.clients.kubernetes.connect import open_cluster
from ip_remediator_cli.access import GROUPS, AccessEntries, check_authentication, endpoint_warnings
from ip_remediator_cli.aws import Aws, Deployment, find_deployment
from ip_remediator_cli.checks.insights import insights_warnings
from ip_remediator_cli.errors import OK
from ip_remediator_cli.rbac import Rbac, read_manifests


def run(arguments: Namespace) -> int:
    """Gives the functions access to a cluster; returns the exit status."""
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
    for warning in [*endpoint_warnings(cluster.described), *insights_warnings(eks, arguments.cluster)]:
        print(f"warning: {warning}")
    if not arguments.dry_run:
        print("\n".join(next_steps(arguments.cluster, deployment)))
    return OK


def next_steps(cluster: str, deployment: Deployment) -> list[str]:
    """What people do after the access is there: try it, and choose how the cluster is heard."""
    stack = f"ip-remediator-{cluster}".replace("_", "-")  # EKS allows underscores, CloudFormation does not
    function = deployment.output("IngestFunctionArn")
    return [
        f"try it: ip-remediator start --cluster {cluster} --mode observe --wait",
        f"signals: the sweep checks {cluster} every few minutes; for signals within seconds, choose sources",
        "  (onboarding/README.md#signals), such as alarms and logs of Container Insights. Leave out",
        "  AccessEntries=no where this template made the access entries, or it deletes them:",
        f"  aws cloudformation deploy --stack-name {stack} --template-file onboarding/cluster.yaml \\",
        f"    --capabilities CAPABILITY_IAM --parameter-overrides ClusterName={cluster} AccessEntries=no \\",
        f"    PendingPodsAlarm=yes DataplaneSubscription=yes IngestFunctionArn={function}",
    ]
