"""The stream's changes become one Slack message per incident, and e-mail while Slack is out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from functions.notify import app
from ip_remediator.approvals.questions import Approvals
from ip_remediator.common.actor import Actor
from ip_remediator.common.clock import utc_now
from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.incidents.record import ApprovalState, Policy, Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.remediation.close import Lifecycle
from ip_remediator.settings import SettingMissing
from ip_remediator.watchdog.watch import Watchdog
from tests.stack.slack.harness import CHANNEL, Slack
from tests.unit.support.records import DIAGNOSIS, PLAN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb.service_resource import Table


@dataclass
class Mailbox:
    """What the fallback topic delivered."""

    topic: str
    queue: str

    def read(self) -> list[dict[str, Any]]:
        result = boto3.client("sqs").receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in result.get("Messages", [])]


@pytest.fixture
def mailbox(aws: str, table: Table) -> Mailbox:
    sns, sqs = boto3.client("sns"), boto3.client("sqs")
    topic = sns.create_topic(Name=table.name)["TopicArn"]
    queue = sqs.create_queue(QueueName=table.name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    document = json.dumps({"Version": "2012-10-17", "Statement": [policy]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": document})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return Mailbox(topic, queue)


@pytest.fixture(autouse=True)
def function(
    table: Table, slack: Slack, secret: str, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The function's environment, in a container that just started."""
    variables = {
        "INCIDENTS_TABLE": table.name,
        "SLACK_SECRET": secret,
        "SLACK_API_URL": f"{slack.url}/api/",
        "SLACK_CHANNEL": CHANNEL,
        "SLACK_MENTION": "S0000ONCALL",
        "SLACK_ENDPOINT": "function-url",
        "DOCS_URL": "none",
        "COOL_DOWN_MINUTES": "15",
        "FALLBACK_TOPIC": mailbox.topic,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    caches = (app._settings, app._secret, app._notifier)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.fixture
def incidents(table: Table) -> Incidents:
    return Incidents(table, utc_now)


@pytest.fixture
def opened(incidents: Incidents) -> str:
    return open_incident(incidents, "prod", "a pod without an address")


def open_incident(incidents: Incidents, cluster: str, reason: str = "", channel: str | None = None) -> str:
    """An incident whose cluster's tags have been read."""
    opened = incidents.open(cluster, "ap-northeast-2", Mode.AUTO, reason)
    incidents.record_policy(opened, Policy(mode=Mode.AUTO, slack_channel=channel))
    return opened


def image_of(table: Table, incident: str) -> dict[str, Any]:
    """The record as the stream shows it now."""
    key = {"pk": {"S": f"INCIDENT#{incident}"}, "sk": {"S": "META"}}
    return dict(boto3.client("dynamodb").get_item(TableName=table.name, Key=key)["Item"])


def deliver(*images: dict[str, Any]) -> None:
    """A batch of the stream."""
    records = [{"eventName": "MODIFY", "dynamodb": {"NewImage": image}} for image in images]
    app.handler({"Records": records}, SimpleNamespace(function_name="notify"))


def of(incident: str, slack: Slack) -> list[dict[str, Any]]:
    return [message for message in slack.messages() if incident in str(message)]


def test_a_new_incident_is_posted_and_the_record_knows_where(
    table: Table, incidents: Incidents, slack: Slack, opened: str
):
    deliver(image_of(table, opened))

    [message] = of(opened, slack)
    assert "looking for the cause" in message["text"]
    place = incidents.get(opened).slack
    assert place is not None
    assert (place.channel, place.ts) == (CHANNEL, message["ts"])


@pytest.mark.parametrize(("own", "used"), [("#platform", "C0PLATFORM"), ("random", CHANNEL), ("no-such", CHANNEL)])
def test_a_cluster_with_a_channel_of_its_own_is_told_there_if_the_app_may_write_there(
    table: Table, incidents: Incidents, slack: Slack, own: str, used: str
):
    opened = open_incident(incidents, "payments", channel=own)

    deliver(image_of(table, opened))

    assert [message["channel"] for message in of(opened, slack)] == [used]


def test_nothing_is_posted_before_the_clusters_tags_are_read(table: Table, incidents: Incidents, slack: Slack):
    opened = incidents.open("prod", "ap-northeast-2", Mode.AUTO, "a pod without an address")

    deliver(image_of(table, opened))
    assert of(opened, slack) == []

    incidents.close(incidents.get(opened), Outcome.FAILED)
    deliver(image_of(table, opened))
    assert len(of(opened, slack)) == 1


def test_later_changes_update_the_same_message(table: Table, incidents: Incidents, slack: Slack, opened: str):
    deliver(image_of(table, opened))

    incidents.complete(opened, Step.DIAGNOSE, diagnosis=DIAGNOSIS)
    deliver(image_of(table, opened))

    [message] = of(opened, slack)
    assert "subnet exhausted" in message["text"]


def test_a_burst_of_changes_makes_one_message_with_the_last_state(
    table: Table, incidents: Incidents, slack: Slack, opened: str
):
    images = [image_of(table, opened)]
    incidents.complete(opened, Step.DIAGNOSE, diagnosis=DIAGNOSIS)
    images.append(image_of(table, opened))
    incidents.complete(opened, Step.PLAN, plan=PLAN)
    images.append(image_of(table, opened))

    deliver(*images)

    [message] = of(opened, slack)
    assert "100.64.0.0/22" in message["text"]
    assert len([call for call in slack.calls() if opened in str(call)]) == 1


def test_an_image_from_before_the_message_was_posted_posts_no_second_one(
    table: Table, incidents: Incidents, slack: Slack, opened: str
):
    early = image_of(table, opened)
    deliver(early)

    incidents.complete(opened, Step.DIAGNOSE, diagnosis=DIAGNOSIS)
    deliver(early)

    [message] = of(opened, slack)
    assert "subnet exhausted" in message["text"], "a stale image must not take the message back"


def replies(incidents: Incidents, slack: Slack, incident: str) -> list[dict[str, Any]]:
    """Those in the thread of the incident's message."""
    place = incidents.get(incident).slack
    assert place is not None
    return [message for message in slack.messages() if message["thread_ts"] == place.ts]


def test_a_decision_that_is_wanted_is_heard_once_with_a_mention_and_settled_when_it_is_answered(
    table: Table, incidents: Incidents, slack: Slack, opened: str
):
    approvals = Approvals(table, utc_now)
    incidents.complete(opened, Step.DIAGNOSE, diagnosis=DIAGNOSIS)
    incidents.complete(opened, Step.PLAN, plan=PLAN)
    deliver(image_of(table, opened))
    assert replies(incidents, slack, opened) == []

    asked = approvals.ask(opened, PLAN.hash, "token", utc_now() + timedelta(minutes=15))
    deliver(image_of(table, opened))
    deliver(image_of(table, opened))
    [question] = replies(incidents, slack, opened)
    assert question["broadcast"]
    assert "<!subteam^S0000ONCALL>" in question["text"]
    assert "Add 100.64.0.0/22?" in question["text"]

    approvals.decide(asked.id, ApprovalState.APPROVED, Actor.slack("U0000ONCALL", "on-call"))
    deliver(image_of(table, opened))
    [answered] = replies(incidents, slack, opened)
    assert answered["ts"] == question["ts"]
    assert "prod: Add 100.64.0.0/22? Settled, approved by <@U0000ONCALL>" in answered["text"]
    assert "<!subteam" not in answered["text"], "nobody is called for what is settled"


def test_people_are_reminded_once_for_each_question_and_both_replies_are_settled(
    table: Table, incidents: Incidents, slack: Slack, opened: str
):
    approvals = Approvals(table, utc_now)
    incidents.complete(opened, Step.PLAN, plan=PLAN)
    for token in ("first", "second"):
        asked = approvals.ask(opened, PLAN.hash, token, utc_now() + timedelta(minutes=15))
        deliver(image_of(table, opened))
        assert approvals.remind(opened, asked, f"{token}-again")
        deliver(image_of(table, opened))
        incidents.complete(opened, Step.VERIFY, f"the message changes after {token}")
        deliver(image_of(table, opened))

    settled = ["settled" in reply["text"] for reply in replies(incidents, slack, opened)]
    assert settled == [True, True, False, False], "a newer question took the place of the first"
    assert "still waits for an answer" in replies(incidents, slack, opened)[-1]["text"]


@pytest.mark.parametrize("own", ["none", "here"])
def test_the_tag_of_a_cluster_says_who_is_mentioned(
    table: Table, incidents: Incidents, slack: Slack, opened: str, own: str
):
    incidents.record_policy(opened, Policy(mode=Mode.AUTO, slack_mention=own))
    incidents.complete(opened, Step.DIAGNOSE, diagnosis=DIAGNOSIS)
    incidents.close(incidents.get(opened), Outcome.FAILED)

    deliver(image_of(table, opened))

    [call] = replies(incidents, slack, opened)
    assert "failed" in call["text"]
    assert ("<!here>" in call["text"]) == (own == "here")
    assert "<!subteam" not in call["text"]


def test_a_call_that_slack_does_not_take_goes_by_mail_and_is_made_again(
    table: Table, incidents: Incidents, slack: Slack, mailbox: Mailbox, opened: str
):
    incidents.complete(opened, Step.PLAN, plan=PLAN)
    deliver(image_of(table, opened))
    approvals = Approvals(table, utc_now)
    approvals.ask(opened, PLAN.hash, "token", utc_now() + timedelta(minutes=15))
    slack.fault(method="chat.postMessage", error="fatal_error")

    deliver(image_of(table, opened))
    [message] = of(opened, slack)
    assert "Add 100.64.0.0/22?" in message["text"]
    assert len(mailbox.read()) == 1
    assert replies(incidents, slack, opened) == []

    deliver(image_of(table, opened))
    assert len(replies(incidents, slack, opened)) == 1


def test_what_looks_the_same_is_not_sent_again(table: Table, slack: Slack, opened: str):
    deliver(image_of(table, opened))
    calls = len(slack.calls())

    deliver(image_of(table, opened))

    assert len(slack.calls()) == calls


def test_records_other_than_incidents_and_deletions_are_passed_over(table: Table, slack: Slack, opened: str):
    event = {**image_of(table, opened), "sk": {"S": "EVENT#1"}}
    gone = {**image_of(table, opened), "pk": {"S": "INCIDENT#gone"}}

    deliver(event, gone)
    app.handler({"Records": [{"eventName": "REMOVE", "dynamodb": {}}]}, SimpleNamespace(function_name="notify"))

    assert of(opened, slack) == []


@pytest.mark.parametrize(
    "fault",
    [
        {"method": "chat.postMessage", "status": 500, "times": 2},
        {"method": "chat.postMessage", "status": 429, "retry_after": 0, "times": 2},
        {"method": "chat.postMessage", "drop": True, "times": 1},
    ],
)
def test_a_passing_fault_is_waited_out(
    table: Table, slack: Slack, mailbox: Mailbox, opened: str, fault: dict[str, Any]
):
    slack.fault(**fault)

    deliver(image_of(table, opened))

    assert len(of(opened, slack)) == 1
    assert mailbox.read() == []


@pytest.mark.parametrize("lost", [{"drop": True}, {"status": 500}])
@pytest.mark.parametrize("times", [1, 2])
def test_given_a_post_whose_answer_is_lost_then_there_is_one_message_with_the_last_state(
    table: Table, incidents: Incidents, slack: Slack, opened: str, lost: dict[str, Any], times: int
):
    slack.fault(method="chat.postMessage", when="after", times=times, **lost)
    deliver(image_of(table, opened))
    incidents.complete(opened, Step.DIAGNOSE, diagnosis=DIAGNOSIS)
    deliver(image_of(table, opened))

    [message] = of(opened, slack)
    assert incidents.get(opened).slack is not None
    assert len(message["versions"]) > 1


@pytest.mark.parametrize("channel", [None, "eks-incidents", "#eks-incidents"])
def test_given_a_function_that_is_killed_after_its_post_then_the_next_finds_the_message(
    table: Table, incidents: Incidents, slack: Slack, channel: str | None
):
    opened = open_incident(incidents, "prod", channel=channel)
    deliver(image_of(table, opened))
    first = incidents.get(opened).slack
    key = {"pk": f"INCIDENT#{opened}", "sk": "META"}
    boto3.resource("dynamodb").Table(table.name).update_item(Key=key, UpdateExpression="REMOVE slack")
    deliver(image_of(table, opened))

    assert len(of(opened, slack)) == 1
    assert incidents.get(opened).slack == first


def test_given_a_clock_that_is_ahead_of_slacks_when_an_answer_is_lost_then_the_message_is_found(
    table: Table, slack: Slack
):
    ahead = Incidents(table, lambda: utc_now() + timedelta(seconds=30))
    opened = open_incident(ahead, "prod", "a pod without an address")
    slack.fault(method="chat.postMessage", when="after", drop=True)
    deliver(image_of(table, opened))
    assert len(of(opened, slack)) == 1


def test_given_an_app_that_may_not_read_the_channel_then_it_posts_all_the_same(
    table: Table, incidents: Incidents, slack: Slack, opened: str
):
    slack.fault(method="conversations.history", error="missing_scope")
    deliver(image_of(table, opened))
    assert len(of(opened, slack)) == 1


def test_given_an_app_that_may_not_look_for_a_named_channel_then_it_posts_all_the_same(
    table: Table, incidents: Incidents, slack: Slack
):
    opened = open_incident(incidents, "prod", channel="eks-incidents")
    slack.fault(method="users.conversations", error="missing_scope")
    deliver(image_of(table, opened))
    assert len(of(opened, slack)) == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"status": 500, "times": 9}, "Server Error"),
        ({"status": 429, "retry_after": 60}, "ratelimited"),
        ({"error": "not_in_channel"}, "invite the app to the channel"),
        ({"error": "missing_scope"}, "slack/manifest.yaml"),
    ],
)
def test_a_lasting_fault_is_told_by_mail_once_and_the_stream_goes_on(
    table: Table, slack: Slack, mailbox: Mailbox, opened: str, fault: dict[str, Any], reason: str
):
    slack.fault(method="chat.postMessage", **fault)
    deliver(image_of(table, opened))
    slack.fault(method="chat.postMessage", **fault)
    deliver(image_of(table, opened))

    [mail] = mailbox.read()
    assert mail["Subject"] == "prod: pods may have no IP address, looking for the cause"
    assert opened in mail["Message"]
    assert reason in mail["Message"]


