"""One line of a log -> a signal.

Nearly all lines are about something else. So, other than in events, an unknown wording counts only in lines of the
CNI, or about a pod sandbox that failed. What a line proves also depends on the program that wrote it
(`causes.SaidBy`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from ip_remediator.signals.causes import Cause, Speaker, Strength, Wording
from ip_remediator.signals.documents import first_text, json_value, mapping_at, text_at
from ip_remediator.signals.error_catalogue import (
    CLASSIFIED_CHARACTERS,
    Occurrence,
    about_sandbox,
    first_that_counts,
    occurrences,
)
from ip_remediator.signals.kubernetes_events import LAUNCHERS
from ip_remediator.signals.log_groups import Origin, speaker_of
from ip_remediator.signals.model import Affected, DropReason, ParsedRecord, Source, build, dropped
from ip_remediator.signals.unwrap import plain_value


class LogLine(NamedTuple):
    """A line as the program wrote it: `words` are the program's own, without what its shipper put around them.

    `debug`: the record names that level beside the words.
    """

    words: str
    excerpt: str
    speaker: Speaker
    node: str | None = None
    zone: str | None = None
    debug: bool = False


def may_hold_event(raw: str) -> bool:
    """Whether a line may be, or hold, a Kubernetes Event of some exporter."""
    # One sign is found much faster than two.
    return "reason" in raw or ("*" in raw and "**" in raw)


# Where shippers have a program's text. A record with `msg` instead is what a program (klog, zap) wrote itself.
_TEXTS = ("message", "log", "MESSAGE", "body", "line")


def line_of(raw: str, record: object, origin: Origin) -> LogLine:
    """`record`: the JSON object that `raw` is, or anything else for plain text."""
    if not isinstance(record, dict):
        return _plain(raw, origin.speaker, origin.node)
    body = record.get("body")
    if isinstance(body, dict):
        record = {**record, **mapping_at(plain_value(body))}
    metadata = _metadata_in(record)
    words = first_text(record, *_TEXTS) or text_at(body, "stringValue") or raw
    if ("error" in record or "err" in record) and (error := first_text(record, "error", "err")):
        words = f"{words}: {error}"
    speaker = _speaker_in(record, metadata) or origin.speaker
    node = _node_in(record, metadata, origin.node)
    if speaker is Speaker.UNKNOWN and "caller" in record:
        speaker = _speaker_by_form(raw)
    line = _plain(words, speaker, origin.node, node, first_text(record, "az", "zone"))
    return line._replace(debug=True) if record.get("level") in ("debug", "DEBUG") else line


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


def _plain(
    text: str, speaker: Speaker, of_stream: str | None, of_record: str | None = None, zone: str | None = None
) -> LogLine:
    """The line in a text. For the node, the record takes precedence over the text, and the text over the stream."""
    text = text[:CLASSIFIED_CHARACTERS]
    if not text.startswith("{"):
        if cri := _CRI.match(text):
            text = text[cri.end() :]
        syslog = _SYSLOG.match(text)
        if syslog:
            speaker = speaker if speaker is not Speaker.UNKNOWN else speaker_of(syslog.group(2))
            node = of_record or _fuller_name(syslog.group(1), of_stream)
            return LogLine(text[syslog.end() :], text, speaker, node, zone)
    if speaker is Speaker.UNKNOWN:
        speaker = _speaker_by_form(text)
    return LogLine(text, _message_in(text), speaker, of_record or of_stream, zone)


def _fuller_name(host: str, of_stream: str | None) -> str:
    """Syslog, and what shippers read of it, has a host's name with or without its domain."""
    return of_stream if of_stream and of_stream.startswith(f"{host}.") else host


def _message_in(text: str) -> str:
    """A program's own words where it writes JSON, with the error that it names beside them."""
    if not text.startswith("{"):
        return text
    record = json_value(text)
    message, error = first_text(record, "msg", "message"), first_text(record, "error", "err")
    if message is None:
        return text
    return f"{message}: {error}" if error else message


def _speaker_by_form(text: str) -> Speaker:
    if _IPAMD_CALLER.search(text):
        return Speaker.CNI
    if _KUBELET_FILE.search(text) or _CONTAINERD.search(text):
        return Speaker.RUNTIME
    return Speaker.UNKNOWN


# --- records of log shippers: Fluent Bit (Container Insights), Fluentd, Vector, the OpenTelemetry Collector, journald
_CONTAINER_KEYS = ("container_name", "container", "k8s.container.name")
_NODE_KEYS = ("host", "pod_node_name", "node_name", "node", "k8s.node.name")
_PROGRAM_KEYS = ("systemd_unit", "_SYSTEMD_UNIT", "ident", "SYSLOG_IDENTIFIER", "appname", "program", "unit")
_HOST_KEYS = ("hostname", "host", "_HOSTNAME", "node_name", "node", "k8s.node.name")


def _metadata_in(record: Mapping[str, object]) -> tuple[Mapping[str, object], ...]:
    """The parts of a record in which shippers describe the pod that wrote it."""
    if "kubernetes" not in record and "resource" not in record:
        return ()
    resource = mapping_at(record, "resource")
    parts = (mapping_at(record, "kubernetes"), resource, mapping_at(resource, "attributes"))
    return tuple(part for part in parts if part)


def _speaker_in(record: Mapping[str, object], metadata: Iterable[Mapping[str, object]]) -> Speaker | None:
    """The program that wrote the record, by the container or unit that it names."""
    program = _first_in((*metadata, record), _CONTAINER_KEYS) or first_text(record, *_PROGRAM_KEYS)
    return speaker_of(program) if program else None


