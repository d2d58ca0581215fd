"""Event -> Signal: each recorded shape, what is dropped and why, and that no JSON value ever breaks the parser."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.signals.error_catalogue import Cause, Strength
from ip_remediator.signals.events import (
    EXCERPT_CHARACTERS,
    Dropped,
    DropReason,
    Signal,
    Source,
    UnplacedSignal,
    parse_eventbridge,
)

SAMPLES = Path(__file__).parents[2] / "data" / "signals"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NODE = "ip-10-0-0-5.ap-northeast-2.compute.internal"
POD = "default/nginx-7c5ddbdf54-x2x8k"


def sample(name):
    return json.loads((SAMPLES / f"{name}.json").read_text())


def parse(event):
    return parse_eventbridge(event, received_at=NOW)


@pytest.mark.parametrize(
    ("name", "source", "cause", "strength", "node", "zone", "pod"),
    [
        ("alarm_metric", Source.ALARM, Cause.NO_ADDRESS, Strength.WEAK, None, None, None),
        ("alarm_own_metric", Source.ALARM, Cause.NO_ADDRESS, Strength.WEAK, None, None, None),
        ("alarm_metric_math", Source.ALARM, Cause.NO_ADDRESS, Strength.WEAK, None, None, None),
        ("alarm_composite_named", Source.ALARM, Cause.NO_ADDRESS, Strength.WEAK, None, None, None),
        ("alarm_without_dimension", Source.ALARM, Cause.NO_ADDRESS, Strength.WEAK, None, None, None),
        ("event_layout", Source.KUBERNETES_EVENT, Cause.NO_ADDRESS, Strength.WEAK, NODE, "ap-northeast-2a", POD),
        (
            "event_layout_events_api",
            Source.KUBERNETES_EVENT,
            Cause.CNI_IAM,
            Strength.STRONG,
            None,
            None,
            "kube-system/aws-node-4zqkd",
        ),
        (
            "event_node_monitoring_agent_condition",
            Source.KUBERNETES_EVENT,
            Cause.SUBNET_FULL,
            Strength.STRONG,
            NODE,
            "ap-northeast-2a",
            None,
        ),
        ("event_sandbox", Source.KUBERNETES_EVENT, Cause.NO_ADDRESS, Strength.WEAK, NODE, "ap-northeast-2a", POD),
        (
            "event_sandbox_folded",
            Source.KUBERNETES_EVENT,
            Cause.NO_ADDRESS,
            Strength.WEAK,
            NODE,
            "ap-northeast-2a",
            POD,
        ),
        (
            "event_sandbox_dockershim",
            Source.KUBERNETES_EVENT,
            Cause.NO_ADDRESS,
            Strength.WEAK,
            NODE,
            "ap-northeast-2a",
            POD,
        ),
        (
            "event_sandbox_other_cause",
            Source.KUBERNETES_EVENT,
            Cause.OTHER,
            Strength.WEAK,
            NODE,
            "ap-northeast-2a",
            POD,
        ),
        (
            "event_node_monitoring_agent",
            Source.KUBERNETES_EVENT,
            Cause.SUBNET_FULL,
            Strength.STRONG,
            NODE,
            "ap-northeast-2a",
            None,
        ),
        (
            "event_missing_iam_permissions",
            Source.KUBERNETES_EVENT,
            Cause.CNI_IAM,
            Strength.STRONG,
            None,
            None,
            "kube-system/aws-node-4zqkd",
        ),
        ("own_signal_manual", Source.MANUAL, Cause.NO_ADDRESS, Strength.WEAK, None, None, None),
        ("own_signal", Source.SWEEP, Cause.SUBNET_FULL, Strength.STRONG, None, "ap-northeast-2b", None),
    ],
)
def test_a_recorded_event_becomes_a_signal(name, source, cause, strength, node, zone, pod):
    signal = parse(sample(name))

    assert isinstance(signal, Signal)
    assert signal.cluster == "shop-prod"
    assert (signal.source, signal.cause, signal.strength) == (source, cause, strength)
    assert (signal.node, signal.zone, signal.pod) == (node, zone, pod)
    assert signal.first_seen <= signal.last_seen <= NOW


def test_a_signal_has_exactly_the_fields_of_its_contract():
    document = json.loads(parse(sample("alarm_metric")).model_dump_json())

    assert document == {
        "source": "cloudwatch-alarm",
        "cluster": "shop-prod",
        "cause": "no_address",
        "strength": "weak",
        "affected": "pods",
        "node": None,
        "zone": None,
        "pod": None,
        "first_seen": "2026-03-02T08:15:43.212000Z",
        "last_seen": "2026-03-02T08:15:43.212000Z",
        "id": "5f0b1a52-6a3c-4f57-9b1e-2b6c5d8f7e10",
        "excerpt": "shop-prod-pods-pending: " + sample("alarm_metric")["detail"]["state"]["reason"],
    }


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("alarm_back_to_ok", DropReason.NOT_IN_ALARM),
        ("alarm_of_other_service", DropReason.FOREIGN_NAMESPACE),
        ("alarm_composite", DropReason.NO_METRIC),
        ("event_without_cluster", DropReason.NO_CLUSTER),
        ("event_unrelated", DropReason.UNRELATED_REASON),
    ],
)
def test_a_recorded_event_that_says_nothing_of_addresses_is_dropped_with_its_reason(name, reason):
    assert parse(sample(name)) == Dropped(reason=reason)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (None, DropReason.NOT_AN_EVENT),
        ([], DropReason.NOT_AN_EVENT),
        ("text", DropReason.NOT_AN_EVENT),
        ({"source": "aws.cloudwatch", "detail": "text"}, DropReason.NOT_AN_EVENT),
        ({"source": "aws.ec2", "detail": {"state": "running"}}, DropReason.UNKNOWN_SHAPE),
        ({"source": "eks-ip-remediator", "detail-type": "ParsedRecord", "detail": {}}, DropReason.UNKNOWN_SHAPE),
        ({"source": "eks-ip-remediator", "detail-type": "Signal", "detail": {}}, DropReason.INVALID_SIGNAL),
    ],
)
def test_what_has_no_known_shape_is_dropped_with_its_reason(event, reason):
    assert parse(event) == Dropped(reason=reason)


@pytest.mark.parametrize("reason", [None, "", 7])
def test_the_excerpt_of_an_alarm_without_a_reason_is_its_name(reason):
    event = sample("alarm_metric")
    event["detail"]["state"]["reason"] = reason

    assert parse(event).excerpt == "shop-prod-pods-pending"


def test_an_alarm_whose_configuration_changed_while_it_was_on_has_not_gone_off_again():
    changed = sample("alarm_metric") | {"detail-type": "CloudWatch Alarm Configuration Change"}

    assert parse(changed) == Dropped(reason=DropReason.UNKNOWN_SHAPE)


def test_a_repeat_folded_into_the_same_event_keeps_its_id_and_extends_the_time_seen():
    first, folded = parse(sample("event_sandbox")), parse(sample("event_sandbox_folded"))

    assert folded.id == first.id
    assert folded.first_seen == first.first_seen
    assert folded.last_seen == first.last_seen + timedelta(minutes=30)


def test_an_event_in_our_layout_is_the_same_signal_as_in_the_plain_shape():
    assert parse(sample("event_layout")) == parse(sample("event_sandbox"))


def test_the_zero_time_of_go_is_no_time():
    signal = parse(sample("event_layout_events_api"))

    assert signal.first_seen == signal.last_seen == datetime(2026, 3, 2, 8, 14, 2, 554000, tzinfo=UTC)


def test_a_node_condition_for_another_reason_is_unrelated():
    event = sample("event_node_monitoring_agent_condition")
    event["detail"]["message"] = "InterfaceNotUp: an interface is down, which has nothing to do with IPAMDNoIPs: of it"

    assert parse(event) == Dropped(reason=DropReason.UNRELATED_REASON)


@pytest.mark.parametrize("marker", ["eks-ip-remediator:cluster=", "eks-ip-remediator:cluster=-x", "cluster=shop-prod"])
def test_a_composite_alarm_whose_description_names_no_cluster_is_dropped(marker):
    event = sample("alarm_composite_named")
    event["detail"]["configuration"]["description"] = marker

    assert parse(event).reason in {DropReason.NO_METRIC, DropReason.NO_CLUSTER}


def test_a_composite_alarm_may_name_its_cluster_in_its_name():
    event = sample("alarm_composite")
    event["detail"]["alarmName"] = "unwell eks-ip-remediator:cluster=shop-test"

    assert parse(event).cluster == "shop-test"


def test_the_description_of_an_alarm_goes_before_the_dimensions_of_its_metrics():
    event = sample("alarm_metric_math")
    event["detail"]["configuration"]["description"] = "both shops: eks-ip-remediator:cluster=shop-test."

    assert parse(event).cluster == "shop-test"


def test_an_alarm_over_two_clusters_names_none():
    event = sample("alarm_metric_math")
    event["detail"]["configuration"]["metrics"][1]["metricStat"]["metric"]["dimensions"]["ClusterName"] = "another"

    assert parse(event) == Dropped(reason=DropReason.NO_CLUSTER)


@pytest.mark.parametrize("cluster", ["", "-starts-with-a-sign", "a" * 101, "a b", "x#OPEN", "<!channel>", 7, None, {}])
def test_a_cluster_name_that_eks_does_not_allow_is_no_cluster(cluster):
    event = sample("event_sandbox")
    event["detail"]["clusterName"] = cluster

    assert parse(event) == Dropped(reason=DropReason.NO_CLUSTER)


@pytest.mark.parametrize("host", ["<!channel>", "a b", "UPPER", "\ud800", "n" * 254, 7, ["a"]])
def test_a_node_name_that_kubernetes_does_not_allow_is_left_out(host):
    event = sample("event_sandbox")
    event["detail"]["source"]["host"] = host
    event["detail"]["reportingInstance"] = ""

    assert parse(event).node is None


def test_a_kubelet_that_names_its_node_only_in_reporting_instance_is_understood():
    event = sample("event_sandbox")
    del event["detail"]["source"]

    assert parse(event).node == NODE


def test_the_excerpt_is_one_bounded_line_of_printable_characters():
    event = sample("event_sandbox")
    event["detail"]["message"] = "one\n\ttwo\x00\x1b[31m\u202e\ud800 " + "x" * 100_000

    signal = parse(event)

    assert signal.excerpt.startswith("FailedCreatePodSandBox: one two [31m xxx")
    assert len(signal.excerpt) == EXCERPT_CHARACTERS
    assert signal.model_dump_json()


@pytest.mark.parametrize("stamp", ["2999-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "yesterday", "", 5, None])
def test_a_time_in_the_future_or_none_at_all_becomes_the_time_of_arrival(stamp):
    event = sample("event_sandbox")
    event["detail"].update({"firstTimestamp": stamp, "lastTimestamp": stamp})
    event["detail"]["metadata"]["creationTimestamp"] = stamp

    signal = parse(event)

    assert (signal.first_seen, signal.last_seen) == (NOW, NOW)


def test_an_event_without_an_id_is_identified_by_its_content():
    event = sample("event_sandbox")
    del event["detail"]["metadata"]["uid"]
    other = copy.deepcopy(event)
    other["detail"]["involvedObject"]["name"] = "another-pod"

    assert parse(event).id == parse(event).id
    assert parse(event).id != parse(other).id


def test_our_own_event_may_leave_times_and_id_to_the_envelope():
    event = sample("own_signal")
    for name in ("first_seen", "last_seen", "id"):
        del event["detail"][name]

    signal = parse(event)

    assert signal.first_seen == signal.last_seen == datetime(2026, 3, 2, 8, 20, tzinfo=UTC)
    assert signal.id == event["id"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"cause": "rain"},
        {"cluster": "a b"},
        {"first_seen": "2026-03-02T08:19:58"},
        {"first_seen": "0001-01-01T00:00:00+14:00"},
        {"extra": 1},
        {"pod": "no-namespace"},
    ],
)
def test_our_own_event_with_a_wrong_field_is_dropped(wrong):
    event = sample("own_signal")
    event["detail"].update(wrong)

    assert parse(event) == Dropped(reason=DropReason.INVALID_SIGNAL)


def nested(depth=50_000):
    value: object = "failed to assign an IP address to container"
    for _ in range(depth):
        value = [value]
    return value


def test_a_deeply_nested_alarm_is_dropped():
    event = sample("alarm_metric")
    event["detail"]["configuration"] = nested()

    assert parse(event) == Dropped(reason=DropReason.NO_METRIC)


def test_a_deeply_nested_message_proves_nothing():
    event = sample("event_sandbox")
    event["detail"]["message"] = nested()

    assert parse(event).cause is Cause.OTHER


def test_a_deeply_nested_signal_of_our_own_is_dropped():
    event = sample("own_signal")
    event["detail"]["pod"] = nested()

    assert parse(event) == Dropped(reason=DropReason.INVALID_SIGNAL)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)) | st.just("shop-prod"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = [path.stem for path in SAMPLES.glob("*.json") if not path.stem.startswith("logs_")]


@given(VALUES)
def test_no_json_value_breaks_the_parser(value):
    assert isinstance(parse(value), Dropped)


def _paths(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _paths(inner, (*path, key))


@given(st.sampled_from(NAMES), st.data())
def test_no_wrong_part_in_a_real_event_breaks_the_parser(name, data):
    event = sample(name)
    for _ in range(data.draw(st.integers(1, 3))):
        *parents, last = data.draw(st.sampled_from([path for path in _paths(event) if path]))
        place = event
        for key in parents:
            place = place[key]
        place[last] = data.draw(VALUES)

    outcome = parse(event)

    assert isinstance(outcome, Signal | UnplacedSignal | Dropped)
    assert outcome.model_dump_json()
