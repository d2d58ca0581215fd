"""One line of a log -> a signal.

Nearly all lines are about something else, so a line is read only when it holds a word that could matter; and here,
unlike in events, unknown words count only in lines of the CNI or about a pod sandbox that failed. What a line proves
also depends on whose words it is (`causes.SaidBy`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from ip_remediator.signals.causes import Cause, Speaker, Strength, Wording
from ip_remediator.signals.documents import at, first_text, json_value, mapping_at, text_at
from ip_remediator.signals.error_catalogue import CLASSIFIED_CHARACTERS, about_sandbox, deciding_wording
from ip_remediator.signals.log_groups import Origin, speaker_of, speaker_of_container
from ip_remediator.signals.model import Affected, Dropped, DropReason, Outcome, Source, build

# A line with none of these holds no words of the catalogue, no Kubernetes Event and nothing about a sandbox (a test
# compares them with the catalogue). Plain substrings: a regular expression of as many words is ten times slower.
MARKERS = (
    "insufficient",
    "sandbox",
    "aws-cni",
    "eniconfig",
    "eni config",
    "enis for",
    "eni limit",
    "eni attachment",
    "eni creation",
    "ipam",
    "limitexceeded",
    "ip address",
    "free addresses",
    "free cidr",
    "free ipv4",
    "enough ips",
    "ipnotavailable",
    "to be free",
    "/prefix addresses",
    "privateipv4",
    "rate limit",
    "rate exceeded",
    "throttling",
    "authoriz",
    "authfailure",
    "iampermissions",
    "credential",
    "imds",
    "identity",
    "ec2role",
    "expiredtoken",
    "device number",
    "find plugin",
    "cni ",
    "etc/cni",
    "k8s-agent",
    "process terminated",
    "initialization failure",
    "instance metadata",
    "api server",
    "apiserver",
    "grpc",
    "unix socket",
    "backend server",
    "50051",
    "warm pool",
    "allocationfailed",
    "creationfailed",
    "namenotfound",
    '"reason',
    "event.reason",
    "event_reason",
)
_EVENT_MARKERS = ("reason", "**")


class Line(NamedTuple):
    """A line as it was said: `words` are those of the program, without what its shipper put around them."""

    words: str
    excerpt: str
    speaker: Speaker
    node: str | None
    zone: str | None


def may_matter(raw: str) -> bool:
    """A cheap look at a raw line before anything is parsed."""
    lowered = raw[: 2 * CLASSIFIED_CHARACTERS].lower()
    return any(marker in lowered for marker in MARKERS)


def may_hold_event(raw: str) -> bool:
    """Whether a line may be, or hold, a Kubernetes Event of some exporter."""
    return any(marker in raw for marker in _EVENT_MARKERS)


_TEXTS = ("message", "log", "MESSAGE", "msg", "body", "line")


def line_of(raw: str, record: object, origin: Origin) -> Line:
    """`record`: the JSON object that `raw` is, or anything else for plain text."""
    if not isinstance(record, dict):
        return _plain(raw, origin)
    words = first_text(record, *_TEXTS) or text_at(record, "body", "stringValue") or raw
    named = _speaker_in(record)
    inner = _plain(words, origin if named is Speaker.UNKNOWN else origin._replace(speaker=named))
    speaker = inner.speaker if named is Speaker.UNKNOWN else named
    node = _node_in(record) or inner.node or origin.node
    return Line(inner.words, inner.excerpt, speaker, node, text_at(record, "az") or text_at(record, "zone"))


# --- plain text: prefixes of CRI logs and syslog, and what the form of a line tells of its program
_CRI = re.compile(r"^\d{4}-\d\d-\d\dT\S{8,40} (?:stdout|stderr) [FP] ")
_SYSLOG = re.compile(
    r"^(?:<\d{1,3}>\d? ?)?(?:[A-Z][a-z]{2} +\d{1,2} [\d:]{8}|\d{4}-\d\d-\d\dT\S{8,40}) ([A-Za-z0-9.-]{1,253}) "
    r"([A-Za-z0-9_./-]{1,100})(?:\[\d+\])?: "
)
_IPAMD_CALLER = re.compile(
    r'"caller": ?"(?:ipamd|awsutils|datastore|rpc|networkutils|eniconfig|entrypoint|aws-k8s-agent|routed-eni-cni-plugin'
    r"|runtime|k8sapi|driver|cni|ipam)[\w-]*[/.]"
)
_KUBELET_FILE = re.compile(r"\b(?:pod_workers|kuberuntime_\w+|remote_runtime|kubelet(?:_\w+)?)\.go:\d+\]")
_CONTAINERD = re.compile(r'level=\w+ msg="?(?:RunPodSandbox|StopPodSandbox|PullImage)')


def _plain(text: str, origin: Origin) -> Line:
    text = text[:CLASSIFIED_CHARACTERS]
    if text.startswith("{"):
        return Line(text, _said(text), _speaker_by_form(text, origin), origin.node, None)
    text = _CRI.sub("", text, count=1)
    syslog = _SYSLOG.match(text)
    if syslog:
        speaker = speaker_of(syslog.group(2))
        return Line(text[syslog.end() :], text, speaker, syslog.group(1), None)
    return Line(text, _said(text), _speaker_by_form(text, origin), origin.node, None)


def _said(text: str) -> str:
    """A program's own words where it writes JSON, with the error that it names beside them."""
    record = json_value(text) if text.startswith("{") else None
    message = text_at(record, "msg") or text_at(record, "message")
    if message is None:
        return text
    error = text_at(record, "error") or text_at(record, "err")
    return f"{message}: {error}" if error else message


