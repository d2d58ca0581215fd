"""A rollback that people are asked about: by buttons, once, and with nothing changed until somebody confirms."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3
from slack_sdk.signature import SignatureVerifier

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident, RollbackState
from local.cluster.scenario_spec import Scenario
from tests.integration.support.lab import Lab
from tests.integration.support.patient import Patient, patient
from tests.integration.support.rollbacks import SPEED, dump, roll_back, start_rollback
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow
ASKED = "Roll back? It waits for your confirmation"


@pytest.fixture(scope="module")
def cluster(lab: Lab) -> Iterator[Patient]:
    with patient(lab, replace(Scenario(), managed_addon=False), speed=SPEED) as result:
        result.settle(running=8, stuck=2)
        yield result


@pytest.fixture(scope="module")
def before(cluster: Patient) -> dict[str, Any]:
    return dump(cluster)


@pytest.fixture(scope="module")
def incident(lab: Lab, cluster: Patient, before: dict[str, Any]) -> Incident:
    assert before["lock"] is None
    ended, result = lab.remediate(cluster.name)
    assert result.outcome is Outcome.HEALED, (ended, result.failure)
    # ipamd keeps a warm ENI on each node: it shall not come while tests compare.
    subnets = result.subnets.values()
    eventually("the warm ENIs are there", lambda: len(cluster.interfaces_in(*subnets)), lambda number: number == 4)
    return result


def test_given_nobody_answers_when_asked_then_nothing_changes_and_the_execution_fails(
    lab: Lab, cluster: Patient, incident: Incident
) -> None:
    standing = _untouched(cluster)
    arn = start_rollback(lab, incident.id)
    message = _question(lab, incident, 1)
    assert "2 pods have addresses" in message["text"]
    assert f"{len(cluster.interfaces_in(*incident.subnets.values()))} ENIs" in message["text"]
    # What Step Functions does by itself when the time for the answer is over.
    [token] = lab.task_tokens(incident.id)
    lab.aws("stepfunctions").send_task_failure(taskToken=token, error="States.Timeout")
    ended = lab.end_of(arn)
    assert (ended.status, ended.error) == ("FAILED", "NotConfirmed")
    assert _state(lab, incident) is RollbackState.CANCELLED
    assert _untouched(cluster) == standing


def test_given_a_rollback_that_waits_when_another_is_started_then_only_one_runs(
    lab: Lab, cluster: Patient, incident: Incident
) -> None:
    standing = _untouched(cluster)
    arn = start_rollback(lab, incident.id)
    message = _question(lab, incident, 2)
    second = roll_back(lab, incident.id, confirmed=True, evict=True)
    assert (second.status, second.error) == ("FAILED", "RollbackRunning")
    assert arn in second.cause
    assert lab.lock_holder(cluster.vpc_id) == incident.id
    lab.click(message, "rollback_cancel")
    ended = lab.end_of(arn)
    assert ended.status == "SUCCEEDED", ended
    assert _state(lab, incident) is RollbackState.CANCELLED
    assert _untouched(cluster) == standing


def test_given_a_rollback_stopped_from_outside_when_started_again_then_it_is_asked_again(
    lab: Lab, cluster: Patient, incident: Incident
) -> None:
    arn = start_rollback(lab, incident.id)
    _question(lab, incident, 3)
    lab.aws("stepfunctions").stop_execution(executionArn=arn)
    second = start_rollback(lab, incident.id)
    message = _question(lab, incident, 4)
    assert lab.incidents.get(incident.id).change_execution == second
    lab.click(message, "rollback_cancel")
    eventually("it is cancelled", lambda: _state(lab, incident), lambda state: state is RollbackState.CANCELLED)
    assert lab.end_of(second).status == "SUCCEEDED"


def test_given_one_offer_when_clicked_by_two_and_sent_again_by_slack_then_one_rollback_is_started(
    lab: Lab, cluster: Patient, incident: Incident
) -> None:
    started = len(rollbacks_of(lab, incident))
    message = lab.message_saying(incident.id, "healed")
    lab.click(message, "rollback")
    lab.click(message, "rollback", user="U0PLATFORM")
    send_again(lab, lab.slack("GET", "/_control/interactions")[-1]["payload"])

    asked = _question(lab, incident, 5)
    eventually("the second is told", lambda: [item for item in told_privately(lab, "U0PLATFORM") if "already" in item])
    assert len(rollbacks_of(lab, incident)) == started + 1
    lab.click(asked, "rollback_cancel")
    eventually("it is cancelled", lambda: _state(lab, incident), lambda state: state is RollbackState.CANCELLED)


def rollbacks_of(lab: Lab, incident: Incident) -> list[str]:
    sfn, machine = lab.aws("stepfunctions"), lab.outputs["RollbackStateMachineArn"]
    result = sfn.list_executions(stateMachineArn=machine)["executions"]
    return [item["name"] for item in result if item["name"].startswith(f"rb-{incident.id}-")]


def told_privately(lab: Lab, user: str) -> list[str]:
    return [item["text"] for item in lab.slack("GET", "/_control/messages") if item["ephemeral_to"] == user]


def send_again(lab: Lab, payload: dict[str, Any]) -> None:
    """As Slack does when it got no answer in time: the same payload, signed anew."""
    body = urlencode({"payload": json.dumps(payload)})
    now = str(int(time.time()))
    signature = SignatureVerifier(lab.stack.servers.signing_secret).generate_signature(timestamp=now, body=body)
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": now,
        "X-Slack-Signature": str(signature),
        "X-Slack-Retry-Num": "1",
        "X-Slack-Retry-Reason": "http_timeout",
    }
    answer = urllib3.request("POST", lab.outputs["SlackRequestUrl"], body=body, headers=headers)
    assert answer.status == 200


def test_given_the_buttons_when_confirmed_without_and_then_with_evictions_then_it_goes_on_where_it_paused(
    lab: Lab, cluster: Patient, incident: Incident, before: dict[str, Any]
) -> None:
    moved = cluster.moved()
    lab.click(lab.message_saying(incident.id, "healed"), "rollback")
    lab.click(_question(lab, incident, 6), "rollback_confirm")
    message = lab.message_saying(incident.id, "the rollback stopped", seconds=60)
    assert all(pod in message["text"] for pod in moved)
    assert cluster.moved() == moved
    assert cluster.eni_configs() == before["eni_configs"]
    assert lab.lock_holder(cluster.vpc_id) is None

    lab.click(message, "rollback")
    lab.click(_question(lab, incident, 7), "rollback_confirm_evict")
    lab.message_saying(incident.id, "rolled back", seconds=120)
    cluster.settle(running=8, stuck=2)
    assert dump(cluster) == before
    # The headline may be there before the record says that the execution has ended.
    eventually(
        "a new run is offered",
        lambda: lab.buttons(lab.message_saying(incident.id, "rolled back")),
        lambda buttons: buttons == ["run_again"],
    )
    assert len(lab.messages(incident.id)) == 1
    again = roll_back(lab, incident.id, confirmed=True)
    assert (again.status, again.error) == ("FAILED", "InvalidInput")
    assert "nothing to roll back" in again.cause


def _untouched(cluster: Patient) -> dict[str, Any]:
    return {**dump(cluster), "moved": cluster.moved()}


def _question(lab: Lab, incident: Incident, number: int) -> dict[str, Any]:
    """The message with the buttons of the incident's question of that number, once it is asked."""
    eventually("people are asked", lambda: len(lab.task_tokens(incident.id)), lambda asked: asked == number)
    approval = lab.incidents.get(incident.id).rollback_approval
    assert approval is not None
    eventually("its buttons are there", lambda: approval.id in str(lab.messages(incident.id)))
    return lab.message_saying(incident.id, ASKED)


def _state(lab: Lab, incident: Incident) -> RollbackState | None:
    result = lab.incidents.get(incident.id).rollback
    return result.state if result else None
