"""The ingest function: batching, grouping by cluster, partial failures; with an Incidents store in memory."""

from __future__ import annotations

import base64
import copy
import gzip
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.ingest import app
from ip_remediator.common.errors import Throttled
from ip_remediator.intake import handle
from ip_remediator.intake.window import Joined
from ip_remediator.signals.error_catalogue import Cause

SAMPLES = Path(__file__).parents[2] / "data" / "signals"
FUNCTION = Path(__file__).parents[3] / "functions" / "ingest"
SANDBOX = json.loads((SAMPLES / "event_sandbox.json").read_text())
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MACHINE = "arn:aws:states:ap-northeast-2:123456789012:stateMachine:remediate"
ENVIRONMENT = {
    "INCIDENTS_TABLE": "incidents",
    "AWS_REGION": "ap-northeast-2",
    "STATE_MACHINE_ARN": MACHINE,
    "DEFAULT_MODE": "approve",
    "SIGNALS_QUEUE_URL": "https://sqs.ap-northeast-2.amazonaws.com/123456789012/signals",
    "DEAD_LETTER_QUEUE_URL": "https://sqs.ap-northeast-2.amazonaws.com/123456789012/dead-letters",
    "WEAK_SIGNALS_NEEDED": "2",
    "SIGNAL_WINDOW_MINUTES": "15",
    "COOL_DOWN_MINUTES": "15",
    "LOG_GROUP_CLUSTERS": "none",
}


class Store:
    """What table, queue and Step Functions would hold: joins as asked, executions by name; `down` clusters fail."""

    def __init__(self, *down):
        self.joins = []
        self.executions = {}
        self.started = []
        self.sent = []
        self.buried = {}
        self.down = set(down)

    def join(self, signals):
        cluster = signals[0].cluster
        if cluster in self.down:
            raise Throttled("UpdateItem incidents: ThrottlingException")
        self.joins.append((cluster, tuple(signals)))
        return Joined(f"{cluster}-1", opened=len(self.joins) == 1, start=f"{cluster}-1" not in self.executions)

    def send(self, signals):
        self.sent += signals

    def add(self, body, reason):
        self.buried[body] = reason

    def record_execution(self, incident, execution):
        self.executions[incident] = execution

    def start(self, _sfn, machine, incident, cluster):
        self.started.append((machine, incident, cluster))
        return f"{machine}:{incident}"


@pytest.fixture
def deployed(monkeypatch):
    """The handler with `store` where the table and the state machine would be."""

    def deploy(store):
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(app.session, "table", lambda name: name)
        monkeypatch.setattr(app.session, "client", lambda service: service)
        monkeypatch.setattr(app, "IncidentOpener", lambda table, clock: store)
        monkeypatch.setattr(app, "SignalWindow", lambda *_: store)
        monkeypatch.setattr(app, "SubnetClusters", lambda table: store)
        monkeypatch.setattr(app, "SignalQueue", lambda *_: store)
        monkeypatch.setattr(app, "DeadLetterQueue", lambda *_: store)
        monkeypatch.setattr(app, "start_remediation", store.start)
        return lambda *records: app.handler({"Records": list(records)}, None)

    return deploy


def sandbox(cluster="shop-prod", pod="web-0", message=None):
    event = copy.deepcopy(SANDBOX)
    event["detail"]["clusterName"] = cluster
    event["detail"]["metadata"]["uid"] = f"{cluster}-{pod}"
    event["detail"]["involvedObject"]["name"] = pod
    event["detail"]["message"] = message or event["detail"]["message"]
    return event


def record(message_id, event):
    body = event if isinstance(event, str) else json.dumps(event)
    return {"messageId": message_id, "body": body, "eventSource": "aws:sqs", "receiptHandle": message_id}


def failed(response):
    return {failure["itemIdentifier"] for failure in response["batchItemFailures"]}


def metrics(output, name):
    blobs = [json.loads(line) for line in output.splitlines() if f'"Name":"{name}"' in line]
    return {blob.get("cause") or blob.get("reason"): sum(blob[name]) for blob in blobs}