def test_the_message_appears_once_slack_is_back(table: Table, incidents: Incidents, slack: Slack, opened: str):
    slack.fault(method="chat.postMessage", error="fatal_error")
    deliver(image_of(table, opened))

    incidents.close(incidents.get(opened), Outcome.NOT_NEEDED)
    deliver(image_of(table, opened))

    [message] = of(opened, slack)
    assert "recovered by itself" in message["text"]


def test_the_last_state_is_told_once_slack_is_back_though_nothing_changes_any_more(
    table: Table, incidents: Incidents, slack: Slack, opened: str
):
    # given a message, and an outage during the last change of the record
    deliver(image_of(table, opened))
    slack.fault(method="chat.update", status=503, times=100)
    incidents.complete(opened, Step.DIAGNOSE, diagnosis=DIAGNOSIS)
    deliver(image_of(table, opened))
    [before] = of(opened, slack)
    assert list(incidents.undelivered()) == [opened]
    slack.request("DELETE", "/_control/faults")

    # when the watchdog has it told again
    watchdog = Watchdog(Lifecycle(table, None, utc_now), lambda _: None, lambda *_: "", lambda *_: None)  # type: ignore[arg-type]
    incidents.strike_off(incidents.get(opened))
    watchdog.sweep()
    deliver(image_of(table, opened))

    # then the one message tells the last state
    [after] = of(opened, slack)
    assert after["text"] != before["text"]
    assert list(incidents.undelivered()) == []


