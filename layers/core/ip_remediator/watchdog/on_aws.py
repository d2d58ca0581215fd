"""The watchdog of a deployed stack, for its function and for an operator's terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ip_remediator.address_ledger.ledger import Ledger
from ip_remediator.clients.aws.functions import invoke
from ip_remediator.clients.aws.step_functions import ended, start_remediation
from ip_remediator.common.clock import utc_now
from ip_remediator.remediation.close import Lifecycle
from ip_remediator.watchdog.callers import Callers
from ip_remediator.watchdog.rules import Ending
from ip_remediator.watchdog.watch import Watchdog

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_stepfunctions import SFNClient


def watchdog_on_aws(
    incidents: Table,
    ledger: Table,
    executions: SFNClient,
    functions: LambdaClient,
    *,
    state_machine_arn: str,
    cluster_function: str,
    callers: Callers | None = None,
) -> Watchdog:
    """`state_machine_arn`: of the remediation; `cluster_function`: the one that gives back what is in a cluster."""

    def ending(execution: str) -> Ending | None:
        described = ended(executions, execution)
        return Ending(execution=execution, **described) if described else None

    def start(incident: str, cluster: str) -> str:
        return start_remediation(executions, state_machine_arn, incident, cluster)

    def give_back(action: str, incident: str, execution: str | None) -> Any:
        document = {"action": action, "incident": incident, "execution": execution}
        return invoke(functions, cluster_function, document)

    lifecycle = Lifecycle(incidents, Ledger(ledger, utc_now), utc_now)
    return Watchdog(lifecycle, ending, start, give_back, callers)
