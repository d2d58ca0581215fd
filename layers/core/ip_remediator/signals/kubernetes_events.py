"""Kubernetes Events in whatever shape a tool gives them -> one small model -> a signal.

Shapes: core/v1 and events.k8s.io/v1 objects (kubernetes-event-exporter's plain shape, eventrouter, watch frames, Fluent
Bit's kubernetes_events, OpenTelemetry's k8sobjects), this project's layout and other flat layouts of the exporter,
OpenTelemetry's k8s_events (attributes), and Datadog's events (tags). An object's pod, node and cluster are those of the
event, never those of the program that passed it on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from ip_remediator.signals.causes import Cause, SaidBy, Speaker, Strength
from ip_remediator.signals.documents import first_text, list_at, mapping_at, text_at, time_of, time_under
from ip_remediator.signals.error_catalogue import deciding_wording
from ip_remediator.signals.model import Affected, Dropped, DropReason, ParsedRecord, Source, build, dropped
from ip_remediator.signals.unwrap import cluster_in

# What marks a Kubernetes Event in this project's layout for kubernetes-event-exporter (docs/signals.md).
LAYOUT = "eks-ip-remediator/v1"
ZONE_LABEL = "topology.kubernetes.io/zone"
_ZONE_LABEL_WITHOUT_DOTS = ZONE_LABEL.replace(".", "_")
_Proof = tuple[Cause, Strength]

# Reasons that carry proof. The value is proven by the reason alone; None: the message decides.
# Sources: the kubelet; pkg/utils/eventrecorder of the VPC CNI; pkg/reasons of eks-node-monitoring-agent; pkg/utils/
# events.go, pkg/provider/branch and pkg/handler/warm.go of amazon-vpc-resource-controller-k8s; Karpenter's
# pkg/controllers/nodeclaim/lifecycle.
EVENT_REASONS: Mapping[str, _Proof | None] = {
    "FailedCreatePodSandBox": None,
    "IPAMDNoIPs": (Cause.SUBNET_FULL, Strength.STRONG),
    "IPAMDNotReady": (Cause.CNI_DOWN, Strength.STRONG),
    "IPAMDNotRunning": (Cause.CNI_DOWN, Strength.STRONG),
    "IPAMDRepeatedlyRestart": (Cause.CNI_DOWN, Strength.WEAK),
    "MissingIAMPermissions": (Cause.CNI_IAM, Strength.STRONG),
    "InsufficientCidrBlocks": (Cause.PREFIX_FRAGMENTED, Strength.STRONG),
    "EniConfigNameNotFound": (Cause.ENICONFIG_MISSING, Strength.STRONG),
    "BranchAllocationFailed": None,
    "TrunkENICreationFailed": None,
    "ResourceAllocationFailed": None,
    "InsufficientCapacityError": None,
}
# Karpenter says InsufficientCapacityError about instance types as well: only EC2's words about addresses count.
_ABOUT_NODES = frozenset({"InsufficientCapacityError"})
_KINDS_OF_NODES = frozenset({"NodeClaim", "NodePool", "Machine", "MachineSet", "MachineDeployment", "Provisioner"})
# Words of programs that start nodes, and of EC2 to them: what EC2 refuses them, new nodes lack.
LAUNCHERS = ("cluster-autoscaler", "karpenter", "requested number of instances", "NodeClaim")
# Since it is a public project, the EKS node monitoring agent gives the node condition as reason, and its own reason in
# front of the message (pkg/manager/node_exporter.go of aws/eks-node-monitoring-agent, v1.6); before, the reason alone.
AGENT_CONDITION = "NetworkingReady"


class KubernetesEvent(NamedTuple):
    """What every shape is read into. `namespace` and `name` are those of the object that the event is about."""

    reason: str
    message: str
    kind: str | None = None
    namespace: str | None = None
    name: str | None = None
    node: str | None = None
    zone: str | None = None
    cluster: str | None = None
    uid: str | None = None
    first_seen: datetime | None = None
    last_seen: datetime | None = None

    @property
    def pod(self) -> str | None:
        """`namespace/name` of the pod that the event is about; None if it is about something else."""
        if self.kind != "Pod" or not self.namespace or not self.name:
            return None
        return f"{self.namespace}/{self.name}"


_KEYS_OF_ATTRIBUTES = frozenset({"attributes", "tags", "ddtags", "body", "fields", "event.reason", "k8s.event.reason"})


def event_in(document: Mapping[str, object]) -> KubernetesEvent | None:
    """The event that `document` itself is; an event inside it does not count."""
    reason = document.get("reason") or document.get("Reason")
    if isinstance(reason, str):
        if document.get("format") == LAYOUT:
            return _of_layout(document, reason)
        for key in ("involvedObject", "regarding", "involved_object"):
            about = document.get(key)
            if isinstance(about, dict):
                return _of_api(document, about, reason)
        if reason in EVENT_REASONS:
            return _of_fields(_fields(document))
    if not _KEYS_OF_ATTRIBUTES.isdisjoint(document):
        return _of_fields(_fields(document))
    return None


_LAYOUT_TEXTS = ("kind", "namespace", "name", "node", "zone", "cluster", "uid", "message")


def _of_layout(document: Mapping[str, object], reason: str) -> KubernetesEvent:
    """This project's own layout, whose fields are those of the model."""
    texts = [value if isinstance(value, str) and value else None for value in map(document.get, _LAYOUT_TEXTS)]
    kind, namespace, name, node, zone, cluster, uid, message = texts
    first, last = time_of(document.get("firstSeen")), time_of(document.get("lastSeen"))
    return KubernetesEvent(reason, message or "", kind, namespace, name, node, zone, cluster, uid, first, last)


