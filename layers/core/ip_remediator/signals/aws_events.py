"""Events of AWS's own services: refused API calls (CloudTrail), Auto Scaling, AWS Health, and the health of EKS."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from ip_remediator.signals.causes import Cause, Speaker, Strength, Wording
from ip_remediator.signals.documents import at, list_at, mapping_at, text_at, time_under
from ip_remediator.signals.error_catalogue import deciding_wording
from ip_remediator.signals.model import (
    Affected,
    DropReason,
    ParsedRecord,
    Place,
    Source,
    build,
    cluster_name,
    dropped,
)

_SUBNET = re.compile(r"\bsubnet-[0-9a-f]{8,17}\b")
# EKS puts these names into what it makes: its managed node groups' Auto Scaling groups, eksctl its stacks'.
_GROUP_OF_EKS = re.compile(r"^eks-.+-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_GROUP_OF_EKSCTL = re.compile(r"^eksctl-(.{1,100})-nodegroup-")


# ------------------------------------------------------------------------------------------------ CloudTrail
_CALLS: Mapping[str, Affected] = {
    "CreateNetworkInterface": Affected.PODS,
    "AssignPrivateIpAddresses": Affected.PODS,
    "AssignIpv6Addresses": Affected.PODS,
    "RunInstances": Affected.NODES,
    "CreateFleet": Affected.NODES,
    "CreateNodegroup": Affected.NODES,
    "UpdateNodegroupVersion": Affected.NODES,
    "UpdateNodegroupConfig": Affected.NODES,
    "CreateCluster": Affected.CLUSTER,
    "UpdateClusterVersion": Affected.CLUSTER,
    "UpdateClusterConfig": Affected.CLUSTER,
}
# How the CNI and the vpc-resource-controller call EC2, and how they describe their ENIs.
_CALLERS = ("amazon-vpc-cni", "amazon-vpc-resource-controller", "vpc-resource-controller")
_DESCRIPTIONS = ("aws-k8s-",)
_OF_THE_CONTROL_PLANE = re.compile(r"^Amazon EKS ([0-9A-Za-z][0-9A-Za-z_-]{0,99})$")
# Tags that name a cluster: the value, or the part of the key after the prefix.
_CLUSTER_TAGS = frozenset(
    {
        "cluster.k8s.amazonaws.com/name",
        "eks:cluster-name",
        "aws:eks:cluster-name",
        "eks:eks-cluster-name",
        "alpha.eksctl.io/cluster-name",
        "karpenter.sh/discovery",
    }
)
_CLUSTER_TAG_PREFIXES = ("kubernetes.io/cluster/", "cni.networking.k8s.aws/cluster/")


def is_call(document: Mapping[str, object]) -> bool:
    """Whether `document` is a record of CloudTrail."""
    return "eventName" in document and "eventSource" in document


def signal_of_call(record: Mapping[str, object], identity: str | None, received_at: datetime) -> ParsedRecord:
    """The signal of an API call that was refused for addresses, as CloudTrail records it.

    Calls to EC2 concern a cluster when the CNI made them, when their tags name a cluster, or when their subnet is
    that of a known one (which is for others to know).
    """
    affected = _CALLS.get(text_at(record, "eventName") or "")
    if affected is None:
        return dropped(DropReason.UNRELATED_CALL)
    words = " ".join(_errors(record))
    by_cni = _made_by_cni(record)
    wording = deciding_wording(words, Speaker.CNI if by_cni else Speaker.OTHER) if words else None
    if wording is None or wording.harmless:
        return dropped(DropReason.UNRELATED_CALL)
    request = mapping_at(record, "requestParameters")
    cluster, place = _cluster_of_call(record, request), _place_of_call(request, words, certain=by_cni)
    control_plane = _OF_THE_CONTROL_PLANE.match(text_at(request, "description") or "")
    when = time_under(record, "eventTime")
    return build(
        source=Source.AWS_EVENT,
        cluster=cluster or (control_plane.group(1) if control_plane else None),
        cause=wording.cause,
        strength=wording.strength,
        affected=Affected.CLUSTER if control_plane else affected,
        times=(when, when),
        received_at=received_at,
        identity=text_at(record, "eventID") or identity,
        excerpt=f"{record.get('eventName')}: {words}",
        place=place,
    )


def _errors(record: Mapping[str, object]) -> Iterator[str]:
    """Code and message; of CreateFleet, which succeeds as a call, those of its answer."""
    for key in ("errorCode", "errorMessage"):
        if text := text_at(record, key):
            yield text
    yield from _errors_of_answer(at(record, "responseElements"))


def _errors_of_answer(value: object, depth: int = 6) -> Iterator[str]:
    if depth == 0:
        return
    if isinstance(value, list):
        for inner in value[:50]:
            yield from _errors_of_answer(inner, depth - 1)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, str):
                if key.lower() in ("errorcode", "errormessage", "message"):
                    yield inner
            else:
                yield from _errors_of_answer(inner, depth - 1)


def _made_by_cni(record: Mapping[str, object]) -> bool:
    agent = (text_at(record, "userAgent") or "").lower()
    description = (text_at(record, "requestParameters", "description") or "").lower()
    return any(caller in agent for caller in _CALLERS) or description.startswith(_DESCRIPTIONS)


def _cluster_of_call(record: Mapping[str, object], request: Mapping[str, object]) -> str | None:
    if (text_at(record, "eventSource") or "").startswith("eks."):
        return text_at(request, "clusterName") or text_at(request, "name")
    return next(_clusters_in_tags(request), None)


def _clusters_in_tags(value: object, depth: int = 8) -> Iterator[str]:
    """The clusters that tags name, at any depth of the request, because each API nests tags differently."""
    if depth == 0:
        return
    if isinstance(value, list):
        for inner in value[:200]:
            yield from _clusters_in_tags(inner, depth - 1)
    elif isinstance(value, dict):
        key = text_at(value, "key") or text_at(value, "Key")
        if key in _CLUSTER_TAGS:
            yield text_at(value, "value") or text_at(value, "Value") or ""
        elif key and key.startswith(_CLUSTER_TAG_PREFIXES):
            yield key.rpartition("/")[2]
        else:
            for inner in value.values():
                yield from _clusters_in_tags(inner, depth - 1)


def _place_of_call(request: Mapping[str, object], words: str, *, certain: bool) -> Place | None:
    subnets = {*_SUBNET.findall(words), *_SUBNET.findall(_flat(request))}
    interface = text_at(request, "networkInterfaceId")
    if not subnets and not interface:
        return None
    return Place(certain=certain, subnets=tuple(sorted(subnets))[:20], interface=interface)


def _flat(value: object) -> str:
    """The text of the request, cut: only ids are searched in it."""
    return repr(value)[:20_000] if _depth(value) < _MAX_DEPTH else ""


_MAX_DEPTH = 20


def _depth(value: object, deepest: int = _MAX_DEPTH) -> int:
    if deepest == 0 or not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max((_depth(item, deepest - 1) for item in inner), default=0)


# ------------------------------------------------------------------------------------------------ Auto Scaling
def signal_of_launch(detail: Mapping[str, object], identity: str | None, received_at: datetime) -> ParsedRecord:
    """The signal of a launch that Auto Scaling could not make; the same for an activity of the API."""
    words = text_at(detail, "StatusMessage") or ""
    wording = deciding_wording(words, Speaker.OTHER)
    if wording is None:
        return dropped(DropReason.UNRELATED_CALL)
    group = text_at(detail, "AutoScalingGroupName") or ""
    subnets = {*_SUBNET.findall(words), *_SUBNET.findall(text_at(detail, "Details", "Subnet ID") or "")}
    of_eksctl = _GROUP_OF_EKSCTL.match(group)
    when = time_under(detail, "EndTime", "StartTime")
    return build(
        source=Source.AWS_EVENT,
        cluster=of_eksctl.group(1) if of_eksctl else None,
        cause=wording.cause,
        strength=wording.strength,
        affected=Affected.NODES,
        zone=text_at(detail, "Details", "Availability Zone"),
        times=(when, when),
        received_at=received_at,
        identity=text_at(detail, "ActivityId") or identity,
        excerpt=f"{group}: {words}",
        place=Place(certain=True, subnets=tuple(sorted(subnets)), auto_scaling_group=group or None),
    )


# ------------------------------------------------------------------------------------------------ health
# Codes of EKS that mean addresses (botocore's model of EKS: ClusterIssueCode, NodegroupIssueCode, ErrorCode).
_CODES = frozenset({"InsufficientFreeAddresses", "IpNotAvailable"})


def signals_of_health(
    issues: list[object], cluster: str | None, affected: Affected, received_at: datetime, source: Source
) -> Iterator[ParsedRecord]:
    """A signal for every issue of a cluster or node group that is about addresses, a drop for every other."""
    for issue in issues:
        code = text_at(issue, "code") or text_at(issue, "errorCode") or ""
        message = text_at(issue, "message") or text_at(issue, "errorMessage") or ""
        wording = _wording_of_issue(code, message)
        if wording is None:
            yield dropped(DropReason.UNRELATED_REASON)
            continue
        resources = [name for name in list_at(issue, "resourceIds") if isinstance(name, str)]
        subnets = tuple(sorted({*_SUBNET.findall(message), *_SUBNET.findall(" ".join(resources[:200]))}))
        yield build(
            source=source,
            cluster=cluster,
            cause=wording.cause,
            strength=wording.strength,
            affected=affected,
            times=(None, None),
            received_at=received_at,
            # An issue stands until it is over: one signal an hour keeps an open incident alive, and no more.
            identity=f"health-{affected}-{cluster}-{code}-{received_at:%Y%m%dT%H}",
            excerpt=f"{code}: {message} {' '.join(resources[:5])}",
            place=Place(certain=True, subnets=subnets),
        )


def _wording_of_issue(code: str, message: str) -> Wording | None:
    wording = deciding_wording(f"{code}: {message}", Speaker.OTHER)
    if wording is None or wording.harmless or wording.cause is Cause.OTHER:
        return None
    return wording._replace(strength=Strength.STRONG) if code in _CODES else wording


def signal_of_aws_health(
    detail: Mapping[str, object], identity: str | None, received_at: datetime
) -> Iterator[ParsedRecord]:
    """A signal for each cluster that an event of AWS Health names, when its description is about addresses."""
    texts = [text_at(entry, "latestDescription") or "" for entry in list_at(detail, "eventDescription")]
    words = " ".join([text_at(detail, "eventTypeCode") or "", *texts])
    wording = deciding_wording(words, Speaker.OTHER)
    if (text_at(detail, "service") or "") != "EKS" or wording is None:
        yield dropped(DropReason.UNRELATED_REASON)
        return
    clusters = _clusters_affected(detail)
    when = time_under(detail, "lastUpdatedTime", "startTime")
    for cluster in clusters or (None,):
        yield build(
            source=Source.AWS_EVENT,
            cluster=cluster,
            cause=wording.cause,
            strength=wording.strength,
            affected=Affected.CLUSTER,
            times=(when, when),
            received_at=received_at,
            identity=f"{identity}-{cluster}" if identity and len(clusters) > 1 else identity,
            excerpt=words,
            place=Place(certain=True, subnets=tuple(sorted(set(_SUBNET.findall(words))))[:20]),
        )


def _clusters_affected(detail: Mapping[str, object]) -> list[str]:
    entities = [text_at(entity, "entityValue") for entity in list_at(detail, "affectedEntities")]
    return sorted({name for entity in entities if (name := cluster_name(_cluster_part(entity)))})


def _cluster_part(entity: str | None) -> str | None:
    """The cluster of an ARN of a cluster or node group; plain names stand for themselves."""
    if entity and ":nodegroup/" in entity:
        return entity.partition(":nodegroup/")[2].partition("/")[0]
    return entity
