"""`make redrive STACK=...`: gives the dead letters of a stack back to its queue of signals.

    python -m scripts.redrive STACK

Exit status 0 when all were moved or there were none, 1 when SQS could not move them, 2 when there is no such stack.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

DEAD_LETTERS, QUEUE = "SignalsDeadLetterQueueUrl", "SignalsQueueUrl"
SECONDS_BETWEEN_LOOKS = 1.0


def main(arguments: list[str]) -> int:
    """Moves the dead letters of a stack back into the queue; returns the exit status."""
    if len(arguments) != 1 or not arguments[0]:
        print("error: name the stack: make redrive STACK=eks-ip-remediator", file=sys.stderr)
        return 2
    session = boto3.Session()
    try:
        outputs = _outputs(session.client("cloudformation"), arguments[0])
        return redrive(session.client("sqs"), outputs[DEAD_LETTERS], outputs[QUEUE])
    except KeyError as error:
        print(f"error: stack {arguments[0]} has no output {error}: is it eks-ip-remediator's?", file=sys.stderr)
    except (ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
    return 2


def redrive(sqs: Any, dead_letters: str, queue: str) -> int:
    """Moves the messages and waits until SQS has done so.

    The destination is named, because payloads of log lines were put here by Lambda: they come from no queue.
    """
    source, destination = _arn(sqs, dead_letters), _arn(sqs, queue)
    waiting = int(_attribute(sqs, dead_letters, "ApproximateNumberOfMessages"))
    print(f"{waiting} dead letters in {_name(source)}")
    if not waiting:
        return 0
    sqs.start_message_move_task(SourceArn=source, DestinationArn=destination)
    while (task := sqs.list_message_move_tasks(SourceArn=source)["Results"][0])["Status"] == "RUNNING":
        time.sleep(SECONDS_BETWEEN_LOOKS)
    moved, reason = task.get("ApproximateNumberOfMessagesMoved", 0), task.get("FailureReason")
    print(f"{moved} moved to {_name(destination)}: {task['Status']}{f', {reason}' if reason else ''}")
    return 0 if task["Status"] == "COMPLETED" else 1


def _outputs(cloudformation: Any, stack: str) -> dict[str, str]:
    [description] = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])}


def _arn(sqs: Any, url: str) -> str:
    return _attribute(sqs, url, "QueueArn")


def _attribute(sqs: Any, url: str, name: str) -> str:
    return str(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def _name(arn: str) -> str:
    return arn.rpartition(":")[2]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
