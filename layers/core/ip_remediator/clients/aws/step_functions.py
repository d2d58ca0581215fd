"""Starting the state machines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws.errors import aws_call

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


def start_remediation(sfn: SFNClient, state_machine_arn: str, incident_id: str, cluster: str) -> str:
    """Starts the one execution of an incident and returns its ARN. Its name is the incident's id, so however often this
    is called, Step Functions runs it once."""
    return start_once(sfn, state_machine_arn, incident_id, {"cluster": cluster, "incident": incident_id})


def start_once(sfn: SFNClient, state_machine_arn: str, name: str, document: Mapping[str, Any]) -> str:
    """Starts an execution unless one of this name exists; its ARN either way.

    Raises:
        The errors of `common.errors`.
    """
    with aws_call("StartExecution"):
        try:
            answer = sfn.start_execution(stateMachineArn=state_machine_arn, name=name, input=json.dumps(document))
            return answer["executionArn"]
        except sfn.exceptions.ExecutionAlreadyExists:
            return execution_arn(state_machine_arn, name)


def execution_arn(state_machine_arn: str, name: str) -> str:
    """The ARN of the execution of that name."""
    return state_machine_arn.replace(":stateMachine:", ":execution:") + f":{name}"


def is_running(sfn: SFNClient, execution: str) -> bool:
    """Whether the execution has not ended; one that Step Functions does not know (any more) has."""
    with aws_call("DescribeExecution"):
        try:
            return sfn.describe_execution(executionArn=execution)["status"] == "RUNNING"
        except sfn.exceptions.ExecutionDoesNotExist:
            return False


def ended(sfn: SFNClient, execution: str) -> dict[str, str] | None:
    """How the execution ended: `{"status", "error", "cause", "stopped_at"?}`; None while it runs.

    Step Functions forgets executions after 90 days, and says so of one that never was.
    """
    with aws_call("DescribeExecution"):
        try:
            described = sfn.describe_execution(executionArn=execution)
        except sfn.exceptions.ExecutionDoesNotExist:
            return {"status": "UNKNOWN", "error": "", "cause": "Step Functions does not know it"}
    if described["status"] in ("RUNNING", "PENDING_REDRIVE"):
        return None
    stopped = {"stopped_at": described["stopDate"].isoformat()} if "stopDate" in described else {}
    reason = {"error": described.get("error", ""), "cause": described.get("cause", "")}
    return {"status": described["status"], **reason, **stopped}


def resume(sfn: SFNClient, task_token: str, answer: dict[str, Any]) -> None:
    """Gives the waiting task its answer."""
    with aws_call("SendTaskSuccess"):
        sfn.send_task_success(taskToken=task_token, output=json.dumps(answer))
