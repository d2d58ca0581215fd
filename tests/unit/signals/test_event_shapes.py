# ruff: noqa: E501 - one case in a row
"""One Kubernetes Event in the shapes that tools give it: pod, node and cluster are always those of the event."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.signals.causes import Cause, Strength
from ip_remediator.signals.events import parse_message
from ip_remediator.signals.model import Affected, Dropped, DropReason, ParsedRecord, Signal, Source

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NODE, POD = "ip-10-1-2-3.eu-west-1.compute.internal", "billing/api-6f7d9c8b5-k2m4p"
SHIPPER = {
    "kubernetes": {
        "pod_name": "shipper-5c9f8d7b6-m4t2x",
        "namespace_name": "logging",
        "container_name": "shipper",
        "host": "ip-10-9-9-9.eu-west-1.compute.internal",
    }
}
MESSAGE = (
    'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "9f": plugin '
    'type="aws-cni" name="aws-cni" failed (add): add cmd: failed to assign an IP address to container'
)
V1: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Event",
    "metadata": {"name": "api.17", "namespace": "billing", "uid": "0e0b", "creationTimestamp": "2026-03-02T08:12:05Z"},
    "involvedObject": {"kind": "Pod", "namespace": "billing", "name": "api-6f7d9c8b5-k2m4p", "uid": "77"},
    "reason": "FailedCreatePodSandBox",
    "message": MESSAGE,
    "type": "Warning",
    "source": {"component": "kubelet", "host": NODE},
    "firstTimestamp": "2026-03-02T08:12:05Z",
    "lastTimestamp": "2026-03-02T08:14:31Z",
    "count": 3,
}
EVENTS_V1: dict[str, Any] = {
    "apiVersion": "events.k8s.io/v1",
    "kind": "Event",
    "metadata": {"name": "api.17", "namespace": "billing", "uid": "0e0b", "creationTimestamp": "2026-03-02T08:12:05Z"},
    "regarding": {"kind": "Pod", "namespace": "billing", "name": "api-6f7d9c8b5-k2m4p"},
    "reason": "FailedCreatePodSandBox",
    "note": MESSAGE,
    "type": "Warning",
    "eventTime": "2026-03-02T08:12:05.000000Z",
    "series": {"count": 4, "lastObservedTime": "2026-03-02T08:14:31.000000Z"},
    "reportingController": "kubelet",
    "reportingInstance": NODE,
}
OTEL_ATTRIBUTES = {
    "k8s.event.reason": "FailedCreatePodSandBox",
    "k8s.event.uid": "0e0b",
    "k8s.event.count": 3,
    "k8s.namespace.name": "billing",
}
OTEL_RESOURCE = {
    "k8s.node.name": NODE,
    "k8s.object.kind": "Pod",
    "k8s.object.name": "api-6f7d9c8b5-k2m4p",
}
FLAT = {
    "reason": "FailedCreatePodSandBox",
    "message": MESSAGE,
    "kind": "Pod",
    "namespace": "billing",
    "name": "api-6f7d9c8b5-k2m4p",
    "host": NODE,
    "component": "kubelet",
    "type": "Warning",
}
TAGS = ["orchestrator:kubernetes", "source_component:kubelet", "kube_cluster_name:shop-prod"]


def otlp(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": {"stringValue": str(value)}} for name, value in attributes.items()]


SHAPES: dict[str, Any] = {
    "core/v1": V1,
    "events.k8s.io/v1": EVENTS_V1,
    "events.k8s.io/v1, converted from core/v1": {
        **{name: value for name, value in EVENTS_V1.items() if name not in ("series", "reportingInstance")},
        "eventTime": None,
        "deprecatedFirstTimestamp": "2026-03-02T08:12:05Z",
        "deprecatedLastTimestamp": "2026-03-02T08:14:31Z",
        "deprecatedCount": 3,
        "deprecatedSource": {"component": "kubelet", "host": NODE},
    },
    "list": {"kind": "EventList", "apiVersion": "v1", "items": [V1]},
    "watch frame": {"type": "MODIFIED", "object": V1},
    "eventrouter": {"verb": "UPDATED", "event": V1, "old_event": {**V1, "message": "older"}},
    "eventrouter with sorted keys": {"event": V1, "old_event": {**V1, "message": "older"}, "verb": "UPDATED"},
    "OpenTelemetry k8sobjects, watch": {
        "body": {"type": "ADDED", "object": V1},
        "attributes": {"event.domain": "k8s", "event.name": "api.17", "k8s.resource.name": "events"},
        "resource": {"k8s.namespace.name": "billing"},
    },
    "OpenTelemetry k8sobjects, pull": {"body": V1, "attributes": {"k8s.resource.name": "events"}},
    "OpenTelemetry k8s_events, CloudWatch exporter": {
        "body": MESSAGE,
        "severity_number": 13,
        "severity_text": "Warning",
        "attributes": OTEL_ATTRIBUTES,
        "resource": OTEL_RESOURCE,
    },
    "OpenTelemetry k8s_events, resource's attributes apart": {
        "body": MESSAGE,
        "attributes": OTEL_ATTRIBUTES,
        "resource": {"attributes": OTEL_RESOURCE},
    },
    "OpenTelemetry k8s_events, OTLP": {
        "resourceLogs": [
            {
                "resource": {"attributes": otlp(OTEL_RESOURCE)},
                "scopeLogs": [
                    {"logRecords": [{"body": {"stringValue": MESSAGE}, "attributes": otlp(OTEL_ATTRIBUTES)}]}
                ],
            }
        ]
    },
    "event exporter, its README's layout": {
        "region": "eu-west-1",
        "eventType": "kubernetes-event",
        "createdAt": "1772439245000",
        "details": FLAT,
    },
    "event exporter, flat layout": FLAT,
    "Datadog, one event": {
        "title": f"Pod {POD}: FailedCreatePodSandBox",
        "text": MESSAGE,
        "host": f"{NODE}-shop-prod",
        "source_type_name": "kubernetes",
        "tags": [*TAGS, "event_reason:FailedCreatePodSandBox", "kube_kind:Pod"],
        "date_happened": 1772439271,
    },
    "Datadog, a bundle": {
        "title": f"Events from the Pod {POD}",
        "text": f"%%% \n3 **FailedCreatePodSandBox**: {MESSAGE}\n \n _Events emitted by the kubelet_ \n\n %%%",
        "host": f"{NODE}-shop-prod",
        "tags": TAGS,
    },
    "Splunk's envelope": {"time": 1772439271, "sourcetype": "kube:events", "event": V1},
    "text in text": {"line": json.dumps({"entry": json.dumps(V1)})},
    "base64, as Kinesis has it": {"data": base64.b64encode(json.dumps(V1).encode()).decode()},
    "compressed, as Firehose has it": {
        "records": [{"data": base64.b64encode(gzip.compress(json.dumps(V1).encode())).decode()}]
    },
}


def read(document: object, cluster: str | None = "shop-prod") -> list[ParsedRecord]:
    return list(parse_message(document, received_at=NOW, cluster=cluster))


def subscription(message: str, group: str = "/aws/containerinsights/shop-prod/application") -> dict[str, Any]:
    stream = "ip-10-9-9-9.eu-west-1.compute.internal-application.var.log.containers.shipper-5c9f8d7b6-m4t2x_logging_"
    events = [{"id": "1", "timestamp": 1772439271000, "message": message}]
    return {
        "messageType": "DATA_MESSAGE",
        "logGroup": group,
        "logStream": f"{stream}shipper-{'0' * 64}.log",
        "logEvents": events,
    }


ENVELOPES: dict[str, Any] = {
    "bare": lambda shape: shape,
    "EventBridge": lambda shape: {"id": "e1", "source": "k8s", "detail-type": "x", "detail": shape},
    "SNS": lambda shape: {"Type": "Notification", "TopicArn": "arn", "MessageId": "m1", "Message": json.dumps(shape)},
    "a line of Fluent Bit": lambda shape: subscription(json.dumps({"log": json.dumps(shape), **SHIPPER})),
    "a line merged by Fluent Bit": lambda shape: subscription(
        json.dumps({"log_processed": shape, "log": "", **SHIPPER})
    ),
    "a line of Vector": lambda shape: subscription(
        json.dumps({"message": json.dumps(shape), "stream": "stdout", **SHIPPER})
    ),
    "a line as it is": lambda shape: subscription(json.dumps(shape)),
    "Lambda's failed payload": lambda shape: {"requestPayload": {"detail": shape}, "responsePayload": {}},
}


# No shipper writes base64 into a log.
WRAPPED = [
    (shape, envelope)
    for shape in SHAPES
    for envelope in ENVELOPES
    if "as" not in shape.split() or "line" not in envelope
]


@pytest.mark.parametrize(("shape", "envelope"), WRAPPED)
def test_an_event_is_read_in_every_shape_and_envelope(shape: str, envelope: str) -> None:
    # when
    (signal,) = read(ENVELOPES[envelope](SHAPES[shape]))
    # then
    assert isinstance(signal, Signal)
    assert (signal.source, signal.cause, signal.strength) == (Source.KUBERNETES_EVENT, Cause.NO_ADDRESS, Strength.WEAK)
    assert (signal.cluster, signal.node, signal.pod) == ("shop-prod", NODE, POD)


def test_an_event_merged_beside_its_shippers_fields_keeps_its_own() -> None:
    (signal,) = read(subscription(json.dumps({**V1, **SHIPPER, "stream": "stdout"})))
    assert isinstance(signal, Signal)
    assert (signal.node, signal.pod) == (NODE, POD)


@pytest.mark.parametrize("name", ["cluster", "cluster_name", "kube_cluster_name"])
def test_a_cluster_that_a_shipper_puts_beside_the_events_own_fields_is_read(name: str) -> None:
    (signal,) = parse_message({**V1, name: "shop-prod"}, received_at=NOW)
    assert isinstance(signal, Signal)
    assert signal.cluster == "shop-prod"


def test_a_pod_whose_name_is_that_of_a_program_that_starts_nodes_is_a_pod() -> None:
    # given a sandbox of Karpenter's own pod
    words = f'networkPlugin cni failed to set up pod "karpenter-6c5-x_karpenter" network: {MESSAGE}'
    # when
    (signal,) = read({**V1, "message": words})
    # then
    assert isinstance(signal, Signal)
    assert signal.affected is Affected.PODS


def test_the_cluster_that_the_event_names_goes_before_the_envelopes() -> None:
    (signal,) = read(subscription(json.dumps({"log": json.dumps({**V1, "clusterName": "shop-test"}), **SHIPPER})))
    assert isinstance(signal, Signal)
    assert signal.cluster == "shop-test"


def test_repeats_of_events_k8s_io_are_seen_until_their_series_ends() -> None:
    (signal,) = read(EVENTS_V1)
    assert isinstance(signal, Signal)
    assert signal.last_seen == datetime(2026, 3, 2, 8, 14, 31, tzinfo=UTC)
    assert signal.id == "0e0b"


FULL = "api error InsufficientFreeAddressesInSubnet: The specified subnet does not have enough free addresses."
NODE_OBJECT = {"kind": "Node", "name": NODE}


def event(reason: str, message: str, about: dict[str, Any], component: str) -> dict[str, Any]:
    return {**V1, "reason": reason, "message": message, "involvedObject": about, "source": {"component": component}}


RC, NMA = "vpc-resource-controller", "eks-node-monitoring-agent"
POD_OBJECT = V1["involvedObject"]
CLAIM = {"kind": "NodeClaim", "name": "general-x7"}
WEIGHED: list[tuple[dict[str, Any], Cause, Strength]] = [
    (event("BranchAllocationFailed", f"failed to allocate branch ENI to pod: {FULL}", POD_OBJECT, RC), Cause.SUBNET_FULL, Strength.STRONG),
    (event("BranchAllocationFailed", "failed to allocate branch ENI to pod: NetworkInterfaceLimitExceeded: x", POD_OBJECT, RC), Cause.ENI_QUOTA, Strength.STRONG),
    (event("BranchAllocationFailed", "failed to allocate branch ENI to pod: timeout", POD_OBJECT, RC), Cause.OTHER, Strength.WEAK),
    (event("TrunkENICreationFailed", "Failed to create trunk interface: Error Code: AttachmentLimitExceeded", NODE_OBJECT, RC), Cause.NODE_LIMIT, Strength.STRONG),
    (event("TrunkENICreationFailed", "Failed to create trunk interface: Error Code: UnauthorizedOperation: Please verify", NODE_OBJECT, RC), Cause.CNI_IAM, Strength.STRONG),
    (event("TrunkENICreationFailed", "Failed to create trunk interface: Error Code: InsufficientFreeAddressesInSubnet", NODE_OBJECT, RC), Cause.SUBNET_FULL, Strength.STRONG),
    (event("ResourceAllocationFailed", "Warm pool for resource vpc.amazonaws.com/PrivateIPv4Address is currently empty, will retry in 600ms", POD_OBJECT, RC), Cause.NO_ADDRESS, Strength.WEAK),
    (event("ResourceAllocationFailed", "Warm pool for resource vpc.amazonaws.com/PrivateIPv4Address is currently empty because the specified subnet does not have enough free cidr blocks, will retry in 2m0s", POD_OBJECT, RC), Cause.PREFIX_FRAGMENTED, Strength.STRONG),
    (event("InsufficientCidrBlocks", "x", NODE_OBJECT, RC), Cause.PREFIX_FRAGMENTED, Strength.STRONG),
    (event("EniConfigNameNotFound", "couldn't find the ENIConfig name", NODE_OBJECT, RC), Cause.ENICONFIG_MISSING, Strength.STRONG),
    (event("NetworkingReady", "IPAMDNotReady: IPAM-D has failed to connect to API Server", NODE_OBJECT, NMA), Cause.CNI_DOWN, Strength.STRONG),
    (event("NetworkingReady", "IPAMDNotRunning: The AWS VPC CNI was detected on this node but IPAMD was not found", NODE_OBJECT, NMA), Cause.CNI_DOWN, Strength.STRONG),
    (event("NetworkingReady", "IPAMDNoIPs: There are no available IP addresses for IPAMD", NODE_OBJECT, NMA), Cause.SUBNET_FULL, Strength.STRONG),
    (event("IPAMDNotReady", "IPAM-D has failed to connect to API Server", NODE_OBJECT, NMA), Cause.CNI_DOWN, Strength.STRONG),
    (event("InsufficientCapacityError", f"NodeClaim general-x7 event: creating instance, with fleet error(s), {FULL}", CLAIM, "karpenter"), Cause.SUBNET_FULL, Strength.STRONG),
    (event("FailedDeployModel", f"Failed deploy model due to {FULL}", {"kind": "Ingress", "namespace": "billing", "name": "web"}, "ingress"), Cause.SUBNET_FULL, Strength.STRONG),
]  # fmt: skip


@pytest.mark.parametrize(("document", "cause", "strength"), WEIGHED)
def test_reasons_that_carry_proof_are_weighed_by_their_message(
    document: dict[str, Any], cause: Cause, strength: Strength
) -> None:
    (signal,) = read(document)
    assert isinstance(signal, Signal)
    assert (signal.cause, signal.strength) == (cause, strength)
    assert signal.node == (NODE if document["involvedObject"]["kind"] == "Node" else None)
    assert signal.affected is (Affected.NODES if document["involvedObject"]["kind"] == "NodeClaim" else Affected.PODS)


UNRELATED = [
    event("FailedScheduling", "0/5 nodes are available: 5 Too many pods. preemption: 0/5 nodes", POD_OBJECT, "scheduler"),
    event("FailedScheduling", "0/3 nodes are available: 3 Insufficient vpc.amazonaws.com/pod-eni.", POD_OBJECT, "scheduler"),
    event("InsufficientCapacityError", "insufficient capacity, UnfulfillableCapacity: no On-Demand capacity", CLAIM, "karpenter"),
    event("NetworkingReady", "InterfaceNotUp: Interface eth0 is not up", NODE_OBJECT, NMA),
    event("NodeTrunkInitiated", "The node has trunk interface initialized successfully", NODE_OBJECT, RC),
    event("FailedAttachVolume", "AttachVolume.Attach failed: AttachmentLimitExceeded: too many volumes", POD_OBJECT, "attachdetach"),
    event("FailedKillPod", 'error killing pod: failed to "KillPodSandbox": plugin type="aws-cni" failed (delete): dial tcp 127.0.0.1:50051', POD_OBJECT, "kubelet"),
    event("Failed", "Failed to pull image: toomanyrequests: Rate exceeded", POD_OBJECT, "kubelet"),
]  # fmt: skip


@pytest.mark.parametrize("document", UNRELATED, ids=lambda document: document["message"][:40])
def test_events_that_are_about_something_else_are_dropped(document: dict[str, Any]) -> None:
    assert read(document) == [Dropped(reason=DropReason.UNRELATED_REASON)]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["reason", MESSAGE, json.dumps(V1)]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["event", "body", "attributes", "tags", "reason", "resource", "items", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(VALUES)
def test_no_envelope_breaks_the_reader(value: object) -> None:
    outcomes = read(value)
    assert outcomes
    assert all(outcome.model_dump_json() for outcome in outcomes)