# ------------------------------------------------------------------------------------------------ objects of the API
def _of_api(document: Mapping[str, object], about: Mapping[str, object], reason: str) -> KubernetesEvent:
    """core/v1 and events.k8s.io/v1 name the same things differently."""
    metadata = document.get("metadata")
    return KubernetesEvent(
        reason=reason,
        message=first_text(document, "message", "note") or "",
        kind=first_text(about, "kind"),
        namespace=first_text(about, "namespace"),
        name=first_text(about, "name"),
        node=_node_of(document, about),
        # kubernetes-event-exporter's deDot writes labels without dots.
        zone=first_text(about.get("labels"), ZONE_LABEL, _ZONE_LABEL_WITHOUT_DOTS),
        # Shippers put it beside the event's own fields, under the names that envelopes have, too.
        cluster=first_text(document, "clusterName") or cluster_in(document),
        # A repeat is folded into the same object (its count grows): no new observation of another pod.
        uid=first_text(metadata, "uid"),
        first_seen=time_under(document, "firstTimestamp", "deprecatedFirstTimestamp", "eventTime")
        or time_under(metadata, "creationTimestamp")
        or time_under(document, "lastTimestamp"),
        last_seen=time_under(document.get("series"), "lastObservedTime")
        or time_under(document, "lastTimestamp", "deprecatedLastTimestamp", "eventTime"),
    )


def _node_of(document: Mapping[str, object], about: Mapping[str, object]) -> str | None:
    """The node an Event is about; newer kubelets name it in `reportingInstance`, where others put a pod's name."""
    if about.get("kind") == "Node":
        return first_text(about, "name")
    host = first_text(document.get("source"), "host") or first_text(document.get("deprecatedSource"), "host")
    if host is None and first_text(document, "reportingComponent", "reportingController") == "kubelet":
        return first_text(document, "reportingInstance")
    return host


