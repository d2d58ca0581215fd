"""What a run produced holds no secret, and nobody comes in unsigned: on the deployed stack."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from random import Random

import pytest
import urllib3

from tests.fuzz.attacks import ATTACKS, Event
from tests.integration.support.deciding import answer, question
from tests.integration.support.lab import Lab
from tests.integration.support.patient import Patient
from tests.integration.support.rollbacks import roll_back

pytestmark = pytest.mark.slow
# Tokens of EKS, signed requests of STS, and keys of functions.
FORBIDDEN = re.compile(r"k8s-aws-v1\.|X-Amz-Signature|xox[abp]-|aws_secret_access_key|AWS_SESSION_TOKEN", re.IGNORECASE)


def logs(lab: Lab) -> Iterator[tuple[str, str]]:
    client = lab.aws("logs")
    for page in client.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            for events in client.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
                yield from ((group["logGroupName"], event["message"]) for event in events["events"])


def executions(lab: Lab) -> Iterator[tuple[str, str]]:
    """Inputs, outputs and every payload on the way; a task token stays in the call that carries it to its function."""
    sfn = lab.aws("stepfunctions")
    for output in ("RemediationStateMachineArn", "RollbackStateMachineArn", "ReplacementStateMachineArn"):
        for execution in sfn.list_executions(stateMachineArn=lab.outputs[output])["executions"]:
            described = sfn.describe_execution(executionArn=execution["executionArn"])
            yield execution["name"], f"{described['input']} {described.get('output')} {described.get('cause')}"


def records(lab: Lab) -> Iterator[tuple[str, str]]:
    for table in ("IncidentsTableName", "LedgerTableName"):
        for item in lab._table(table).scan()["Items"]:
            kept_apart = str(item["pk"]).startswith("APPROVAL#")
            yield f"{item['pk']} {item['sk']}", str({**item, "task_token": ""} if kept_apart else item)


def messages(lab: Lab) -> Iterator[tuple[str, str]]:
    yield from (("Slack", json.dumps(message)) for message in lab.slack("GET", "/_control/messages"))
    yield from (("event", json.dumps(event)) for event in lab.events.bodies())
    yield from (("alert", json.dumps(alert)) for alert in lab.alerts.bodies())


def test_given_all_that_the_suite_produced_then_no_secret_is_in_it(lab: Lab, sick: Patient) -> None:
    execution = lab.start(sick.name, mode="approve")
    incident = question(lab, execution)
    tokens = lab.task_tokens(incident.id)
    answer(lab, incident, "approve")
    assert lab.end_of(execution).status == "SUCCEEDED"
    assert roll_back(lab, incident.id, confirmed=True, evict=True).status == "SUCCEEDED"
    secrets = [lab.stack.servers.signing_secret, *tokens]

    leaks, read = [], 0
    for source in (logs, executions, records, messages):
        for where, text in source(lab):
            read += 1
            if FORBIDDEN.search(text) or any(secret in text for secret in secrets):
                leaks.append((where, text[:300]))
    assert leaks == []
    assert read > 100
    assert tokens


def _fits(value: str) -> bool:
    return value.isascii() and value.isprintable()


def send(lab: Lab, event: Event) -> int:
    """What of an attack HTTP can carry at all."""
    pairs = event["headers"].items()
    headers = {name: value for name, value in pairs if re.fullmatch(r"[A-Za-z0-9-]+", name) and _fits(value)}
    method = event["requestContext"]["http"]["method"]
    method = method if re.fullmatch(r"[A-Z]+", method) else "GET"
    return urllib3.request(
        method, lab.outputs["SlackRequestUrl"], body=event["body"], headers=headers, retries=False
    ).status


def test_given_attacks_over_http_then_none_comes_in_and_nothing_is_recorded(lab: Lab) -> None:
    def items() -> int:
        return len(lab._table("IncidentsTableName").scan()["Items"])

    before, statuses = items(), set()
    for number in range(110):
        name = sorted(ATTACKS)[number % len(ATTACKS)]
        statuses.add(send(lab, ATTACKS[name](Random(number))))
    assert statuses <= {400, 401, 403, 404, 405, 413}, statuses
    assert items() == before