def _speaker_by_form(text: str, origin: Origin) -> Speaker:
    """By the form of the text, where group and stream do not tell."""
    if origin.speaker is not Speaker.UNKNOWN:
        return origin.speaker
    if _IPAMD_CALLER.search(text):
        return Speaker.CNI
    if _KUBELET_FILE.search(text) or _CONTAINERD.search(text):
        return Speaker.RUNTIME
    return Speaker.UNKNOWN


# --- records of log shippers: Fluent Bit (Container Insights), Fluentd, Vector, the OpenTelemetry Collector, journald
_CONTAINER_KEYS = ("container_name", "container", "k8s.container.name")
_POD_KEYS = ("pod_name", "pod", "k8s.pod.name")
_NODE_KEYS = ("host", "pod_node_name", "node_name", "node", "k8s.node.name")
_PROGRAM_KEYS = ("systemd_unit", "_SYSTEMD_UNIT", "ident", "SYSLOG_IDENTIFIER", "appname", "program", "unit")
_HOST_KEYS = ("hostname", "host", "_HOSTNAME", "node_name", "node", "k8s.node.name")


def _parts(record: Mapping[str, object]) -> tuple[Mapping[str, object], ...]:
    resource = mapping_at(record, "resource")
    return (mapping_at(record, "kubernetes"), resource, mapping_at(resource, "attributes"), record)


def _speaker_in(record: Mapping[str, object]) -> Speaker:
    parts = _parts(record)
    container = next((name for part in parts if (name := first_text(part, *_CONTAINER_KEYS))), None)
    if container:
        pod = next((name for part in parts if (name := first_text(part, *_POD_KEYS))), None)
        return speaker_of_container(container, pod)
    program = first_text(record, *_PROGRAM_KEYS)
    return speaker_of(program) if program else Speaker.UNKNOWN


def _node_in(record: Mapping[str, object]) -> str | None:
    *others, own = _parts(record)
    named = next((name for part in others if (name := first_text(part, *_NODE_KEYS))), None)
    return first_text(own, "hostname") or named or first_text(own, *_HOST_KEYS)


# --- the pod that a line is about
# Each form with a part that it always has, for a cheap first look, and whether the name stands before the namespace.
_POD_FORMS = (
    ("pod=", re.compile(r'\bpod=\\*"([a-z0-9.-]{1,253})/([a-z0-9.-]{1,253})\\*"'), False),  # klog of the kubelet
    (
        "PodSandboxMetadata{",  # containerd
        re.compile(r"PodSandboxMetadata\{Name:([a-z0-9.-]{1,253}),Uid:[^,]{0,60},Namespace:([a-z0-9.-]{1,253}),"),
        True,
    ),
    (
        "object=",  # events in klog
        re.compile(r'object=\\*"([a-z0-9.-]{1,253})/([a-z0-9.-]{1,253})\\*".{0,60}kind=\\*"Pod'),
        False,
    ),
    (
        "K8S_POD_NAMESPACE=",  # the CNI's arguments
        re.compile(r"K8S_POD_NAMESPACE=([a-z0-9.-]{1,253});.{0,300}?K8S_POD_NAME=([a-z0-9.-]{1,253})"),
        False,
    ),
    (
        "PodSandbox",  # older kubelets
        re.compile(r'"([a-z0-9.-]{1,253})_([a-z0-9.-]{1,253})\([0-9a-f-]{1,60}\)\\*"'),
        True,
    ),
    (
        "set up pod ",  # dockershim
        re.compile(r'set up pod \\*"([a-z0-9.-]{1,253})_([a-z0-9.-]{1,253})\\*" network'),
        True,
    ),
)