# ------------------------------------------------------------------------------------------------ flat shapes
# Names of fields, in lower case and without signs, in the order in which they count.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "reason": ("k8seventreason", "eventreason", "reason"),
    "message": ("message", "note", "msg", "text", "body", "messages", "event"),
    "kind": ("k8sobjectkind", "involvedobjectkind", "objectkind", "kubekind", "kind"),
    "namespace": ("k8snamespacename", "kubenamespace", "involvedobjectnamespace", "objectnamespace", "namespace", "ns"),
    "name": ("k8sobjectname", "involvedobjectname", "objectname", "kubename", "name", "k8spodname", "podname", "pod"),
    "pod": ("k8spodname", "podname", "pod"),
    "node": ("k8snodename", "nodename", "sourcehost", "node", "host", "hostname"),
    "zone": ("zone", "availabilityzone", "k8snodezone"),
    "cluster": ("k8sclustername", "kubeclustername", "clustername", "ekscluster", "cluster"),
    "uid": ("k8seventuid", "eventuid", "uid"),
    "first": ("firstseen", "firsttimestamp", "k8seventstarttime", "eventtime", "createdat", "datehappened"),
    "last": ("lastseen", "lasttimestamp", "timestamp", "time", "datehappened"),
}
# A field of one of these names makes a document an event, whatever its reason.
_EXPLICIT = frozenset({"k8seventreason", "eventreason", "format"})
_PARTS = ("attributes", "fields", "details", "labels", "source", "involvedObject")
# What New Relic puts "event." in front of.
_PREFIXED = ("eventinvolvedobject", "eventsource", "eventmessage")
_SIGNS = re.compile(r"[^a-z0-9]")
_MAX_FIELDS = 300
_DATADOG_LINE = re.compile(r"\*\*(\w{1,80})\*\*: ?(.{0,2000})")
_DATADOG_TITLE = re.compile(r"^(?:Events from the )?([A-Z]\w{1,40}) ([a-z0-9.-]{1,253})/([a-z0-9.-]{1,253})")


def _fields(document: Mapping[str, object]) -> dict[str, object]:
    """The simple values of a document, then those of its parts in which tools put an event's fields."""
    resource = mapping_at(document, "resource")
    parts = [document, *(mapping_at(document, part) for part in _PARTS), resource, mapping_at(resource, "attributes")]
    fields: dict[str, object] = {}
    for name, value in (*_key_values(parts), *_tags(document), *_listed(document), *_listed(resource)):
        if isinstance(value, str | int | float) and len(fields) < _MAX_FIELDS:
            plain = _SIGNS.sub("", name[:100].lower())
            fields.setdefault(plain.removeprefix("event") if plain.startswith(_PREFIXED) else plain, value)
    return fields


def _key_values(parts: list[Mapping[str, object]]) -> Iterator[tuple[str, object]]:
    for number, part in enumerate(parts):
        for name, value in part.items():
            yield name, value[0] if isinstance(value, list) and value else value
            if number and name in ("host", "component"):
                yield f"source{name}", value


