"""Who else changed what an incident works on in AWS: asked from CloudTrail once others may have stopped it.

The answers of EC2 and EKS do not say who changed something. CloudTrail's event history does, on average about five
minutes later ("How CloudTrail works" in its User Guide; not guaranteed), so the watchdog asks again for a while.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ip_remediator.clients.aws.eks import ADDON
from ip_remediator.clients.aws.event_history import EventHistory, RecordedCall
from ip_remediator.common.text import some_of
from ip_remediator.incidents.calls_by_others import CallByOther, CallsByOthers
from ip_remediator.watchdog.rules import QUOTA_REACHED, maybe_stopped_by_others

if TYPE_CHECKING:
    from ip_remediator.incidents.record import Incident

# Four looks of the watchdog.
ASKED_FOR = timedelta(minutes=20)
_MOST_KEPT = 20
_OF_SUBNETS = ("DeleteSubnet", "DeleteTags", "CreateTags")
# What they take is space of the VPC, and a part of its quotas.
_TAKING = ("AssociateVpcCidrBlock", "CreateSubnet")
_OF_CIDR = ("DisassociateVpcCidrBlock", *_TAKING)
_OF_CLUSTER = ("DeleteCluster", "UpdateClusterConfig")
_OF_ADDON = ("UpdateAddon", "DeleteAddon")
_OF_NODE_GROUPS = ("DeleteNodegroup", "UpdateNodegroupConfig", "UpdateNodegroupVersion")
_OF_AUTO_SCALING = ("UpdateAutoScalingGroup", "DeleteAutoScalingGroup")


@dataclass(frozen=True)
class Callers:
    """`own_roles`: ARNs of the roles whose calls are the incident's own."""

    history: EventHistory
    own_roles: Collection[str]

    def of(self, incidents: Sequence[Incident]) -> list[CallsByOthers]:
        """For each incident the calls since it was opened that changed what it works on, by others than this stack.
        Each kind of call is looked up once for all of them.

        Of a rollback, too, the calls since the incident was opened: what others put into the block or took out of it
        between the heal and the rollback stops it as well as what they do meanwhile. The newest come first.

        Raises:
            PermissionDenied, Throttled, ServiceUnavailable
        """
        events = sorted({event for incident in incidents for event in _events(incident)})
        since = min((incident.opened_at for incident in incidents), default=None)
        recorded = [call for event in events if since for call in self.history.calls(event, since)]
        foreign = [call for call in recorded if call.role not in self.own_roles]
        return [_calls_on(incident, foreign) for incident in incidents]


def is_asked_about(incident: Incident, now: datetime) -> bool:
    """Whether CloudTrail may still get to know who stopped the incident."""
    stopped = maybe_stopped_by_others(incident)
    return stopped is not None and now < stopped + ASKED_FOR


def _calls_on(incident: Incident, foreign: Iterable[RecordedCall]) -> CallsByOthers:
    opened = incident.opened_at.replace(microsecond=0)  # as CloudTrail writes times
    calls = [
        CallByOther(id=call.id, event=call.event, resource=resource, caller=call.caller, at=call.at)
        for call in foreign
        if call.at >= opened and (resource := _resource(incident, call))
    ]
    newest = sorted(calls, key=lambda call: call.at, reverse=True)
    return CallsByOthers(calls=tuple(newest[:_MOST_KEPT]))


def _events(incident: Incident) -> Iterator[str]:
    """The names of the calls that change what the incident works on."""
    plan = incident.plan
    yield from _OF_CLUSTER
    yield from _OF_NODE_GROUPS
    if plan is None:
        return
    if incident.subnets:
        yield from _OF_SUBNETS
    if plan.block:
        yield from _OF_CIDR
    # ENIConfigs count only while custom networking is on, and a rollback lowers the warm targets, whatever was set.
    if plan.settings or incident.rollback or any(subnet.eni_configs for subnet in plan.subnets):
        yield from _OF_ADDON
    if any(recipient.kind == "auto-scaling-group" for recipient in plan.recipients):
        yield from _OF_AUTO_SCALING


def _resource(incident: Incident, call: RecordedCall) -> str:
    """What of the incident the call changed; "" for nothing of it."""
    if call.event in _OF_SUBNETS:
        return ", ".join(sorted(call.asked & set(incident.subnets.values())))
    if call.event in _OF_AUTO_SCALING:
        recipients = incident.plan.recipients if incident.plan else ()
        return ", ".join(sorted(call.asked & {recipient.name for recipient in recipients}))
    if call.event in _OF_CIDR:
        return _block(incident, call)
    return _part_of_cluster(incident.cluster, call) if incident.cluster in call.asked else ""


def _block(incident: Incident, call: RecordedCall) -> str:
    plan = incident.plan
    if plan is None or plan.block is None or plan.vpc_id not in call.answered:
        return ""
    if call.event in _TAKING and (_met_quota(incident) or call.overlaps(plan.block)):
        return f"{some_of(call.cidrs)} of {plan.vpc_id}"
    return f"{plan.block} of {plan.vpc_id}" if call.overlaps(plan.block) else ""


def _met_quota(incident: Incident) -> bool:
    """Whether a quota stopped it: then whoever took something else of the VPC used it up as well."""
    return incident.failure is not None and incident.failure.error == QUOTA_REACHED


def _part_of_cluster(cluster: str, call: RecordedCall) -> str:
    if call.event in _OF_ADDON:
        return f"add-on {ADDON} of {cluster}" if ADDON in call.asked else ""
    if call.event in _OF_NODE_GROUPS:
        return f"node group {call.node_group} of {cluster}"
    return cluster
