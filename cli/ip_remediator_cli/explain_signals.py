"""`ip-remediator signals --explain`: which rule decided about each record, and what would make it count."""

from __future__ import annotations

import re

from ip_remediator.signals.causes import Cause, SaidBy, Strength, Wording
from ip_remediator.signals.error_catalogue import deciding_wording
from ip_remediator.signals.model import Dropped, DropReason, ParsedRecord, UnplacedSignal

# Why a record was dropped, and what would make it count.
_DROPS = {
    DropReason.NOT_AN_EVENT: "no event, alarm or log record is in it; docs/signals.md has the shapes that are read",
    DropReason.UNKNOWN_SHAPE: "an EventBridge event of another shape; docs/signals.md has the shapes that are read",
    DropReason.NOT_IN_ALARM: "the alarm is not in ALARM; it counts when it goes off",
    DropReason.NO_METRIC: "an alarm without metrics; write eks-ip-remediator:cluster=CLUSTER into its description",
    DropReason.FOREIGN_NAMESPACE: "the alarm watches metrics that are not about addresses; if it should count, write "
    "eks-ip-remediator:cluster=CLUSTER into its description or name",
    DropReason.NO_CLUSTER: "it names no cluster; give --cluster, set the exporter's clusterName, or map its log "
    "group with LogGroupClusters",
    DropReason.UNRELATED_REASON: "the reason is not about addresses, and its message names no full subnet",
    DropReason.UNRELATED_CALL: "the call or launch was not refused for addresses",
    DropReason.INVALID_SIGNAL: "a signal of this project with a missing, wrong or unknown field",
    DropReason.CONTROL_MESSAGE: "a test or confirmation by AWS",
    DropReason.UNREADABLE: "no base64, gzip or JSON",
    DropReason.TOO_LARGE: "it unpacks to more than 16 MiB or 100,000 objects",
    DropReason.UNRELATED_LINE: "the line has no known wording",
    DropReason.OTHER_PROGRAM: "the words count only from the VPC CNI, or from kubelet or runtime about a sandbox",
    DropReason.HARMLESS: "healthy nodes under load write this all the time, so it does not count",
}  # fmt: skip


def explain(outcome: ParsedRecord) -> list[str]:
    """Lines for people: the rule that decided, and what would make the record count or count more."""
    if isinstance(outcome, Dropped):
        return [f"dropped ({outcome.reason}): {_DROPS[outcome.reason]}"]
    wording = deciding_wording(outcome.excerpt)
    lines = [f"{outcome.cause}, {outcome.strength}: {_rule(outcome.cause, wording)}"]
    if isinstance(outcome, UnplacedSignal):
        places = [*outcome.place.subnets, outcome.place.interface, outcome.place.auto_scaling_group]
        named = ", ".join(place for place in places if place)
        lines.append(f"counts for the clusters that the sweep has seen in {named}; or give --cluster")
    if outcome.cause is Cause.OTHER:
        lines += ["does not count: this wording is unknown. To have it added, open an issue with this text:"]
        lines += [f"    {line}" for line in issue_text(outcome.excerpt).splitlines()]
    elif outcome.strength is Strength.WEAK:
        lines.append("opens an incident with a second piece of evidence, or alone with WeakSignalsNeeded=1")
    else:
        lines.append("opens an incident alone")
    return lines


def _rule(cause: Cause, wording: Wording | None) -> str:
    if wording is None or wording.cause is not cause:
        return "no wording of the catalogue; the reason or the kind of the record decided"
    versions = f", CNI {wording.versions}" if wording.versions else ""
    return f"the wording of {wording.example[:80]!r} ({_SAID_BY[wording.said_by]}{versions})"


_SAID_BY = {
    SaidBy.ANYONE: "whoever says it",
    SaidBy.CNI_ALONE: "words of the VPC CNI",
    SaidBy.POD_NETWORK: "said by the CNI or about a sandbox",
}


# What may name people, places or secrets.
_PRIVATE = (
    (re.compile(r"arn:[a-z-]+:\S+"), "ARN"),
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r"\b(?:i|eni|subnet|vpc|sg|vol|ami)-[0-9a-f]{8,17}\b"), "AWS-ID"),
    (re.compile(r"\bip-\d+-\d+-\d+-\d+\S*"), "NODE"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?:/\d+)?\b"), "ADDRESS"),
    (re.compile(r"\b[0-9a-f]{32,64}\b"), "HASH"),
    (re.compile(r"\b\d{12}\b"), "ACCOUNT"),
    (re.compile(r"https?://[^\s\"']+"), "URL"),
    (re.compile(r"\b[\w.+-]+@[\w-]+\.[\w.-]+"), "MAIL"),
    (re.compile(r'(pod=\\*"|pod \\*"|object=\\*")[^"\\]+'), r"\1NAMESPACE/POD"),
    (re.compile(r"(Name|Namespace):[a-z0-9.-]+,"), r"\1:NAME,"),
    (re.compile(r"\b[\w.-]*[a-z][\w-]*_[a-z0-9-]+\(UUID\)"), "POD_NAMESPACE(UUID)"),
)


def anonymised(text: str) -> str:
    """`text` without ids, addresses, names of nodes and pods, accounts and links."""
    for pattern, instead in _PRIVATE:
        text = pattern.sub(instead, text)
    return text


def issue_text(excerpt: str) -> str:
    """A ready-made issue about words that the catalogue does not know."""
    return (
        "Title: Unknown wording of a pod sandbox that failed\n"
        f"Wording: {anonymised(excerpt)}\n"
        "VPC CNI version: (kubectl -n kube-system get daemonset aws-node -o wide)\n"
        "What it was: (what was wrong, as far as you know)"
    )