def pod_in(text: str) -> str | None:
    """The pod ("namespace/name") that a line of kubelet, container runtime or CNI plugin is about."""
    for part, pattern, name_first in _POD_FORMS:
        if part in text and (match := pattern.search(text)):
            first, second = match.groups()
            return f"{second}/{first}" if name_first else f"{first}/{second}"
    return None


# --- weighing
_DEBUG = re.compile(r'"level": ?"debug"|\[DEBUG\]|\blevel=debug\b', re.IGNORECASE)
_FAILURE = re.compile(r"fail|error|unable|panic|fatal|refused|denied|timed out|timeout", re.IGNORECASE)
_OF_THE_CNI = re.compile(r"aws-cni|PodSandbox")
# Programs that start nodes: what EC2 refuses them, new nodes lack.
_LAUNCHERS = ("cluster-autoscaler", "karpenter", "requested number of instances", "NodeClaim")


class Judged(NamedTuple):
    """What a line proves, and by which wording; `reason` is set where it proves nothing."""

    cause: Cause = Cause.OTHER
    strength: Strength = Strength.WEAK
    wording: Wording | None = None
    reason: DropReason | None = None


def judge(line: Line) -> Judged:
    wording = deciding_wording(line.words, line.speaker)
    if wording is None or wording.cause is Cause.OTHER:
        return _judge_unknown(line, wording)
    node_limit_at_debug = wording.cause is Cause.NODE_LIMIT and _DEBUG.search(line.words)
    if wording.harmless or node_limit_at_debug:
        return Judged(wording=wording, reason=DropReason.HARMLESS)
    return Judged(wording.cause, wording.strength, wording)


def _judge_unknown(line: Line, wording: Wording | None) -> Judged:
    """Unknown words go along as evidence only where a sandbox or the CNI failed."""
    if line.speaker is not Speaker.OTHER and _OF_THE_CNI.search(line.words) and _FAILURE.search(line.words):
        return Judged(wording=wording)
    if line.speaker in (Speaker.OTHER, Speaker.RUNTIME) and (said := deciding_wording(line.words)):
        return Judged(wording=said, reason=DropReason.OTHER_PROGRAM)
    return Judged(wording=wording, reason=DropReason.UNRELATED_LINE)


def signal_of(
    line: Line, *, cluster: str | None, moment: datetime | None, identity: str | None, received_at: datetime
) -> Outcome:
    """The signal in a line. A line of a controller names no node: it runs on one, but is about others."""
    judged = judge(line)
    if judged.reason:
        return Dropped(reason=judged.reason)
    own_node = line.speaker is not Speaker.OTHER
    launcher = not own_node and any(words in line.words for words in _LAUNCHERS)
    return build(
        source=Source.LOGS,
        cluster=cluster,
        cause=judged.cause,
        strength=judged.strength,
        affected=Affected.NODES if launcher else Affected.PODS,
        node=line.node if own_node else None,
        zone=line.zone if own_node else None,
        pod=pod_in(line.words) if own_node or about_sandbox(line.words.lower()) else None,
        seen=(moment, moment),
        received_at=received_at,
        identity=identity,
        excerpt=line.excerpt,
    )


def record_in(raw: str) -> object:
    """The JSON object that a line is; None for plain text, which is as good."""
    return json_value(raw) if raw.startswith("{") else None


def written_in(record: object) -> object:
    """What a container wrote as JSON: a text in the shipper's record, or read by it."""
    return json_value(text_at(record, "log") or "") or at(record, "log_processed")
