"""CloudWatch Logs subscription records -> signals."""

from __future__ import annotations

import base64
import gzip
import json
import tracemalloc
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.signals.error_catalogue import Cause, Strength
from ip_remediator.signals.events import Dropped, DropReason, Signal, Source
from ip_remediator.signals.logs import MAX_INFLATED_BYTES, parse_logs

SAMPLES = Path(__file__).parents[2] / "data" / "signals"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NODE = "ip-10-0-0-5.ap-northeast-2.compute.internal"


def sample(name):
    return json.loads((SAMPLES / f"{name}.json").read_text())


def sent(batch):
    return sent_bytes(json.dumps(batch).encode())


def sent_bytes(body):
    return {"awslogs": {"data": base64.b64encode(gzip.compress(body)).decode()}}


def parse(payload):
    return list(parse_logs(payload, received_at=NOW))


def test_the_lines_of_the_dataplane_group_become_signals_or_drops():
    kubelet, unrelated, unknown = parse(sent(sample("logs_dataplane")))

    assert (kubelet.source, kubelet.cluster, kubelet.cause) == (Source.LOGS, "shop-prod", Cause.NO_ADDRESS)
    assert (kubelet.node, kubelet.zone, kubelet.pod) == (NODE, "ap-northeast-2a", "default/nginx-7c5ddbdf54-x2x8k")
    assert kubelet.last_seen == datetime(2026, 3, 2, 8, 14, 2, 118000, tzinfo=UTC)
    assert unrelated == Dropped(reason=DropReason.UNRELATED_LINE)
    assert unknown.cause is Cause.OTHER


def test_a_line_of_ipamd_has_ec2s_error_code_and_its_node_from_the_name_of_the_log_stream():
    (ipamd,) = parse(sent(sample("logs_dataplane_aws_node")))

    assert (ipamd.cluster, ipamd.cause, ipamd.strength) == ("shop-prod", Cause.SUBNET_FULL, Strength.STRONG)
    assert (ipamd.node, ipamd.zone, ipamd.pod) == (NODE, "ap-northeast-2a", None)
    assert ipamd.excerpt.startswith("Failed to increase pool size due to")


@pytest.mark.parametrize("stream", ["", "dataplane", "-dataplane.tail", "NODE-dataplane.tail", 5, None])
def test_a_log_stream_that_is_named_after_no_node_leaves_the_node_open(stream):
    (ipamd,) = parse(sent({**sample("logs_dataplane_aws_node"), "logStream": stream}))

    assert ipamd.node is None


def test_an_exported_event_in_any_log_group_is_the_same_signal_as_through_eventbridge():
    (signal,) = parse(sent(sample("logs_exported_events")))

    assert (signal.source, signal.cluster) == (Source.KUBERNETES_EVENT, "shop-prod")
    assert signal.id == sample("event_sandbox")["detail"]["metadata"]["uid"]


@pytest.mark.parametrize("wrap", [lambda line: {"log": line}, lambda line: {"log_processed": json.loads(line)}])
def test_an_event_that_an_exporter_wrote_to_its_own_log_is_read_out_of_fluent_bits_record(wrap):
    batch = sample("logs_exported_events")
    line = json.dumps({**json.loads(batch["logEvents"][0]["message"]), "clusterName": ""})
    group = "/aws/containerinsights/shop-prod/application"
    wrapped = {**batch["logEvents"][0], "message": json.dumps({**wrap(line), "stream": "stdout"})}

    (result,) = parse(sent({**batch, "logGroup": group, "logEvents": [wrapped]}))

    assert (result.source, result.cluster, result.pod) == (
        Source.KUBERNETES_EVENT,
        "shop-prod",
        "default/nginx-7c5ddbdf54-x2x8k",
    )


def test_a_line_about_addresses_in_a_group_that_names_no_cluster_is_dropped():
    batch = {**sample("logs_dataplane"), "logGroup": "/var/log/somewhere"}

    assert parse(sent(batch))[0] == Dropped(reason=DropReason.NO_CLUSTER)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (None, DropReason.NOT_AN_EVENT),
        ({"awslogs": {"data": 5}}, DropReason.NOT_AN_EVENT),
        ({"awslogs": {"data": "no base64!"}}, DropReason.UNREADABLE),
        ({"awslogs": {"data": "bm90IGd6aXA="}}, DropReason.UNREADABLE),
        (sent_bytes(b"not json"), DropReason.UNREADABLE),
        (sent_bytes(b"[" * 90_000), DropReason.UNREADABLE),
        (sent_bytes(b'{"messageType": "\xff"}'), DropReason.UNREADABLE),
        (sent([]), DropReason.UNKNOWN_SHAPE),
        (sent(sample("logs_control_message")), DropReason.CONTROL_MESSAGE),
    ],
)
def test_a_payload_that_cannot_be_used_is_one_drop_with_its_reason(payload, reason):
    assert parse(payload) == [Dropped(reason=reason)]


def test_a_truncated_payload_is_unreadable():
    data = base64.b64decode(sent(sample("logs_dataplane"))["awslogs"]["data"])
    cut = {"awslogs": {"data": base64.b64encode(data[: len(data) // 2]).decode()}}

    assert parse(cut) == [Dropped(reason=DropReason.UNREADABLE)]


def test_a_gzip_bomb_is_dropped_within_bounded_memory():
    deflate = zlib.compressobj(9, wbits=31)
    bomb = b"".join(deflate.compress(b" " * 1_000_000) for _ in range(60)) + deflate.flush()
    payload = {"awslogs": {"data": base64.b64encode(bomb).decode()}}

    tracemalloc.start()
    outcomes = parse(payload)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert outcomes == [Dropped(reason=DropReason.TOO_LARGE)]
    assert peak < 3 * MAX_INFLATED_BYTES


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
EVENTS = st.fixed_dictionaries(
    {}, optional={"id": VALUES, "timestamp": VALUES, "message": VALUES | VALUES.map(json.dumps)}
)
BATCHES = st.fixed_dictionaries(
    {"logGroup": st.just("/aws/containerinsights/shop-prod/dataplane") | VALUES},
    optional={"messageType": VALUES, "logEvents": st.lists(EVENTS | VALUES, max_size=3) | VALUES},
)


@given(VALUES | st.builds(sent, BATCHES) | st.builds(sent_bytes, st.binary(max_size=200)))
def test_no_payload_breaks_the_parser(payload):
    for outcome in parse(payload):
        assert isinstance(outcome, Signal | Dropped)
        assert outcome.model_dump_json()
