"""Alarms in every form -> one small model -> a signal.

Forms: CloudWatch's state changes on EventBridge (of metrics, metric math, Metrics Insights, PromQL, composite alarms
and single contributors), the same as CloudWatch sends them to SNS or Lambda, and Alertmanager's alerts (webhook, and
the text that it or Amazon Managed Prometheus sends to SNS).

An alarm names no cause: pods wait or addresses run low, the facts must tell the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from ip_remediator.signals.causes import Cause, Strength
from ip_remediator.signals.documents import at, first_text, list_at, mapping_at, text_at, time_of
from ip_remediator.signals.model import DropReason, ParsedRecord, Place, Source, build, cluster_name, dropped

# Namespaces whose alarms concern addresses: AWS's Container Insights and the metrics of this project.
ALARM_NAMESPACES = frozenset({"ContainerInsights", "EksIpRemediator"})
# Namespaces that hold other metrics, too: cni-metrics-helper's, Container Insights for Prometheus, VPC IPAM's.
MIXED_NAMESPACES = frozenset({"Kubernetes", "ContainerInsights/Prometheus", "AWS/IPAM"})
# An alarm that names no cluster otherwise (composite, or on other metrics) has it in its name or description.
# (AWS's examples of composite alarms' events show no description.)
ALARM_CLUSTER = re.compile(r"eks-ip-remediator:cluster=([0-9A-Za-z_-]+)")
# Metrics about addresses, ENIs or pods that wait: of cni-metrics-helper and the CNI (awscni_...), Container Insights,
# kube-state-metrics, VPC IPAM.
_METRIC = re.compile(
    r"IPAddresses|IPv4|ip_addresses|SubnetIPUsage|\beni(?:Allocated|MaxAvailable)|ipamdErr|podENIErr|awscni_"
    r"|pod_status_pending"
    r"|kube_pod_status_(?:phase|scheduled|ready)|kube_pod_container_status_waiting|node_status_allocatable_pods"
    r"|node_number_of_running_pods|FreeAddresses|FreePrefixes"
)
# Container Insights has metrics of use as well. An alarm on one of them says nothing of addresses.
_METRIC_OF_USE = re.compile(r"cpu|memory|filesystem|diskio|network|gpu|neuron|_efa_|apiserver|etcd|restarts")
_CLUSTER_KEYS = (
    "ClusterName",
    "CLUSTER_ID",
    "cluster_id",
    "cluster_name",
    "clusterName",
    "cluster",
    "eks_cluster",
    "k8s_cluster_name",
    "k8s_cluster",
    "k8s.cluster.name",
    "@resource.k8s.cluster.name",
    "@aws.eks.cluster.name",
)
_NODE_KEYS = ("NodeName", "node", "k8s.node.name", "@resource.k8s.node.name", "nodename")
_KEY = "|".join(re.escape(key) for key in _CLUSTER_KEYS)
# A matcher of Metrics Insights (ClusterName = 'x') or PromQL ({"@resource.k8s.cluster.name"="x"}).
_MATCHER = re.compile(rf"""(?<![\w.])["']?(?:{_KEY})["']?\s*=~?\s*["']([^"']{{1,300}})["']""")
_QUERY_NAMESPACE = re.compile(r'"([A-Za-z/]{1,80})"')


class Metric(NamedTuple):
    """One metric that an alarm looks at."""

    namespace: str | None
    name: str
    dimensions: Mapping[str, object]


class Alarm(NamedTuple):
    """`configuration` holds the queries of Metrics Insights and PromQL. `attributes`: of the contributor that went
    off, where it was one of many."""

    name: str
    description: str
    state: str | None
    reason: str | None
    changed: datetime | None
    identity: str | None
    metrics: tuple[Metric, ...] = ()
    configuration: object = None
    attributes: Mapping[str, object] = MappingProxyType({})


def of_eventbridge(event: object, detail: Mapping[str, object]) -> Alarm:
    """`detail` of a state change; of Lambda's alarm action: `alarmData`."""
    configuration = at(detail, "configuration")
    return Alarm(
        name=text_at(detail, "alarmName") or "",
        description=text_at(configuration, "description") or "",
        state=text_at(detail, "state", "value"),
        reason=text_at(detail, "state", "reason"),
        changed=time_of(at(detail, "state", "timestamp")) or time_of(at(event, "time")),
        identity=text_at(event, "id"),
        metrics=tuple(_metrics(list_at(configuration, "metrics"))),
        configuration=configuration,
        attributes=mapping_at(detail, "alarmContributor", "attributes"),
    )


def of_notification(message: Mapping[str, object], identity: str | None) -> Alarm:
    """What CloudWatch sends to SNS; contributors' fields are those that the user guide's page on log alarms shows."""
    trigger = mapping_at(message, "Trigger")
    return Alarm(
        name=text_at(message, "AlarmName") or "",
        description=text_at(message, "AlarmDescription") or "",
        state=text_at(message, "NewStateValue"),
        reason=text_at(message, "NewStateReason"),
        changed=time_of(at(message, "StateChangeTime")),
        identity=identity,
        metrics=tuple(_metrics([{"MetricStat": {"Metric": trigger}}, *list_at(trigger, "Metrics")])),
        configuration=message,
        attributes=mapping_at(message, "AlarmContributorAttributes"),
    )


def _metrics(entries: list[object]) -> Iterator[Metric]:
    """The metrics among the entries; expressions are passed over. EventBridge and SNS differ in the case of keys."""
    for entry in entries:
        metric = mapping_at(entry, "metricStat", "metric") or mapping_at(entry, "MetricStat", "Metric")
        namespace = first_text(metric, "namespace", "Namespace")
        name = first_text(metric, "name", "MetricName", "metricName")
        dimensions = at(metric, "dimensions") or at(metric, "Dimensions")
        if namespace or name:
            yield Metric(namespace, name or "", _dimensions(dimensions))


def _dimensions(value: object) -> Mapping[str, object]:
    """An object, or a list of {"name", "value"}."""
    if isinstance(value, dict):
        return value
    pairs = value if isinstance(value, list) else []
    named = ((text_at(pair, "name") or text_at(pair, "Name"), at(pair, "value") or at(pair, "Value")) for pair in pairs)
    return {name: inner for name, inner in named if name}


_QUERY_KEYS = frozenset({"query", "Query", "expression", "Expression"})
_MAX_PARTS = 2_000


def _queries(configuration: object) -> list[str]:
    """The texts of queries and expressions at any depth, because each kind of alarm has them in another place."""
    queries: list[object] = []
    parts: list[dict[str, object] | list[object]] = [configuration] if isinstance(configuration, dict) else []
    for part in parts:  # which grows by what is inside
        if isinstance(part, dict):
            queries += [part[key] for key in _QUERY_KEYS.intersection(part)]
        inside: Iterable[object] = part.values() if isinstance(part, dict) else part
        if len(parts) < _MAX_PARTS:
            parts += [inner for inner in inside if isinstance(inner, dict | list)]
    return [query for query in queries if isinstance(query, str)]


def signal_of(alarm: Alarm, *, cluster: str | None, received_at: datetime) -> ParsedRecord:
    """The signal of an alarm; `cluster` names the cluster of one that names none."""
    if alarm.state != "ALARM":
        return dropped(DropReason.NOT_IN_ALARM)
    relevant = [metric for metric in alarm.metrics if _concerns_addresses(metric)]
    clusters = _clusters_of(alarm, relevant)
    if clusters is None:
        foreign = alarm.metrics or _queries(alarm.configuration)
        return dropped(DropReason.FOREIGN_NAMESPACE if foreign else DropReason.NO_METRIC)
    return build(
        source=Source.ALARM,
        cluster=_only_one(clusters) if clusters else cluster,
        cause=Cause.NO_ADDRESS,
        strength=Strength.WEAK,
        node=_node(alarm, relevant),
        times=(alarm.changed, alarm.changed),
        received_at=received_at,
        identity=alarm.identity,
        excerpt=": ".join(filter(None, (alarm.name, alarm.reason))),
        place=_place(relevant),
    )


def _concerns_addresses(metric: Metric) -> bool:
    if metric.namespace in ALARM_NAMESPACES:
        return not _METRIC_OF_USE.search(metric.name)
    return metric.namespace in MIXED_NAMESPACES and bool(_METRIC.search(metric.name))


def _asks_for_addresses(query: str) -> bool:
    """Whether a query looks at a metric about addresses, or of a namespace that is all about clusters."""
    if _METRIC.search(query):
        return True
    selected, _, _ = query.partition(" FROM ")
    return not ALARM_NAMESPACES.isdisjoint(_QUERY_NAMESPACE.findall(query)) and not _METRIC_OF_USE.search(selected)


def _clusters_of(alarm: Alarm, metrics: list[Metric]) -> set[str] | None:
    """The clusters that an alarm on addresses names; None for an alarm on anything else.

    `metrics`: those of the alarm's that are about addresses. Of words, contributor, dimensions and queries the first
    that names a cluster counts.
    """
    if named := ALARM_CLUSTER.search(f"{alarm.description} {alarm.name}"):
        return {named.group(1)}
    clusters = _clusters_in_attributes(alarm, metrics)
    if clusters and metrics:
        return clusters
    queries = [query for query in _queries(alarm.configuration) if _asks_for_addresses(query)]
    if not (metrics or queries):
        return None
    return clusters or {name for query in queries for name in _MATCHER.findall(query) if cluster_name(name)}


def _clusters_in_attributes(alarm: Alarm, metrics: list[Metric]) -> set[str]:
    if alarm.attributes and (contributor := first_text(alarm.attributes, *_CLUSTER_KEYS)):
        return {contributor}
    return {name for metric in metrics if (name := first_text(metric.dimensions, *_CLUSTER_KEYS))}


def _node(alarm: Alarm, metrics: list[Metric]) -> str | None:
    """The node of the dimensions, or else of the contributor."""
    dimensions = {name for metric in metrics if (name := first_text(metric.dimensions, *_NODE_KEYS))}
    return _only_one(dimensions) or first_text(alarm.attributes, *_NODE_KEYS)


def _only_one(names: set[str]) -> str | None:
    """The name on which all agree; None if they do not."""
    return next(iter(names)) if len(names) == 1 else None


def _place(metrics: list[Metric]) -> Place | None:
    """The place of an alarm of VPC IPAM, which measures a subnet for all of its users."""
    keys = ("SubnetId", "SubnetID", "subnetId", "ResourceId")
    subnets = {
        name for metric in metrics if (name := first_text(metric.dimensions, *keys)) and name.startswith("subnet-")
    }
    return Place(certain=True, subnets=tuple(sorted(subnets))) if subnets else None


# ------------------------------------------------------------------------------------------------ Alertmanager
_ALERT = re.compile(
    r"awscni|\bIPAMD?\b|\bENIs?\b|VPC[ _-]?CNI|aws-node|FailedCreatePodSandBox"
    r"|PodSandbox|ContainerCreating|KubePodNotReady|KubeContainerWaiting|pods?[ _-]?(?:is |are )?(?:pending|wait)"
    r"|pending[ _-]?pods?",
    re.IGNORECASE,
)
# Many alerts name some address or subnet: it must also be said that addresses are few.
_ADDRESSES = re.compile(r"(?i:ips?[ _-]?address|subnet|\bips\b|_ips?\b)|(?<![A-Z])(?:IP|ENI)s?(?![a-z])")
_FEW = re.compile(
    r"(?i:exhaust|limited|free|avail|\bleft\b|empty|short|r[au]n(?:ning)? out|remain|capacity|alloc|assign|usage"
    r"|utili[sz]|pool|wait|pending|\black|insufficient|\bno\b|(?:\b|_)(?:used|full|low)\b)|(?:Used|Full|Low)(?![a-z])|No[A-Z]"
)
_OTHER_ALERT = re.compile(r"cpu|memory|filesystem|disk|volume|gpu|throttl|certificate", re.IGNORECASE)
_TEXT_LINE = re.compile(r"^[ \t]*-[ \t]*([A-Za-z_][\w.@-]{0,100})[ \t]*=[ \t]*(\S.{0,1000}?)[ \t]*$", re.MULTILINE)
# What stands before the resolved alerts: Alertmanager's sns.default.message, Grafana's default.message.
_RESOLVED = re.compile(r"Alerts Resolved|\*\*Resolved\*\*")
# Pods of exporters: an alert on their metrics names them, not the pod that waits.
_EXPORTERS = ("aws-node-", "kube-state-metrics", "cni-metrics-helper", "prometheus-")


def alerts_in(text: str) -> list[dict[str, object]]:
    """The firing alerts of a plain text, as Alertmanager, Amazon Managed Prometheus and Grafana send it to SNS."""
    if "Labels:" not in text:  # most texts are no alerts
        return []
    firing = _RESOLVED.split(text[:100_000], maxsplit=1)[0]
    blocks = firing.split("Labels:")[1:]
    return [{"status": "firing", "labels": dict(_TEXT_LINE.findall(block))} for block in blocks]


def signal_of_alert(
    alert: object, common: Mapping[str, object], cluster: str | None, received_at: datetime
) -> ParsedRecord:
    """The signal of one alert; `common` are the labels that all alerts of its message have."""
    if at(alert, "status") not in ("firing", None) or text_at(alert, "state") in ("inactive", "pending"):
        return dropped(DropReason.NOT_IN_ALARM)
    labels = {**common, **mapping_at(alert, "labels")}
    texts = [text for text in (*labels.values(), *mapping_at(alert, "annotations").values()) if isinstance(text, str)]
    if not _alert_concerns_addresses(text_at(labels, "alertname") or "", [text[:2_000] for text in texts]):
        return dropped(DropReason.FOREIGN_NAMESPACE)
    began = time_of(at(alert, "startsAt"))
    namespace, pod = text_at(labels, "namespace"), text_at(labels, "pod")
    return build(
        source=Source.ALARM,
        cluster=first_text(labels, *_CLUSTER_KEYS) or cluster,
        cause=Cause.NO_ADDRESS,
        strength=Strength.WEAK,
        node=first_text(labels, *_NODE_KEYS),
        pod=f"{namespace}/{pod}" if namespace and pod and not pod.startswith(_EXPORTERS) else None,
        times=(began, None),
        received_at=received_at,
        identity=text_at(alert, "fingerprint"),
        excerpt=": ".join(filter(None, (text_at(labels, "alertname"), _summary(alert)))),
    )


def _alert_concerns_addresses(name: str, texts: list[str]) -> bool:
    """Whether the `texts` (labels and annotations) are about addresses. An alert about CPU, memory and the like is not,
    whatever pod it names."""
    return _speaks_of_addresses(name) or (not _OTHER_ALERT.search(name) and any(map(_speaks_of_addresses, texts)))


def _speaks_of_addresses(text: str) -> bool:
    return bool(_ALERT.search(text) or (_ADDRESSES.search(text) and _FEW.search(text)))


def _summary(alert: object) -> str | None:
    annotations = mapping_at(alert, "annotations")
    return first_text(annotations, "summary", "description", "message")
