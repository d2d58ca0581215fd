"""`make redrive`: dead letters go back to the queue of signals, whoever had put them there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from scripts.redrive import redrive
from tests.stack.aws.conftest import Inbox, code_of, unique

if TYPE_CHECKING:
    from local.aws.client import LocalAws


@pytest.fixture
def dead(aws: LocalAws) -> Inbox:
    return Inbox(aws)


@pytest.fixture
def queue(aws: LocalAws, dead: Inbox) -> Inbox:
    """A queue whose messages are dead once they were received."""
    queue = Inbox(aws)
    policy = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 1})
    queue.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"RedrivePolicy": policy, "VisibilityTimeout": "0"})
    return queue


def waiting(inbox: Inbox) -> int:
    names = ["ApproximateNumberOfMessages"]
    return int(inbox.sqs.get_queue_attributes(QueueUrl=inbox.url, AttributeNames=names)["Attributes"][names[0]])


def test_given_dead_letters_when_redriven_then_the_queue_has_them_and_the_command_says_how_many(
    queue: Inbox, dead: Inbox, capsys: pytest.CaptureFixture[str]
) -> None:
    queue.sqs.send_message(QueueUrl=queue.url, MessageBody='{"from": "the queue"}')
    for _ in range(2):
        queue.sqs.receive_message(QueueUrl=queue.url)
    dead.sqs.send_message(QueueUrl=dead.url, MessageBody='{"from": "lambda"}')
    assert waiting(dead) == 2
    assert redrive(queue.sqs, dead.url, queue.url) == 0
    assert waiting(dead) == 0
    assert {queue.next()["from"], queue.next()["from"]} == {"the queue", "lambda"}
    names = [inbox.arn.rpartition(":")[2] for inbox in (dead, queue)]
    assert capsys.readouterr().out.splitlines() == [
        f"2 dead letters in {names[0]}",
        f"2 moved to {names[1]}: COMPLETED",
    ]


def test_given_no_dead_letters_then_nothing_is_moved(
    queue: Inbox, dead: Inbox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert redrive(queue.sqs, dead.url, queue.url) == 0
    assert capsys.readouterr().out.startswith("0 dead letters")


def test_given_a_message_that_came_from_no_queue_when_moved_without_destination_then_it_stays(
    queue: Inbox, dead: Inbox
) -> None:
    dead.sqs.send_message(QueueUrl=dead.url, MessageBody="{}")
    dead.sqs.start_message_move_task(SourceArn=dead.arn)
    [task] = dead.sqs.list_message_move_tasks(SourceArn=dead.arn)["Results"]
    assert (task["Status"], task["FailureReason"]) == ("FAILED", "CouldNotDetermineMessageSource")
    assert (waiting(dead), waiting(queue)) == (1, 0)


def test_given_a_queue_that_is_nobodys_dead_letter_queue_when_moved_then_it_is_refused(queue: Inbox) -> None:
    arguments: dict[str, Any] = {"SourceArn": queue.arn}
    assert code_of(queue.sqs.start_message_move_task, **arguments) == "InvalidParameterValue"
    missing = queue.arn + unique("missing")
    assert code_of(queue.sqs.start_message_move_task, SourceArn=missing) == "ResourceNotFoundException"
