"""`ip-remediator start`: a remediation by hand, the same that events start."""

from __future__ import annotations

import secrets
from argparse import Namespace

from ip_remediator.clients.aws.eks import Eks
from ip_remediator.clients.aws.step_functions import start_once
from ip_remediator.common.clock import utc_now
from ip_remediator.common.enums import Outcome
from ip_remediator.common.errors import PermissionDenied
from ip_remediator.incidents.record import Incident
from ip_remediator.incidents.requests import ManualRun
from ip_remediator_cli.aws import Aws, find_deployment
from ip_remediator_cli.commands.status import describe
from ip_remediator_cli.documents import validated
from ip_remediator_cli.errors import FAILED, NOT_CURABLE, NOT_NEEDED, OK, CommandError
from ip_remediator_cli.executions import Execution, follow
from ip_remediator_cli.records import IncidentRecords

# Opening the incident takes a function's cold start; an input it refuses is known by then.
_OPENING_SECONDS = 20.0
_OPTIONS = {name: f"--{name}" for name in ("cluster", "mode", "reason", "block", "strategy")} | {"zones": "--zone"}
_STATUS = {
    Outcome.HEALED: OK,
    Outcome.OBSERVED: OK,
    Outcome.PREPARED: OK,
    Outcome.NOT_NEEDED: NOT_NEEDED,
    Outcome.NOT_CURABLE: NOT_CURABLE,
}


def run(arguments: Namespace) -> int:
    """Starts a remediation; with `--wait` the exit status says how it ended."""
    aws = Aws(arguments)
    given = {name: getattr(arguments, name) for name in ManualRun.model_fields}
    wanted = {name: value for name, value in given.items() if value is not None}
    validated(ManualRun, wanted, "input", _OPTIONS)
    deployment = find_deployment(aws, arguments.stack)
    _require_cluster(aws, arguments.cluster)
    records = IncidentRecords(aws, deployment)
    wanted.setdefault("reason", f"started by hand by {aws.caller()[1]}"[:300])
    sfn = aws.client("stepfunctions")
    name = f"{arguments.cluster[:40]}-by-hand-{utc_now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    execution = Execution(sfn, start_once(sfn, deployment.output("RemediationStateMachineArn"), name, wanted))
    print(f"execution {execution.arn}", flush=True)
    incident = _opened(execution, records, arguments.cluster)
    if incident is None:
        print(f"not opened yet; look again later: ip-remediator status --cluster {arguments.cluster}")
        return OK
    print(f"incident  {incident}", flush=True)
    if not arguments.wait:
        print(f"follow it in Slack, or: ip-remediator status {incident}")
        return OK
    follow(execution, records, incident)
    closed = records.get(incident)
    print(f"\n{describe(closed, [])}")
    return _exit_status(closed)


def _require_cluster(aws: Aws, cluster: str) -> None:
    """A name that EKS does not know opens no incident. Who may not ask EKS goes on: the functions may.

    Raises ClusterNotFound.
    """
    try:
        Eks(aws.client("eks"), cluster).describe()
    except PermissionDenied:
        return


def _opened(execution: Execution, records: IncidentRecords, cluster: str) -> str | None:
    """The incident that the execution opened; None while it has not.

    Raises:
        CommandError: it ended without one; the message is the state machine's.
    """
    for ending in execution.wait(_OPENING_SECONDS):
        latest = records.latest(cluster)
        if latest and latest.execution == execution.arn:
            return latest.id
        if ending:
            raise CommandError(f"{ending}; see `ip-remediator status --cluster {cluster}`")
    return None


def _exit_status(closed: Incident) -> int:
    return FAILED if closed.outcome is None else _STATUS.get(closed.outcome, FAILED)
