"""The deployed stack as tests see it: what people, AWS and Slack can be asked from outside."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ip_remediator.address_ledger.ledger import Ledger
from ip_remediator.common.clock import utc_now
from ip_remediator.incidents.record import Incident
from ip_remediator.incidents.repository import Incidents
from local.stack.stack import Stack
from tests.support.patience import within
from tests.support.waiting import eventually

RUN_SECONDS = 120.0
PERMANENT = 1000
# The name of the clusters whose question nobody answers.
UNANSWERED = "unanswered"
_STAGES_RULE = {"source": ["eks-ip-remediator"]}


@dataclass(frozen=True)
class Ended:
    """A finished execution; `output` is None unless it succeeded."""

    arn: str
    status: str
    error: str | None
    cause: str
    output: dict[str, Any] | None


@dataclass
class Inbox:
    """A queue and everything that has arrived in it so far."""

    sqs: Any
    url: str
    received: list[dict[str, Any]] = field(default_factory=list)

    def bodies(self) -> list[dict[str, Any]]:
        while messages := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self.received.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return self.received


@dataclass
class Lab:
    """A deployed stack. `events` gets its events on the bus, `alerts` what it publishes to SNS."""

    stack: Stack

    def __post_init__(self) -> None:
        self._clients: dict[str, Any] = {}
        self.events = self._events_inbox()
        self.alerts = self._alerts_inbox()

    def aws(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self.stack.servers.client(service)
        return self._clients[service]

    @property
    def outputs(self) -> dict[str, str]:
        return self.stack.outputs

    @contextmanager
    def beside(self, cluster: str) -> Iterator[Lab]:
        """The same stack with room for a further cluster at the same time; what runs there ends with the block."""
        other = copy(self)
        other.stack = copy(self.stack)
        other.stack.servers = self.stack.servers.beside(cluster)
        try:
            yield other
        finally:
            other.stack.servers.stop()

    # ------------------------------------------------------------------------------------------ executions
    def start(self, cluster: str, **more: str) -> str:
        """A run by hand, as `aws stepfunctions start-execution` starts it; the execution's ARN."""
        document = json.dumps({"cluster": cluster, **more})
        machine = self.outputs["RemediationStateMachineArn"]
        return str(self.aws("stepfunctions").start_execution(stateMachineArn=machine, input=document)["executionArn"])

    def remediate(self, cluster: str, **more: str) -> tuple[Ended, Incident]:
        """A run by hand from its start to its end."""
        arn = self.start(cluster, **more)
        ended = self.end_of(arn)
        return ended, self.incident_of(arn)

    def roll_back(self, incident: str) -> Ended:
        """A confirmed rollback that moves the pods off the block."""
        machine = self.outputs["RollbackStateMachineArn"]
        document = json.dumps({"incident": incident, "confirmed": True, "evict": True})
        started = self.aws("stepfunctions").start_execution(stateMachineArn=machine, input=document)
        return self.end_of(started["executionArn"])

    def executions_of(self, cluster: str) -> list[str]:
        """Every remediation of the cluster."""
        sfn, machine = self.aws("stepfunctions"), self.outputs["RemediationStateMachineArn"]
        pages = sfn.get_paginator("list_executions").paginate(stateMachineArn=machine)
        arns = [execution["executionArn"] for page in pages for execution in page["executions"]]
        return [arn for arn in arns if self._input(arn).get("cluster") == cluster]

    def end_of(self, arn: str, seconds: float = RUN_SECONDS) -> Ended:
        sfn = self.aws("stepfunctions")
        result = eventually(
            f"{arn} ends",
            lambda: sfn.describe_execution(executionArn=arn),
            lambda execution: execution["status"] != "RUNNING",
            seconds,
        )
        output = json.loads(result["output"]) if result["status"] == "SUCCEEDED" else None
        return Ended(arn, result["status"], result.get("error"), result.get("cause", ""), output)

    def _input(self, arn: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.aws("stepfunctions").describe_execution(executionArn=arn)["input"])
        return document

    # ------------------------------------------------------------------------------------------ records
    @cached_property
    def incidents(self) -> Incidents:
        return Incidents(self._table("IncidentsTableName"), utc_now)

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self._table("LedgerTableName"), utc_now)

    def incident_of(self, execution: str) -> Incident:
        """The record of the incident that the execution works on."""
        [result] = [item for item in self._incidents_with("execution", execution) if item["sk"] == "META"]
        return self.incidents.get(str(result["pk"]).removeprefix("INCIDENT#"))

    def incident_when_known(self, execution: str) -> Incident:
        """As `incident_of`, for an execution that has just begun."""
        eventually("the incident is opened", lambda: self._incidents_with("execution", execution))
        return self.incident_of(execution)

    def task_tokens(self, incident: str) -> list[str]:
        """The tokens behind the incident's questions."""
        return [
            str(item["task_token"]) for item in self._incidents_with("incident_id", incident) if "task_token" in item
        ]

    def _incidents_with(self, attribute: str, value: str) -> list[dict[str, Any]]:
        items = self._table("IncidentsTableName").scan()["Items"]
        return [item for item in items if item.get(attribute) == value]

    def changes(self, incident: str) -> list[str]:
        """What the change log says still stands."""
        items = self._incidents_with("pk", f"INCIDENT#{incident}")
        return [str(item["sk"]) for item in items if "CHANGE#" in item["sk"]]

    def ledger_items(self) -> list[tuple[str, str]]:
        """Every reservation but that of the question which expires some time during the tests."""
        items = self._table("LedgerTableName").scan()["Items"]
        theirs = [
            item for item in items if not str(item.get("detail", {}).get("cluster", UNANSWERED)).startswith(UNANSWERED)
        ]
        return sorted((str(item["pk"]), str(item["sk"])) for item in theirs)

    def lock_holder(self, vpc_id: str) -> str | None:
        """The incident that may write to the VPC now."""
        result = self._table("IncidentsTableName").get_item(Key={"pk": f"VPC#{vpc_id}", "sk": "LOCK"}).get("Item")
        return str(result["owner"]) if result and str(result["expires_at"]) > utc_now().isoformat() else None

    def _table(self, output: str) -> Any:
        servers = self.stack.servers
        return servers.session.resource("dynamodb", endpoint_url=servers.aws_url).Table(self.outputs[output])

    # ------------------------------------------------------------------------------------------ faults, calls
    @contextmanager
    def faults(self, *faults: dict[str, Any]) -> Iterator[None]:
        """Makes AWS fail as `local/aws/faults.py` describes, for the block's time."""
        for fault in faults:
            self._control("POST", "/_local/faults", fault)
        try:
            yield
        finally:
            self._control("DELETE", "/_local/faults")

    @contextmanager
    def functions(self, *conditions: dict[str, Any]) -> Iterator[None]:
        """Functions that cannot be invoked, as `local/aws/functions/conditions.py` describes, for the block's time."""
        for condition in conditions:
            self._control("POST", "/_local/functions", condition)
        try:
            yield
        finally:
            self._control("DELETE", "/_local/functions")

    @contextmanager
    def settings(self, **values: Any) -> Iterator[None]:
        """Settings of the local AWS (`local/aws/switches.py`) for the block's time."""
        self._control("PUT", "/_local/settings", values)
        try:
            yield
        finally:
            self._control("DELETE", "/_local/settings")

    def calls(self) -> list[dict[str, Any]]:
        """Every AWS call since the stack started: service, action, principal, status."""
        result: list[dict[str, Any]] = self._control("GET", "/_local/calls")
        return result

    def _control(self, method: str, path: str, document: Any = None) -> Any:
        return request(method, f"{self.stack.servers.aws_url}{path}", document)

    # ------------------------------------------------------------------------------------------ Slack
    def slack(self, method: str, path: str, document: Any = None) -> Any:
        return request(method, f"{self.stack.servers.slack_url}{path}", document)

    def messages(self, incident: str) -> list[dict[str, Any]]:
        """The messages in Slack about the incident, each with its versions; without what is told in their threads."""
        mentions = [message for message in self.slack("GET", "/_control/messages") if incident in message["text"]]
        return [message for message in mentions if message["thread_ts"] in (None, message["ts"])]

    def message_saying(self, incident: str, *words: str, seconds: float = 30.0) -> dict[str, Any]:
        """The incident's one message, once it says all of `words`."""

        def posted() -> str:
            return "".join(message["text"] for message in self.messages(incident))

        eventually(f"Slack says {words}", posted, lambda text: all(word in text for word in words), seconds)
        [message] = self.messages(incident)
        return message

    def events_of(self, incident: str) -> list[dict[str, Any]]:
        """The incident's events that have arrived so far, each once, in the order of its timeline."""
        by_id = {
            event["detail"]["id"]: event for event in self.events.bodies() if event["detail"]["incident"] == incident
        }
        return [by_id[id_] for id_ in sorted(by_id)]

    @staticmethod
    def buttons(message: dict[str, Any]) -> list[str]:
        """Those that decide something: without the one that only shows details."""
        blocks = [block for block in message["blocks"] if block["type"] == "actions"]
        result = [element["action_id"] for block in blocks for element in block["elements"]]
        return [item for item in result if item != "details"]

    def click(self, message: dict[str, Any], action: str, user: str = "U0000ONCALL") -> None:
        """Presses a button of a message; the workspace sends the signed payload."""
        [block] = [one for one in message["blocks"] if one["type"] == "actions"]
        place = {"channel": message["channel"], "ts": message["ts"], "block_id": block["block_id"]}
        answer = self.slack("POST", "/_page/click", {"user": user, "action_id": action, **place})
        assert answer["problem"] is None, answer

    # ------------------------------------------------------------------------------------------ inboxes
    def _events_inbox(self) -> Inbox:
        inbox, arn = self._inbox("stages")
        events = self.aws("events")
        events.put_rule(Name="stages", EventPattern=json.dumps(_STAGES_RULE))
        events.put_targets(Rule="stages", Targets=[{"Id": "queue", "Arn": arn}])
        return inbox

    def _alerts_inbox(self) -> Inbox:
        inbox, arn = self._inbox("alerts")
        self.aws("sns").subscribe(TopicArn=self.outputs["AlertsTopicArn"], Protocol="sqs", Endpoint=arn)
        return inbox

    def _inbox(self, name: str) -> tuple[Inbox, str]:
        sqs = self.aws("sqs")
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(_open_to_senders(arn))})
        return Inbox(sqs, url), arn


def _open_to_senders(queue_arn: str) -> dict[str, Any]:
    """The policy of a queue that EventBridge and SNS may send to."""
    senders = {"Service": ["events.amazonaws.com", "sns.amazonaws.com"]}
    statement = {"Effect": "Allow", "Principal": senders, "Action": "sqs:SendMessage", "Resource": queue_arn}
    return {"Version": "2012-10-17", "Statement": [statement]}


def request(method: str, url: str, document: Any = None) -> Any:
    """A JSON request; None for an empty answer."""
    body = json.dumps(document).encode() if document is not None else None
    asked = urllib.request.Request(url, body, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(asked, timeout=within(10)) as answer:
        content = answer.read()
    return json.loads(content) if content else None
