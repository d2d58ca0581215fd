"""`ip-remediator doctor`: tries a deployed stack, and a cluster if one is named; says what does not work,
and what to do about it.

Nothing is changed. One signal is sent that `ingest` counts and drops, and one request that the Slack endpoint
acknowledges and does nothing about.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator

from ip_remediator_cli.aws import Aws, find_deployment
from ip_remediator_cli.checks.cluster import ClusterDoctor
from ip_remediator_cli.checks.finding import Finding, Health
from ip_remediator_cli.checks.stack import StackDoctor
from ip_remediator_cli.documents import in_format
from ip_remediator_cli.errors import FAILED, OK
from ip_remediator_cli.explain import explained
from ip_remediator_cli.tables import bullets, page, table


def run(arguments: Namespace) -> int:
    """Runs all checks; the exit status is that of a failure if one of them is broken."""
    aws = Aws(arguments)
    findings = list(_all(aws, arguments))
    if arguments.output == "table":
        print(_printed(findings))
    else:
        print(in_format(arguments.output, [finding.document() for finding in findings]))
    return FAILED if any(finding.health is Health.BROKEN for finding in findings) else OK


def _all(aws: Aws, arguments: Namespace) -> Iterator[Finding]:
    deployment = find_deployment(aws, arguments.stack)
    stack = StackDoctor(aws, deployment, arguments.slack_url)
    for name, check in stack.checks().items():
        yield _tried(name, check)
    if not arguments.cluster:
        return
    cluster = ClusterDoctor(aws, deployment, arguments.cluster)
    try:
        cluster.open()
    except Exception as error:  # every further check would say the same
        yield Finding.broken(str(explained(error))).named("cluster")
        return
    for name, check in cluster.checks().items():
        yield _tried(name, check)


def _tried(name: str, check: Callable[[], Finding]) -> Finding:
    """What the check finds; an error that it did not expect is a finding, too, so that the other checks go on."""
    try:
        return check().named(name)
    except Exception as error:  # whatever one check meets, the others are worth knowing
        return Finding.broken(str(explained(error))).named(name)


def _printed(findings: list[Finding]) -> str:
    rows = [[finding.health, finding.name, finding.detail] for finding in findings]
    remedies = [f"{finding.name}: {finding.remedy}" for finding in findings if finding.remedy]
    return page(table(["health", "check", "found"], rows), bullets("What to do", remedies))
