# ruff: noqa: E501 - one case in a row
"""Forms of records that public reports and the tools' sources show, beyond the plain ones.

Sources: opentelemetry-collector-contrib (k8sobjectsreceiver, journaldreceiver, awscloudwatchlogsexporter), the Datadog
agent's kubernetes_apiserver check and webhooks, vmware-archive/eventrouter's glog sink, metricbeat's event metricset,
kubewatch, containerd 2.2, karpenter-provider-aws' pkg/errors, awsdocs/amazon-eks-user-guide#1073 (audit log), aws/amazon-vpc-cni-k8s#59, #172, #575, #871, Canonical's eks snap, Karpenter's zap logs.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ip_remediator.signals.causes import Cause
from ip_remediator.signals.events import parse_message
from ip_remediator.signals.model import Affected, Dropped, DropReason, ParsedRecord, Signal

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NODE, SHIPPERS_NODE = "ip-10-1-2-3.eu-west-1.compute.internal", "ip-10-9-9-9.eu-west-1.compute.internal"
NAME, NAMESPACE = "api-6f7d9c8b5-k2m4p", "billing"
POD, HASH = f"{NAMESPACE}/{NAME}", "7f" * 32
ADD = 'plugin type="aws-cni" name="aws-cni" failed (add): add cmd: failed to assign an IP address to container'
ESCAPED = ADD.replace('"', '\\"')
SANDBOX = (
    f'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "9f": {ADD}'
)
FULL = "InsufficientFreeAddressesInSubnet: The specified subnet does not have enough free addresses"
EVENT: dict[str, Any] = {
    "metadata": {"uid": "0e0b"},
    "involvedObject": {"kind": "Pod", "namespace": NAMESPACE, "name": NAME},
    "reason": "FailedCreatePodSandBox",
    "message": SANDBOX,
    "source": {"component": "kubelet", "host": NODE},
    "lastTimestamp": "2026-03-02T08:14:31Z",
}
TAGS = [
    "kube_cluster_name:shop-prod",
    "event_reason:FailedCreatePodSandBox",
    f"kube_namespace:{NAMESPACE}",
    f"pod_name:{NAME}",
    "kube_kind:Pod",
]


def otlp(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {"kvlistValue": {"values": [{"key": key, "value": otlp(inner)} for key, inner in value.items()]}}
    return {"stringValue": value}


def read(document: Any, cluster: str | None = None) -> ParsedRecord:
    (outcome,) = parse_message(document, received_at=NOW, cluster=cluster)
    return outcome


def lines(message: Any, group: str, stream: str = "x") -> dict[str, Any]:
    text = message if isinstance(message, str) else json.dumps(message)
    return {
        "messageType": "DATA_MESSAGE",
        "logGroup": group,
        "logStream": stream,
        "logEvents": [{"id": "1", "timestamp": 1772439271000, "message": text}],
    }


DATAPLANE, HOST = "/aws/containerinsights/shop-prod/dataplane", "/aws/containerinsights/shop-prod/host"
AWS_NODE = f"{NODE}-dataplane.tail.var.log.containers.aws-node-x7k2p_kube-system_aws-node-{HASH}.log"
ROUTER = f"{SHIPPERS_NODE}-application.var.log.containers.eventrouter-1_logging_kube-eventrouter-{HASH}.log"

EVENTS: dict[str, Any] = {
    "k8sobjects, OTLP with typed values": {
        "resourceLogs": [
            {
                "resource": {"attributes": [{"key": "k8s.cluster.name", "value": {"stringValue": "shop-prod"}}, {"key": "k8s.node.name", "value": {"stringValue": SHIPPERS_NODE}}]},
                "scopeLogs": [{"logRecords": [{"body": otlp({"type": "ADDED", "object": EVENT})}]}],
            }
        ]
    },
    "Datadog's webhook, tags in a text": {"event": {"title": f"Pod {POD}: FailedCreatePodSandBox", "text": SANDBOX, "hostname": f"{NODE}-shop-prod", "tags": ",".join(TAGS)}},
    "Datadog's log of an event": {"message": SANDBOX, "hostname": f"{NODE}-shop-prod", "ddsource": "kubernetes", "ddtags": ",".join(TAGS)},
    "eventrouter's glog": lines(json.dumps({"log": f"I0302 08:14:31.1 1 glogsink.go:42] {json.dumps({'verb': 'ADDED', 'event': EVENT})}", "kubernetes": {"host": SHIPPERS_NODE}}), "/aws/containerinsights/shop-prod/application", ROUTER),
    "a CRI line of an exporter": lines(f"2026-03-02T08:14:31.1Z stdout F {json.dumps(EVENT)}", "/aws/containerinsights/shop-prod/application", ROUTER),
    "Splunk's HTTP event of OpenTelemetry": {
        "host": SHIPPERS_NODE,
        "sourcetype": "kube:events",
        "event": SANDBOX,
        "fields": {"k8s.event.reason": "FailedCreatePodSandBox", "k8s.namespace.name": NAMESPACE, "k8s.object.kind": "Pod", "k8s.object.name": NAME, "k8s.node.name": NODE, "k8s.cluster.name": "shop-prod"},
    },
    "New Relic": {
        "eventType": "InfrastructureEvent",
        "event.reason": "FailedCreatePodSandBox",
        "event.message": SANDBOX,
        "event.involvedObject.kind": "Pod",
        "event.involvedObject.name": NAME,
        "event.involvedObject.namespace": NAMESPACE,
        "event.source.host": NODE,
        "clusterName": "shop-prod",
    },
    "the audit log of EKS": lines({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "verb": "create", "objectRef": {"resource": "events"}, "requestObject": EVENT, "responseObject": EVENT, "responseStatus": {"code": 201}}, "/aws/eks/shop-prod/cluster", "kube-apiserver-audit-0a1b"),
    "metricbeat": {
        "kubernetes": {"event": {"reason": "FailedCreatePodSandBox", "message": SANDBOX, "involved_object": {"kind": "Pod", "name": NAME, "namespace": NAMESPACE}, "source": {"host": NODE}}},
        "orchestrator": {"cluster": {"name": "shop-prod"}},
    },
}  # fmt: skip


@pytest.mark.parametrize("form", EVENTS)
def test_given_an_event_in_a_reported_form_then_pod_node_and_cluster_are_its_own(form: str) -> None:
    signal = read(EVENTS[form])
    assert isinstance(signal, Signal), signal
    assert (signal.cause, signal.cluster, signal.node, signal.pod) == (Cause.NO_ADDRESS, "shop-prod", NODE, POD)


def test_given_names_of_fields_in_capitals_and_messages_in_a_list_then_the_event_is_read() -> None:
    signal = read(
        {
            "Kind": "Pod",
            "Name": NAME,
            "Namespace": NAMESPACE,
            "Reason": "FailedCreatePodSandBox",
            "Messages": [SANDBOX],
            "Cluster": "shop-prod",
        }
    )
    assert isinstance(signal, Signal)
    assert (signal.cause, signal.cluster, signal.pod) == (Cause.NO_ADDRESS, "shop-prod", POD)


CONTAINERD_2 = (
    f'time="2026-03-02T08:14:31Z" level=error msg="RunPodSandbox for name:\\"{NAME}\\"  uid:\\"b4ef\\"  '
    f'namespace:\\"{NAMESPACE}\\" failed, error" error="failed to setup network for sandbox: {ESCAPED}"'
)
KLOG = (
    f'E0302 08:14:31.6 417 pod_workers.go:1] "Error syncing pod" err="failed to create sandbox: {ESCAPED}" pod="{POD}"'
)
SHORT_HOST = NODE.partition(".")[0]
LINES: dict[str, dict[str, Any]] = {
    "containerd 2.2": lines({"message": CONTAINERD_2, "hostname": NODE, "systemd_unit": "containerd.service"}, DATAPLANE),
    "syslog with a short host name": lines(f"Mar  2 08:14:31 {SHORT_HOST} kubelet[417]: {KLOG}", HOST, f"{NODE}.host.messages"),
    "syslog that Fluent Bit has parsed": lines({"host": SHORT_HOST, "ident": "kubelet", "pid": "417", "message": KLOG, "az": "eu-west-1a"}, HOST, f"{NODE}.host.messages"),
    "the journal's unit of Ubuntu's snap": lines({"message": KLOG, "hostname": NODE, "systemd_unit": "snap.kubelet-eks.daemon.service"}, DATAPLANE),
    "the kubelet of Ubuntu's snap": lines(f"Mar  2 08:14:31 {SHORT_HOST} kubelet-eks.daemon[417]: {KLOG}", HOST, f"{NODE}.host.messages"),
    "the log of the CNI plugin": lines({"log": f"2020-03-16T15:02:38.124Z [ERROR] Failed to assign an IP address to pod {NAME}, namespace {NAMESPACE} container 6f"}, DATAPLANE, AWS_NODE),
    "klog in JSON": lines({"message": json.dumps({"caller": "kuberuntime/kuberuntime_manager.go:1", "msg": "CreatePodSandbox for pod failed", "pod": {"name": NAME, "namespace": NAMESPACE}, "err": SANDBOX}), "hostname": NODE, "systemd_unit": "kubelet.service"}, DATAPLANE),
    "journald in OpenTelemetry": lines({"body": {"MESSAGE": KLOG, "_HOSTNAME": NODE, "_SYSTEMD_UNIT": "kubelet.service"}, "resource": {"k8s.cluster.name": "shop-prod"}}, "/otel"),
}  # fmt: skip


@pytest.mark.parametrize("form", LINES)
def test_given_a_line_in_a_reported_form_then_node_and_pod_are_read(form: str) -> None:
    signal = read(LINES[form])
    assert isinstance(signal, Signal), signal
    assert (signal.cause, signal.cluster, signal.node, signal.pod) == (Cause.NO_ADDRESS, "shop-prod", NODE, POD)


def ipamd(message: str, caller: str = "ipamd/ipamd.go:934") -> str:
    return json.dumps({"level": "error", "ts": "t", "caller": caller, "msg": message})


@pytest.mark.parametrize(
    "record",
    [
        {"log": ipamd(FULL), "kubernetes": {"container_name": "aws-node", "host": NODE}, "cluster_name": "shop-prod"},
        {"body": ipamd(FULL), "resource": {"k8s.cluster.name": "shop-prod", "k8s.container.name": "aws-node", "k8s.node.name": NODE}},
        {"resource_arn": "arn:aws:eks:eu-west-1:1:cluster/shop-prod", "container_name": "aws-node", "node": NODE, "msg": FULL},
    ],
)  # fmt: skip
def test_given_a_group_that_names_no_cluster_then_the_records_own_counts(record: dict[str, Any]) -> None:
    signal = read(lines(record, "/anything"), cluster="shop-test")
    assert isinstance(signal, Signal)
    assert (signal.cluster, signal.node, signal.cause) == ("shop-prod", NODE, Cause.SUBNET_FULL)


def test_given_a_group_that_names_the_cluster_then_what_a_program_writes_does_not() -> None:
    signal = read(
        lines({"log": ipamd(FULL), "cluster": "kafka-1", "kubernetes": {"container_name": "aws-node"}}, DATAPLANE)
    )
    assert isinstance(signal, Signal)
    assert signal.cluster == "shop-prod"


def test_given_a_programs_json_with_its_error_apart_then_the_error_is_read_too() -> None:
    record = {
        "level": "ERROR",
        "message": "failed launching nodeclaim",
        "controller": "nodeclaim.lifecycle",
        "error": f"creating instance, with fleet error(s), {FULL} to satisfy the requested number of instances.",
    }
    signal = read(lines(record, "/aws/vendedlogs/eks/cluster/AUTO_MODE_COMPUTE_LOGS/shop-prod"))
    assert isinstance(signal, Signal)
    assert (signal.cause, signal.affected, signal.node) == (Cause.SUBNET_FULL, Affected.NODES, None)


THROTTLED = "Failed: RequestLimitExceeded: Request limit exceeded."


def test_given_ipamds_own_json_in_a_mapped_group_then_the_caller_tells_whose_words_they_are() -> None:
    signal = read(lines(ipamd(THROTTLED), "/nodes"), cluster="shop-prod")
    assert isinstance(signal, Signal)
    assert signal.cause is Cause.CNI_THROTTLED
    assert read(lines(ipamd(THROTTLED, "controllers/x.go:1"), "/nodes"), cluster="shop-prod") == Dropped(
        reason=DropReason.UNRELATED_LINE
    )


@pytest.mark.parametrize(
    "metric", ["totalIPv4Prefixes", "totalAssignedIPv4sPerCidr", "ipamdErr", "podENIErr", "assignIPAddresses"]
)
def test_given_an_alarm_on_a_metric_of_cni_metrics_helper_about_addresses_then_it_counts(metric: str) -> None:
    alarm = {
        "source": "aws.cloudwatch",
        "detail-type": "CloudWatch Alarm State Change",
        "id": "1",
        "detail": {
            "alarmName": "a",
            "state": {"value": "ALARM"},
            "configuration": {
                "metrics": [
                    {
                        "metricStat": {
                            "metric": {
                                "namespace": "Kubernetes",
                                "name": metric,
                                "dimensions": {"CLUSTER_ID": "shop-prod"},
                            }
                        }
                    }
                ]
            },
        },
    }
    signal = read(alarm)
    assert isinstance(signal, Signal)
    assert signal.cluster == "shop-prod"


@pytest.mark.parametrize(
    "words", ["Failed to communicate with K8S Server. Please check instance security groups or http proxy setting"]
)
def test_given_words_of_old_ipamds_that_do_not_come_up_then_they_count(words: str) -> None:
    signal = read(lines({"log": f"2019-08-07T02:24:04.835Z [INFO] {words}"}, DATAPLANE, AWS_NODE))
    assert isinstance(signal, Signal)
    assert (signal.cause, signal.node) == (Cause.CNI_DOWN, NODE)


def test_given_an_event_of_the_cluster_autoscaler_about_a_full_subnet_then_new_nodes_are_affected() -> None:
    words = "Scale-up failed for group eks-a: There are not enough free addresses in subnet 'subnet-0a1b2c3d4e5f60718' to satisfy the requested number of instances."
    about = {"kind": "ConfigMap", "namespace": "kube-system", "name": "cluster-autoscaler-status"}
    signal = read(
        {**EVENT, "reason": "FailedToScaleUpGroup", "message": words, "involvedObject": about, "source": {}},
        cluster="shop-prod",
    )
    assert isinstance(signal, Signal)
    assert (signal.cause, signal.affected, signal.pod) == (Cause.SUBNET_FULL, Affected.NODES, None)


def test_given_the_cluster_of_another_service_then_it_is_none_of_eks() -> None:
    record = {"cluster": "arn:aws:ecs:eu-west-1:1:cluster/web", "log": FULL}
    assert read(lines(record, "/ecs/web")) == Dropped(reason=DropReason.NO_CLUSTER)


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("LaunchFailed", "There are not enough free IP addresses to launch an instance in this subnet"),
        ("Launched", "Status condition transitioned, Type: Launched, Reason: InsufficientFreeAddressesInSubnet"),
    ],
)
def test_given_what_karpenter_says_of_a_nodeclaim_that_got_no_address_then_new_nodes_are_affected(
    reason: str, message: str
) -> None:
    about = {"kind": "NodeClaim", "name": "general-x7"}
    signal = read({**EVENT, "reason": reason, "message": message, "involvedObject": about, "source": {}}, "shop-prod")
    assert isinstance(signal, Signal)
    assert (signal.cause, signal.affected, signal.node) == (Cause.SUBNET_FULL, Affected.NODES, None)


def test_given_labels_without_dots_then_the_zone_is_read() -> None:
    about = {**EVENT["involvedObject"], "labels": {"topology_kubernetes_io/zone": "eu-west-1a"}}
    signal = read({**EVENT, "involvedObject": about}, "shop-prod")
    assert isinstance(signal, Signal)
    assert signal.zone == "eu-west-1a"


OTHER_CNIS = [
    'networkPlugin cni failed to set up pod "x_y" network: unable to allocate IP via local cilium agent: [POST /ipam][502] postIpamFailure range is full',
    "failed to allocate for range 0: no IP addresses available in range set: 10.60.28.1-10.60.28.254",
    'plugin type="calico" failed (add): error getting ClusterInformation: connection is unauthorized: Unauthorized',
    'plugin type="calico" failed (add): failed to request IPv4 addresses: Assigned 0 out of 1 requested IPv4 addresses',
    'plugin type="aws-cni" name="aws-cni" failed (add): add cmd: failed to setup network policy',
    "failed to create containerd task: OCI runtime create failed: unable to apply cgroup configuration",
    'failed to reserve sandbox name "a": name is reserved for "b"',
    "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
    'failed to get sandbox image "registry.k8s.io/pause:3.5": failed to pull image: toomanyrequests: Rate exceeded',
]


@pytest.mark.parametrize("words", OTHER_CNIS)
def test_given_a_sandbox_that_failed_for_another_reason_then_it_counts_towards_nothing(words: str) -> None:
    signal = read({**EVENT, "message": f"Failed to create pod sandbox: {words}"}, "shop-prod")
    assert isinstance(signal, Signal)
    assert signal.cause is Cause.OTHER


LOOK_ALIKES = [
    ("SyncLoadBalancerFailed", "error creating load balancer: InvalidSubnet: Not enough IP space available in subnet-1"),
    ("AllocationFailed", 'Failed to allocate IP for "billing/web": no available IPs'),
    ("BranchENIAnnotationFailed", "failed to annotate pod with branch ENI details: forbidden"),
    ("SecurityGroupRequested", "Pod will get the following Security Groups [sg-1]"),
    ("NetworkNotReady", "NetworkReady=false reason:NetworkPluginNotReady message: cni plugin not initialized"),
    ("NetworkingReady", "NetworkingIsReady: Monitoring for the Networking system is active"),
    ("FailedScheduling", "0/2 nodes are available: 2 Insufficient vpc.amazonaws.com/PrivateIPv4Address."),
    ("CannotCreateExternalResource", "AddressLimitExceeded: The maximum number of addresses has been reached."),
    ("Unhealthy", 'Readiness probe failed: timeout: failed to connect service ":50051" within 5s'),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "message"), LOOK_ALIKES)
def test_given_an_event_that_looks_alike_then_it_is_dropped(reason: str, message: str) -> None:
    document = {**EVENT, "reason": reason, "message": message}
    assert read(document, "shop-prod") == Dropped(reason=DropReason.UNRELATED_REASON)