def test_one_outage_is_waited_for_once_in_a_batch(table: Table, incidents: Incidents, slack: Slack, mailbox: Mailbox):
    three = [open_incident(incidents, cluster) for cluster in ("a", "b", "c")]
    slack.fault(method="chat.postMessage", error="fatal_error", times=9)
    before = len(slack.calls())

    deliver(*(image_of(table, incident) for incident in three))

    assert [call["method"] for call in slack.calls()[before:]].count("chat.postMessage") == 1
    assert len(mailbox.read()) == 3


def test_a_message_that_was_deleted_is_posted_anew(table: Table, incidents: Incidents, slack: Slack, opened: str):
    deliver(image_of(table, opened))
    first = incidents.get(opened).slack
    # The local workspace deletes no message: a fault says that it is gone, another one hides it from the history.
    slack.fault(method="chat.update", error="message_not_found")
    slack.fault(method="conversations.history", error="missing_scope")

    incidents.complete(opened, Step.DIAGNOSE, diagnosis=DIAGNOSIS)
    deliver(image_of(table, opened))

    second = incidents.get(opened).slack
    assert first is not None
    assert second is not None
    assert second.ts != first.ts
    assert "subnet exhausted" in slack.record_of(second.ts)["text"]


def test_blocks_that_slack_refuses_leave_the_text(table: Table, slack: Slack, opened: str):
    slack.fault(method="chat.postMessage", error="invalid_blocks")

    deliver(image_of(table, opened))

    [message] = of(opened, slack)
    assert "Turn on custom networking" in message["text"]
    assert not message["blocks"]


@pytest.mark.parametrize(
    "value", ["not json", '{"bot_token": "xoxb-only"}', '{"bot_token": "", "signing_secret": "s"}']
)
def test_an_unusable_secret_is_told_by_mail_without_being_shown(
    table: Table, mailbox: Mailbox, secret: str, opened: str, value: str
):
    boto3.client("ssm").put_parameter(Name=secret, Type="SecureString", Value=value, Overwrite=True)

    deliver(image_of(table, opened))

    [mail] = mailbox.read()
    assert f"the parameter {secret} must hold" in mail["Message"]
    assert value not in mail["Message"]


def test_a_missing_setting_is_named(table: Table, opened: str, monkeypatch: pytest.MonkeyPatch):
    image = image_of(table, opened)
    monkeypatch.delenv("SLACK_CHANNEL")

    with pytest.raises(SettingMissing, match="SLACK_CHANNEL"):
        deliver(image)
