"""SQS: move tasks, which return messages from a dead-letter queue to their source queue."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

from ministack.core.concurrency import esm_wake
from ministack.services import sqs

from local.aws.corrections.guard import original, require

_tasks: dict[str, list[dict[str, Any]]] = {}


def install() -> None:
    """Restore the move tasks of SQS (API_StartMessageMoveTask.html), which MiniStack lacks."""
    require(sqs, "_queue_by_arn", "_queues", "_Err")
    original(sqs, "_HANDLERS").update(StartMessageMoveTask=_start, ListMessageMoveTasks=_list)


def _start(request: dict[str, Any], _url: str) -> dict[str, str]:
    """Move all messages at once. Without `DestinationArn` each one returns to the queue it came from."""
    source, destination = _queue(request.get("SourceArn")), request.get("DestinationArn")
    if not any(request["SourceArn"] in str(q["attributes"].get("RedrivePolicy", "")) for q in _queues()):
        raise original(sqs, "_Err")("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.")
    waiting = list(source["messages"])
    task = {
        "TaskHandle": str(uuid4()),
        "Status": "RUNNING",
        "SourceArn": request["SourceArn"],
        **({"DestinationArn": destination} if destination else {}),
        "ApproximateNumberOfMessagesMoved": 0,
        "ApproximateNumberOfMessagesToMove": len(waiting),
        "StartedTimestamp": int(time.time() * 1000),
    }
    _tasks.setdefault(request["SourceArn"], []).insert(0, task)
    for message in waiting:
        target = destination or message.get("sys", {}).get("DeadLetterQueueSourceArn")
        if not target:
            task.update(Status="FAILED", FailureReason="CouldNotDetermineMessageSource")
            return {"TaskHandle": task["TaskHandle"]}
        source["messages"].remove(message)
        _queue(target)["messages"].append(_anew(message))
        task["ApproximateNumberOfMessagesMoved"] += 1
    task["Status"] = "COMPLETED"
    esm_wake.set()
    return {"TaskHandle": task["TaskHandle"]}


def _anew(message: dict[str, Any]) -> dict[str, Any]:
    """A copy of a message as SQS delivers it after a move: with a new id and a receive count of zero."""
    fresh = {"id": str(uuid4()), "receipt_handle": None, "receive_count": 0, "first_receive_at": None}
    return {**message, **fresh, "visible_at": time.time(), "sys": {**message.get("sys", {})}}


def _list(request: dict[str, Any], _url: str) -> dict[str, list[dict[str, Any]]]:
    """The latest first."""
    return {"Results": _tasks.get(request["SourceArn"], [])[: int(request.get("MaxResults") or 1)]}


def _queue(arn: str | None) -> dict[str, Any]:
    queue: dict[str, Any] | None = original(sqs, "_queue_by_arn")(arn or "")
    if queue is None:
        raise original(sqs, "_Err")("ResourceNotFoundException", f"The queue {arn} does not exist.")
    return queue


def _queues() -> list[dict[str, Any]]:
    return list(original(sqs, "_queues").values())