def _tags(document: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Datadog's tags, "key:value" each: a list, or a text with commas between them."""
    text = first_text(document, "tags", "ddtags") or ""
    for tag in [*text.split(","), *list_at(document, "tags")][:_MAX_FIELDS]:
        if isinstance(tag, str):
            name, _, value = tag.partition(":")
            yield name, value


def _listed(document: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """OTLP's JSON: attributes are a list of {"key", "value": {"stringValue"}}, and so are a record's texts."""
    for entry in list_at(document, "attributes")[:_MAX_FIELDS]:
        name = text_at(entry, "key")
        if name:
            yield name, text_at(entry, "value", "stringValue")
    if body := text_at(document, "body", "stringValue"):
        yield "body", body


def _of_fields(fields: Mapping[str, object]) -> KubernetesEvent | None:
    texts = {field: _first(fields, names) for field, names in _NAMES.items()}
    reason, message = texts["reason"], texts["message"] or ""
    if reason is None:
        reason, message = _datadog_reason(message)
    if reason is None or not (reason in EVENT_REASONS or _EXPLICIT & fields.keys()):
        return None
    kind, namespace, name = _involved_object(texts, _DATADOG_TITLE.match(str(fields.get("title", ""))))
    return KubernetesEvent(
        reason=reason,
        message=message,
        kind=kind,
        namespace=namespace,
        name=name,
        node=name if kind == "Node" else _without_cluster(texts["node"], texts["cluster"]),
        zone=texts["zone"],
        cluster=texts["cluster"],
        uid=texts["uid"],
        first_seen=_time(fields, "first"),
        last_seen=_time(fields, "last"),
    )


def _datadog_reason(text: str) -> tuple[str | None, str]:
    """Datadog lists an event's messages by reason: the first reason that is ours with its message, or none with all of
    the text."""
    lines = _DATADOG_LINE.findall(text)
    return next(((reason, message) for reason, message in lines if reason in EVENT_REASONS), (None, text))


def _involved_object(
    texts: Mapping[str, str | None], title: re.Match[str] | None
) -> tuple[str | None, str | None, str | None]:
    """Kind, namespace and name of the object; Datadog's `title` has the best ones."""
    kind, namespace, name = title.groups() if title else (texts["kind"], texts["namespace"], texts["name"])
    if kind is None and texts["pod"]:
        return "Pod", namespace, texts["pod"]
    return kind, namespace, name


def _first(fields: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    return next((value for name in names if isinstance(value := fields.get(name), str) and value), None)


def _time(fields: Mapping[str, object], which: str) -> datetime | None:
    times = (time_of(fields.get(name)) for name in _NAMES[which])
    return next((moment for moment in times if moment), None)


def _without_cluster(host: str | None, cluster: str | None) -> str | None:
    """Datadog's host is "<node>-<cluster>"."""
    return host.removesuffix(f"-{cluster}") if host and cluster else host


# ------------------------------------------------------------------------------------------------ weighing
def signal_of(event: KubernetesEvent, *, cluster: str | None, received_at: datetime) -> ParsedRecord:
    """The signal in an event; `cluster` is the one that its envelopes name, for events that name none."""
    reason, message = event.reason, event.message
    if reason == AGENT_CONDITION:
        reason, _, message = message.partition(": ")
    proof = _proof(reason, message)
    if isinstance(proof, Dropped):
        return proof
    cause, strength = proof
    return build(
        source=Source.KUBERNETES_EVENT,
        cluster=event.cluster or cluster,
        cause=cause,
        strength=strength,
        affected=Affected.NODES if _about_nodes(reason, event) else Affected.PODS,
        node=event.node,
        zone=event.zone,
        pod=event.pod,
        times=(event.first_seen, event.last_seen),
        received_at=received_at,
        identity=event.uid,
        excerpt=f"{reason}: {message}",
    )


def _about_nodes(reason: str, event: KubernetesEvent) -> bool:
    """Whether it is nodes that cannot start. Reasons of ours are about pods, whatever words their message holds."""
    if event.kind in _KINDS_OF_NODES or reason in _ABOUT_NODES:
        return True
    return reason not in EVENT_REASONS and any(launcher in event.message for launcher in LAUNCHERS)


def _proof(reason: str, message: str) -> _Proof | Dropped:
    """What reason and message prove. EC2's codes for a full subnet count with every reason."""
    proven = EVENT_REASONS.get(reason)
    if proven:
        return proven
    own_words = reason in EVENT_REASONS and reason not in _ABOUT_NODES
    wording = deciding_wording(message, Speaker.CNI if own_words else Speaker.OTHER)
    if wording and wording.harmless:
        return dropped(DropReason.HARMLESS)
    if wording and (own_words or wording.said_by is SaidBy.ANYONE):
        return wording.cause, wording.strength
    return (Cause.OTHER, Strength.WEAK) if own_words else dropped(DropReason.UNRELATED_REASON)
