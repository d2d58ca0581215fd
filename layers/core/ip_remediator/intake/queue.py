"""The queue that every signal goes through, so that correlation is in one place; and the dead-letter queue for messages
that cannot be parsed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common.errors import ServiceUnavailable
from ip_remediator.signals.events import OWN_DETAIL_TYPE, OWN_SOURCE, Signal

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef

_BATCH = 10  # SQS: messages in a SendMessageBatch


class SignalQueue:
    """Raises the errors of `common.errors`."""

    def __init__(self, sqs: SQSClient, url: str) -> None:
        self._sqs = sqs
        self._url = url

    def send(self, signals: Sequence[Signal]) -> None:
        """Sends the signals in the shape of the EventBridge event that `parse_eventbridge` reads."""
        for start in range(0, len(signals), _BATCH):
            bodies = [_event(signal) for signal in signals[start : start + _BATCH]]
            with aws_call("SendMessageBatch"):
                answer = self._sqs.send_message_batch(
                    QueueUrl=self._url,
                    Entries=[{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)],
                )
            if refused := answer.get("Failed"):
                raise ServiceUnavailable(f"SQS refused {len(refused)} of {len(bodies)} signals: {refused[0]}")


class DeadLetterQueue:
    """Raises the errors of `common.errors`."""

    def __init__(self, sqs: SQSClient, url: str) -> None:
        self._sqs = sqs
        self._url = url

    def add(self, body: str, reason: str) -> None:
        """Sends a message unchanged, with the reason as its attribute `Reason`."""
        attributes: dict[str, MessageAttributeValueTypeDef] = {"Reason": {"DataType": "String", "StringValue": reason}}
        with aws_call("SendMessage"):
            self._sqs.send_message(QueueUrl=self._url, MessageBody=body, MessageAttributes=attributes)


def _event(signal: Signal) -> str:
    return json.dumps(
        {
            "version": "0",
            "id": signal.id,
            "source": OWN_SOURCE,
            "detail-type": OWN_DETAIL_TYPE,
            "time": signal.last_seen.isoformat(),
            "detail": signal.model_dump(mode="json"),
        }
    )