def test_a_batch_makes_one_join_and_one_execution_per_cluster(deployed):
    store = Store()
    events = [sandbox(cluster, f"web-{number}") for number in range(5) for cluster in ("shop-prod", "shop-test")]

    response = deployed(store)(*(record(str(n), event) for n, event in enumerate(events)))

    assert failed(response) == set()
    assert [(cluster, len(signals)) for cluster, signals in store.joins] == [("shop-prod", 5), ("shop-test", 5)]
    assert store.started == [(MACHINE, "shop-prod-1", "shop-prod"), (MACHINE, "shop-test-1", "shop-test")]


def test_an_incident_that_has_an_execution_gets_no_second_one(deployed):
    store = Store()
    handle = deployed(store)

    handle(record("1", sandbox(pod="web-0")))
    handle(record("2", sandbox(pod="web-1")))

    assert len(store.joins) == 2
    assert len(store.started) == 1


def test_an_execution_that_could_not_be_started_is_started_when_sqs_delivers_again(deployed, monkeypatch):
    store = Store()
    handle = deployed(store)
    with monkeypatch.context() as outage:
        outage.setattr(app, "start_remediation", lambda *_: (_ for _ in ()).throw(Throttled("StartExecution")))
        first = handle(record("1", sandbox()))

    second = handle(record("1", sandbox()))

    assert (failed(first), failed(second)) == ({"1"}, set())
    assert len(store.started) == 1


def test_an_observation_delivered_twice_in_a_batch_is_joined_once(deployed):
    store = Store()

    deployed(store)(record("1", sandbox()), record("2", sandbox()))

    assert [len(signals) for _, signals in store.joins] == [1]


def test_a_body_that_is_not_json_is_buried_alone_with_the_reason_which_is_in_the_log_too(deployed, caplog):
    store, deep = Store(), "[" * 200_000

    response = deployed(store)(record("1", "{not json"), record("2", sandbox()), record("3", deep))

    assert failed(response) == set()
    assert store.buried["{not json"].startswith("JSONDecodeError: Expecting property name")
    assert store.buried[deep].startswith("RecursionError")
    assert len(store.joins) == 1
    reasons = {entry.message_id: entry.reason for entry in caplog.records}
    assert reasons["1"].startswith("JSONDecodeError: Expecting property name")
    assert reasons["3"].startswith("RecursionError")


def test_what_cannot_be_buried_is_left_to_sqs(deployed, monkeypatch):
    store = Store()
    monkeypatch.setattr(store, "add", lambda *_: (_ for _ in ()).throw(Throttled("SendMessage")))

    response = deployed(store)(record("1", ""), record("2", sandbox()), record("3", "{"))

    assert failed(response) == {"1", "3"}
    assert len(store.joins) == 1


def test_when_a_cluster_cannot_be_joined_only_its_records_fail(deployed, caplog):
    store = Store("shop-test")

    response = deployed(store)(
        record("1", sandbox("shop-test")), record("2", sandbox("shop-prod")), record("3", sandbox("shop-test", "web-1"))
    )

    assert failed(response) == {"1", "3"}
    assert [cluster for cluster, _ in store.joins] == ["shop-prod"]
    [entry] = caplog.records
    assert (entry.cluster, entry.message_ids) == ("shop-test", ["1", "3"])
    assert entry.reason == "Throttled: UpdateItem incidents: ThrottlingException"


def test_irrelevant_events_are_acknowledged_and_counted_by_reason(deployed, capsys):
    store = Store()
    unrelated = {**sandbox(), "detail": {**SANDBOX["detail"], "reason": "Started"}}

    response = deployed(store)(record("1", unrelated), record("2", unrelated), record("3", {"source": "aws.ec2"}))

    assert failed(response) == set()
    assert store.joins == []
    assert metrics(capsys.readouterr().out, "Dropped") == {"unrelated_reason": 2, "not_an_event": 1}


def test_unknown_wordings_are_counted_and_shown_but_open_nothing(deployed, capsys, caplog):
    store = Store()

    deployed(store)(record("1", sandbox(message="no runtime for gvisor is configured")))

    shown = next(record for record in caplog.records if record.message == "unknown wordings")
    assert store.joins == []
    assert metrics(capsys.readouterr().out, "Signals") == {"other": 1}
    assert shown.excerpts == ["FailedCreatePodSandBox: no runtime for gvisor is configured"]


def test_an_unknown_wording_goes_along_with_a_known_one_of_its_cluster(deployed):
    store = Store()

    deployed(store)(record("1", sandbox(pod="web-0", message="no runtime")), record("2", sandbox(pod="web-1")))

    assert [signal.cause for signal in store.joins[0][1]] == [Cause.OTHER, Cause.NO_ADDRESS]