def _node_in(
    record: Mapping[str, object], metadata: Iterable[Mapping[str, object]], of_stream: str | None
) -> str | None:
    host = first_text(record, "hostname") or _first_in(metadata, _NODE_KEYS) or first_text(record, *_HOST_KEYS)
    return _fuller_name(host, of_stream) if host else None


def _first_in(parts: Iterable[Mapping[str, object]], keys: tuple[str, ...]) -> str | None:
    for part in parts:
        if text := first_text(part, *keys):
            return text
    return None


# --- the pod that a line is about
# Each form with a part that it always has, for a cheap first look, and whether the name stands before the namespace.
_POD_FORMS = (
    ("pod=", re.compile(r'pod=\\*"([a-z0-9.-]{1,253})/([a-z0-9.-]{1,253})\\*"'), False),  # klog of the kubelet
    (
        "PodSandboxMetadata{",  # containerd
        re.compile(r"PodSandboxMetadata\{Name:([a-z0-9.-]{1,253}),Uid:[^,]{0,60},Namespace:([a-z0-9.-]{1,253}),"),
        True,
    ),
    (
        "namespace:",  # containerd 2.2 and later
        re.compile(r'name:\\*"([a-z0-9.-]{1,253})\\*" +uid:\\*"[^"]{0,60}" +namespace:\\*"([a-z0-9.-]{1,253})\\*"'),
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
        '"pod":',  # klog in JSON
        re.compile(r'"pod": ?\{"name": ?"([a-z0-9.-]{1,253})", ?"namespace": ?"([a-z0-9.-]{1,253})"'),
        True,
    ),
    ('"pod":', re.compile(r'"pod": ?"([a-z0-9.-]{1,253})/([a-z0-9.-]{1,253})"'), False),
    (
        ", namespace ",  # the CNI plugin's log
        re.compile(r"\bpod ([a-z0-9.-]{1,253}), namespace ([a-z0-9.-]{1,253})\b"),
        True,
    ),
    (
        'ObjectReference{Kind:"Pod"',  # events in older klog
        re.compile(r'Kind:"Pod", Namespace:"([a-z0-9.-]{1,253})", Name:"([a-z0-9.-]{1,253})"'),
        False,
    ),
    (
        "Error adding ",  # dockershim and CRI-O
        re.compile(r"Error adding (?:pod )?([a-z0-9.-]{1,253})_([a-z0-9.-]{1,253})(?:/\w{1,64})? to (?:CNI )?network"),
        False,
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
_FAILURES = ("fail", "error", "unable", "panic", "fatal", "refused", "denied", "timed out", "timeout")
_OF_THE_CNI = ("aws-cni", "PodSandbox")


class Judged(NamedTuple):
    """What a line proves, and by which wording; `reason` is set if it proves nothing."""

    cause: Cause = Cause.OTHER
    strength: Strength = Strength.WEAK
    wording: Wording | None = None
    reason: DropReason | None = None


def _judge(line: LogLine, lowered: str) -> Judged:
    """What the catalogue makes of a line; `lowered`: its words in lower case."""
    words = occurrences(lowered)
    wording = first_that_counts(words, line.words, lowered, line.speaker)
    if wording is None or wording.cause is Cause.OTHER:
        return _judge_unknown(line, wording, words, lowered)
    node_limit_at_debug = wording.cause is Cause.NODE_LIMIT and (line.debug or _DEBUG.search(line.words))
    if wording.harmless or node_limit_at_debug:
        return Judged(wording=wording, reason=DropReason.HARMLESS)
    return Judged(wording.cause, wording.strength, wording)


def _judge_unknown(line: LogLine, wording: Wording | None, words: Sequence[Occurrence], lowered: str) -> Judged:
    """An unknown wording is kept as evidence only if a sandbox or the CNI failed."""
    of_the_cni = line.speaker is not Speaker.OTHER and any(map(line.words.__contains__, _OF_THE_CNI))
    if of_the_cni and any(map(lowered.__contains__, _FAILURES)):
        return Judged(wording=wording)
    others = line.speaker in (Speaker.OTHER, Speaker.RUNTIME)
    if others and (of_others := first_that_counts(words, line.words, lowered, Speaker.CNI)):
        return Judged(wording=of_others, reason=DropReason.OTHER_PROGRAM)
    return Judged(wording=wording, reason=DropReason.UNRELATED_LINE)


def signal_of(
    line: LogLine,
    *,
    cluster: str | None,
    moment: datetime | None,
    identity: str | None,
    received_at: datetime,
) -> ParsedRecord:
    """The signal in a line. A line of a controller names no node: it runs on one node, and writes about others."""
    lowered = line.words.lower()
    judged = _judge(line, lowered)
    if judged.reason:
        return dropped(judged.reason)
    own_node = line.speaker is not Speaker.OTHER
    names_pod = ("pod" in lowered or "error adding" in lowered) and (own_node or about_sandbox(lowered))
    launcher = not own_node and any(map(line.words.__contains__, LAUNCHERS))
    return build(
        source=Source.LOGS,
        cluster=cluster,
        cause=judged.cause,
        strength=judged.strength,
        affected=Affected.NODES if launcher else Affected.PODS,
        node=line.node if own_node else None,
        zone=line.zone if own_node else None,
        pod=pod_in(line.words) if names_pod else None,
        times=(moment, moment),
        received_at=received_at,
        identity=identity,
        excerpt=line.excerpt,
    )


def record_in(raw: str) -> object:
    """The JSON object that a line is; None for plain text."""
    return json_value(raw) if raw.startswith("{") else None