def logs(*lines, cluster="shop-prod"):
    events = [{"id": str(n), "timestamp": 1772439242118 + n, "message": line} for n, line in enumerate(lines)]
    batch = {"messageType": "DATA_MESSAGE", "logEvents": events}
    batch["logGroup"] = f"/aws/containerinsights/{cluster}/dataplane"
    return {"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(batch).encode())).decode()}}


NO_ADDRESS = 'aws-cni: failed to assign an IP address to container pod="default/{}"'


def test_log_lines_are_put_into_the_queue_one_signal_for_each_pod(deployed, capsys):
    store = Store()
    deployed(store)
    lines = [NO_ADDRESS.format("web-0"), "PLEG event", NO_ADDRESS.format("web-1"), NO_ADDRESS.format("web-0")]

    answer = app.handler(logs(*lines), None)

    assert answer == {"lines": 4, "signals": 2}
    assert [(signal.pod, signal.id) for signal in store.sent] == [("default/web-0", "0"), ("default/web-1", "2")]
    assert (store.sent[0].last_seen - store.sent[0].first_seen).total_seconds() == 0.003
    assert metrics(capsys.readouterr().out, "Dropped") == {"unrelated_line": 1}


def test_a_call_in_a_log_group_that_names_only_its_subnet_is_sent_for_the_clusters_there(deployed):
    # given
    store = Store()
    store.read = lambda _subnet: {"shop-prod": NOW}
    deployed(store)
    call = {
        "eventSource": "ec2.amazonaws.com",
        "eventName": "RunInstances",
        "errorCode": "Client.InsufficientFreeAddressesInSubnet",
        "requestParameters": {"subnetId": "subnet-0a1b2c3d4e5f60718"},
    }
    # when
    answer = app.handler(logs(json.dumps(call)), None)
    # then
    assert answer == {"lines": 1, "signals": 1}
    assert [(signal.cluster, signal.cause) for signal in store.sent] == [("shop-prod", Cause.SUBNET_FULL)]


def test_log_lines_that_say_nothing_are_sent_nowhere(deployed):
    store = Store()
    deployed(store)

    assert app.handler(logs("PLEG event"), None) == {"lines": 1, "signals": 0}
    assert store.sent == []


def test_a_payload_of_log_lines_redriven_from_the_dead_letter_queue_is_joined(deployed):
    store = Store()
    given_up = {"requestContext": {"condition": "RetriesExhausted"}, "requestPayload": logs(NO_ADDRESS.format("web-0"))}

    response = deployed(store)(record("1", given_up))

    assert failed(response) == set()
    assert [signal.pod for _, signals in store.joins for signal in signals] == ["default/web-0"]


def test_a_message_with_signals_of_two_clusters_fails_once(deployed):
    store = Store("shop-prod", "shop-test")
    exported = [json.dumps({**SANDBOX["detail"], "clusterName": cluster}) for cluster in ("shop-prod", "shop-test")]

    response = deployed(store)(record("1", {"requestPayload": logs(*exported)}))

    assert response["batchItemFailures"] == [{"itemIdentifier": "1"}]


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", "", "!"]), st.booleans()), max_size=30), st.booleans())
def test_every_record_is_joined_dropped_buried_or_failed_exactly_once(given_records, a_is_down):
    joined, down, buried = Counter(), {"a"} if a_is_down else set(), []

    def remediate(cluster, signals):
        if cluster in down:
            raise Throttled("busy")
        joined[cluster] += len(signals)

    records = [
        record(str(n), sandbox(cluster, f"web-{n}") if readable else f"{{{n}")
        for n, (cluster, readable) in enumerate(given_records)
    ]

    response = handle.Intake(remediate, lambda body, _reason: buried.append(body)).ingest(records, NOW)

    expected = Counter(cluster for cluster, readable in given_records if readable and cluster in {"a", "b", "c"} - down)
    unjoined = {str(n) for n, (cluster, readable) in enumerate(given_records) if readable and cluster in down}
    assert joined == expected
    assert buried == [f"{{{n}" for n, (_, readable) in enumerate(given_records) if not readable]
    assert failed(response) == unjoined
    assert len(response["batchItemFailures"]) == len(unjoined)
